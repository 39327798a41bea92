"""What the shipped model costs by itself: its network's and its texture's work on decoded pixels."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from aidetect._backends import open_backend
from aidetect._calibration import Calibration
from aidetect._texture import Texture
from aidetect._views import extract_views
from aidetect._weights import load_package

BATCH = 4


class ModelWork:
    """The model of this package on the backend that `Detector()` takes."""

    def __init__(self) -> None:
        package = load_package()
        self._backend, self._size = open_backend(package), package.manifest.view_size
        self._crops = Calibration.from_dict(package.manifest.calibration).weighs_crops
        self._texture = Texture.from_dict(package.manifest.texture or {})

    def views(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return extract_views(pixels, "default", self._size, self._crops).pixels

    def one(self, pixels: NDArray[np.uint8]) -> None:
        """An image: its texture, and a forward of its views."""
        self._texture.look(pixels, heat_map=False)
        self._backend.logits(self.views(pixels))

    def many(self, pixels: NDArray[np.uint8], count: int) -> None:
        """The same image `count` times: textures in four threads beside forwards of `BATCH` images."""
        batch = np.concatenate([self.views(pixels)] * BATCH)
        with ThreadPoolExecutor(4) as pool:
            looks = [pool.submit(self._texture.look, pixels, False) for _ in range(count)]
            for _ in range(count // BATCH):
                self._backend.logits(batch)
            for look in looks:
                look.result()
