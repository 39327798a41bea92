"""The model shipped in this package; written by `aidetect_training.export.ship`."""

MODEL = "default"
MANIFEST_SHA256 = "7592ba1a4de03e69c19f3981345c09e8c7f6a84e8928634ac930318f4f4566aa"
