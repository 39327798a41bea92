"""PyTorch: bfloat16 on an NVIDIA GPU, float32 on the CPU."""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load

from .._errors import ConfigurationError, ModelIntegrityError
from .._model import SEResNet50
from .._weights import ModelPackage

Precision = Literal["auto", "float32", "bfloat16"]


def cuda_available() -> bool:
    return torch.cuda.is_available()


class TorchBackend:
    """`device`: `auto` and `cpu` are the CPU, `cuda` is the current GPU. `threads` is set for the
    whole process, which is how PyTorch has it. `precision` `auto`: as this module's first line says.
    """

    name = "torch"

    def __init__(
        self,
        package: ModelPackage,
        device: str = "cpu",
        threads: int | None = None,
        precision: Precision = "auto",
    ) -> None:
        self._device = _device(device)
        self.device = str(self._device)
        if threads is not None:
            torch.set_num_threads(threads)
        self._bfloat16 = precision == "bfloat16" or (precision == "auto" and self._device.type == "cuda")
        name, architecture = package.manifest.name, package.manifest.architecture
        try:
            weights: dict[str, Any] = load(package.weights)
            network = SEResNet50(**architecture)
            network.load_state_dict(weights)
        except Exception as error:  # safetensors, TypeError, ValueError, RuntimeError
            raise ModelIntegrityError(
                f"PyTorch cannot load model {name}: {error}; export it again"
            ) from error
        self._network = network.eval().to(self._device).to(memory_format=torch.channels_last)

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        if not len(views):
            return np.empty((0, 2), np.float32)
        # N×H×W×3 seen as N×3×H×W is channels_last already: nothing is copied.
        pixels = torch.from_numpy(views).to(self._device).permute(0, 3, 1, 2)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            logits: NDArray[np.float32] = self._network(pixels).float().cpu().numpy()
        return logits


def _device(name: str) -> torch.device:
    if not name.startswith("cuda"):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigurationError(f"device {name!r}: PyTorch finds no GPU here; choose 'cpu' or 'auto'")
    index = int(name.partition(":")[2] or torch.cuda.current_device())
    if index >= torch.cuda.device_count():
        raise ConfigurationError(
            f"device {name!r}: this machine has {torch.cuda.device_count()} GPUs, from cuda:0"
        )
    return torch.device("cuda", index)
