"""Makes the model: recipes, data, training, calibration, evaluation and export.

Run it as `aidetect-train`; it is a program, so nothing here is meant to be imported by others.
It imports `aidetect` (the network, the views), never the other way round.
"""

__all__: list[str] = []
