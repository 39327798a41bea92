"""What each cell of the last layer's maps adds to a network's margin: Grad-CAM, exact, without autograd.

Everything after the maps is small: pooling, Linear, ReLU, Linear. Its derivative is the product of the
two weight matrices through the ReLU's mask, and the maps are a second output of every backend. So this
runs on runtimes that cannot differentiate, and costs two small matrix products a view.

Source: Selvaraju et al. 2017. For mean pooling the gradient of the pooled head is the same at every
position, and gradient times activation is Grad-CAM as published. For `mean+deviation` it depends on
the position; taking its mean over positions first, as published, would drop the deviation, so it is
multiplied in place (HiResCAM, Draelos and Carin 2020). Two more departures. The ReLU over the result
is left out: what speaks for a real image is shown too. And what the biases add, which lies nowhere, is
spread evenly, so that the cells' mean is the margin, and a cell's value is what the margin would be if
the whole view were like that cell.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import ModelIntegrityError
from ._weights import ModelPackage

Array = NDArray[np.float32]

_DEVIATION_EPSILON = 1e-6
"""As `SEResNet50.forward` adds it under the root."""

_KINDS: dict[str, Any] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4")}


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The two linear layers after the pooled maps: hidden×pooled, and the margin's row over hidden."""

    hidden: Array
    hidden_bias: Array
    margin: Array
    """Row AI less row real of the last layer."""
    deviation: bool
    """Whether the maps' standard deviations are pooled beside their means."""

    @classmethod
    def of(cls, package: ModelPackage) -> "Head":
        """Raises ModelIntegrityError where the weights have no such head."""
        try:
            tensors = _tensors(package.weights, ("head.0.weight", "head.0.bias", "head.3.weight"))
            hidden, bias, last = tensors
            deviation = package.manifest.architecture.get("pooling", "mean") == "mean+deviation"
            if hidden.ndim != 2 or bias.shape != hidden.shape[:1] or last.shape != (2, len(bias)):
                raise ValueError("shapes")
        except (KeyError, ValueError, TypeError, AttributeError):
            raise ModelIntegrityError(
                f"model {package.manifest.name} has no head that a heat map can be drawn from: "
                "export it again"
            ) from None
        return cls(hidden, bias, last[1] - last[0], deviation)

    def cells(self, maps: Array, margins: Array) -> Array:
        """N×C×h×w maps and the N margins that the network answered → N×h×w local margins.

        Their mean over a view is its margin. float32 as a whole, whatever the backend computed in.
        """
        count = maps.shape[2] * maps.shape[3]
        flat = maps.reshape(len(maps), maps.shape[1], count).astype(np.float32, copy=False)
        mean = flat.mean(axis=2)
        pooled = mean
        if self.deviation:
            variance = np.square(flat - mean[:, :, None]).mean(axis=2)
            deviation = np.sqrt(variance + np.float32(_DEVIATION_EPSILON))
            pooled = np.concatenate((mean, deviation), axis=1)
        # Not `@`: the threads of its library go on spinning afterwards, and take from the network's.
        active = np.einsum("np,hp->nh", pooled, self.hidden) + self.hidden_bias > 0
        gradient = np.einsum("nh,hp->np", active * self.margin, self.hidden)
        channels = maps.shape[1]
        added: Array = np.einsum("nc,ncp->np", gradient[:, :channels], flat)
        if self.deviation:
            slope = gradient[:, channels:] / deviation
            added += np.einsum("nc,ncp->np", slope, (flat - mean[:, :, None]) * flat)
        added += (margins - added.mean(axis=1))[:, None]
        local: Array = added.reshape(len(maps), *maps.shape[2:])
        return local


def _tensors(data: bytes, names: tuple[str, ...]) -> list[Array]:
    """Tensors of a safetensors file (8 bytes of length, a JSON header, the values) as float32."""
    first = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:first])
    found = []
    for name in names:
        begin, end = header[name]["data_offsets"]
        values = np.frombuffer(data[first + begin : first + end], _KINDS[header[name]["dtype"]])
        found.append(values.reshape(header[name]["shape"]).astype(np.float32))
    return found
