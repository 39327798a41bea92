"""The model shipped in this package; written by `aidetect_training.export.ship`."""

MODEL = "default"
MANIFEST_SHA256 = "8b754b783bc4204c7031f252246af208c66e57a3a5060e99766c031c86b16d86"
