"""The model shipped in this package; written by `aidetect_training.export.ship`."""

MODEL = "default"
MANIFEST_SHA256 = "d1817e754ca4bc8a157cc07235498ba23f72020d19c748aef63ff464d4da064d"
