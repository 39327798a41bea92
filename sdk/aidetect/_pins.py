"""The model shipped in this package; written by `aidetect_training.export.ship`."""

MODEL = "default"
MANIFEST_SHA256 = "70cc4a709badfdcffec1f839871ce25b047d386340642e15fdfdac1710f5eae0"
