"""What runs the network: one protocol, three runtimes, and the choice between them.

`auto` takes PyTorch where it finds an NVIDIA GPU, else OpenVINO where it is installed (it computes
in bfloat16 on processors that can, at twice the speed), else ONNX Runtime, which the light install
brings, else PyTorch on the CPU. No runtime is imported before it is chosen: PyTorch alone takes
seconds.
"""

import ctypes
import sys
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .._errors import ConfigurationError, MissingExtraError
from .._text import printable
from .._weights import ModelPackage

MAX_THREADS = 1024
"""More than any runtime has use for; a runtime starts all of them, and would be at that for minutes."""

NAMES = ("auto", "onnx", "openvino", "torch")
_MODULES = {"onnx": "onnxruntime", "openvino": "openvino", "torch": "torch"}
_INSTALL = {
    "onnx": "pip install onnxruntime",
    "openvino": "pip install '.[openvino]'",
    "torch": "pip install '.[torch]'",
}


class Backend(Protocol):
    """A loaded network. Any number of threads may call it at once."""

    @property
    def name(self) -> str:
        """`onnx`, `openvino` or `torch`."""

    @property
    def device(self) -> str:
        """`cpu`, `cuda:0`, …"""

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Views N×S×S×3, sRGB → N×2, real and AI. N may be 0, S any side the network can take."""

    def logits_and_maps(
        self, views: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The same logits, and the last layer's maps after their gate, N×C×h×w, for heat maps."""


def open_backend(
    package: ModelPackage, backend: str = "auto", device: str = "auto", threads: int | None = None
) -> Backend:
    """Loads `package` into a runtime.

    `device`: `auto`, `cpu`, `cuda` or `cuda:1`. `threads`: of the CPU, by default as many as the
    runtime thinks best; for PyTorch it counts for the whole process.

    Raises ConfigurationError for a name, device or number that cannot be, MissingExtraError if the
    runtime is not installed, ModelIntegrityError if it cannot load the model.
    """
    if backend not in NAMES:
        raise ConfigurationError(f"no backend '{printable(backend)}': choose {', '.join(NAMES)}")
    kind, _, index = device.partition(":")
    if device not in ("auto", "cpu", "cuda") and not (
        kind == "cuda" and index.isascii() and index.isdecimal()
    ):
        raise ConfigurationError(f"no device '{printable(device)}': choose auto, cpu, cuda or cuda:N")
    if kind == "cuda" and backend in ("onnx", "openvino"):
        raise ConfigurationError(f"backend {backend!r} runs on the CPU only: for a GPU choose 'torch'")
    if threads is not None and not 1 <= threads <= MAX_THREADS:
        raise ConfigurationError(f"threads is {threads}: it has to be from 1 to {MAX_THREADS}")
    if backend == "auto":
        backend, device = _choice(device)
    if not _installed(backend):
        raise MissingExtraError(
            f"backend {backend!r} needs {_MODULES[backend]}, which is not installed: {_INSTALL[backend]}"
        )
    if backend == "onnx":
        from ._onnx import OnnxBackend

        return OnnxBackend(package, threads)
    if backend == "openvino":
        from ._openvino import OpenVinoBackend

        return OpenVinoBackend(package, threads)
    from ._torch import TorchBackend

    return TorchBackend(package, device, threads)


def _choice(device: str) -> tuple[str, str]:
    if device.startswith("cuda"):
        return "torch", device
    if device == "auto" and _installed("torch") and _nvidia_driver():
        from ._torch import cuda_available

        if cuda_available():
            return "torch", "cuda"
    for backend in ("openvino", "onnx", "torch"):
        if _installed(backend):
            return backend, "cpu"
    raise MissingExtraError(f"nothing to run the model with is installed: {_INSTALL['torch']}")


def _installed(backend: str) -> bool:
    return find_spec(_MODULES[backend]) is not None


def _nvidia_driver() -> bool:
    """Whether NVIDIA's driver is on this machine; milliseconds, where asking PyTorch takes seconds."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
