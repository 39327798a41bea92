"""The model shipped in this package; written by `aidetect_training.export.ship`."""

MODEL = "default"
MANIFEST_SHA256 = "f74b8b37090c06cb2b7f2ff3c21314322c2d9af17648d043d10ef21f3a6b5312"
