"""The model shipped in this package; written by `aidetect_training.export.ship`."""

MODEL = "default"
MANIFEST_SHA256 = "68df166854c0b6c57caa04ea5f165f6d660a4abb94f006f5707fdff1f32639e0"
