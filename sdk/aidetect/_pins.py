"""The model shipped in this package; written by `aidetect_training.export.ship`."""

MODEL = "default"
MANIFEST_SHA256 = "558c32389ef35b98154521b297e895ba9aafa7f94a87b01701c9442b44c33423"
