"""PyTorch: bfloat16 on an NVIDIA GPU, float32 on the CPU."""

from collections.abc import Iterator
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
        on_gpu = self._device.type == "cuda"
        self._copies: Any = torch.cuda.Stream(self._device) if on_gpu else None  # type: ignore[no-untyped-call]
        self._bfloat16 = precision == "bfloat16" or (precision == "auto" and on_gpu)
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
        return self._run(views)[0].numpy()

    def logits_and_maps(
        self, views: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        if not len(views):
            channels = self._network.se.up.out_features
            return np.empty((0, 2), np.float32), np.empty((0, channels, 1, 1), np.float32)
        logits, maps = self._run(views)
        return logits.numpy(), maps.float().cpu().numpy()

    def _run(self, views: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits as float32 on the CPU, and the maps as and where they were computed."""
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16),
        ):
            # N×H×W×3 seen as N×3×H×W is channels_last already: nothing is copied.
            parts = [self._network.maps(part.permute(0, 3, 1, 2)) for part in self._moved(views)]
            maps = torch.cat(parts) if len(parts) > 1 else parts[0]
            return self._network.classify(maps).float().cpu(), maps

    def _moved(self, views: NDArray[np.uint8]) -> Iterator[torch.Tensor]:
        """The views where they are computed. To a GPU they go in two halves, from pinned memory and on a
        stream of their own: the second half is copied while the first is computed."""
        host = torch.from_numpy(views)
        if self._copies is None:
            yield host
            return
        host = host.pin_memory()
        compute = torch.cuda.current_stream(self._device)
        halves = []
        with torch.cuda.stream(self._copies):
            for half in host.chunk(2):
                halves.append((half.to(self._device, non_blocking=True), self._copies.record_event()))
        for moved, copied in halves:
            compute.wait_event(copied)
            moved.record_stream(compute)
            yield moved


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
