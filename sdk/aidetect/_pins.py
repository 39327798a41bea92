"""The model shipped in this package; written by `aidetect_training.export.ship`."""

MODEL = "default"
MANIFEST_SHA256 = "78eb4bf34b6353e17110625edfde6efdc7389df0681090b70801da010c8bd662"
