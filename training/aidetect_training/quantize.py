"""An exported model in int8, for processors without a GPU: a package beside the one that it is made of.

Static quantisation after training by ONNX Runtime's own tool: convolutions, sums and pools in 8 bits,
weights by channel (symmetric), activations by tensor within the ranges that calibration images
reach. What stays in float32: the front end, which is exact in whole numbers, the squeeze-excitation's
gate and the head, which cost nothing and which heat maps are drawn from. Calibration and texture are
the model's own. Weights keep within 7 bits: with 8, processors without VNNI overflow in sums.
"""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, external_data_helper, numpy_helper
from safetensors.numpy import save

from aidetect import ConfigurationError, ImageError
from aidetect._backends._inline import with_weights
from aidetect._backends._onnx import runtime
from aidetect._calibration import Calibration
from aidetect._image import decode
from aidetect._views import extract_views
from aidetect._weights import ModelPackage

from .data import Item
from .export import write_beside

OPERATORS = ("Conv", "Add", "Relu", "MaxPool", "GlobalAveragePool")
BATCH = 8
SMALL = 64
"""Bytes of a tensor up to which it stays in the graph: scales, zero points, shapes."""

SUFFIX = "int8"
ABOUT = "In int8 after training; for ONNX Runtime and OpenVINO."


def views_of(package: ModelPackage, items: Sequence[Item]) -> np.ndarray:
    """All that the model is shown of these images, N×S×S×3; those that cannot be read are left out."""
    crops = Calibration.from_dict(package.manifest.calibration).weighs_crops
    shown = []
    for item in items:
        try:
            pixels = decode(item.path.read_bytes(), name=str(item.path)).pixels
        except (ImageError, OSError):
            continue
        shown.append(extract_views(pixels, "default", package.manifest.view_size, crops).pixels)
    if not shown:
        raise ConfigurationError("none of the calibration images can be read. Give others.")
    return np.concatenate(shown)


def quantize(package: ModelPackage, views: np.ndarray, out: Path) -> Path:
    """Writes `package` in int8 into the folder `out`, named after it; returns its manifest.

    `views`: N×S×S×3 uint8, as `views_of` gives them, of images that no result is measured on.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = onnx.load(_quantised(package, views, Path(folder)))
    _name_weights(model, onnx.load_model_from_string(package.graph))
    data = _move_weights(model, f"{package.manifest.name}-{SUFFIX}.safetensors")
    graph = model.SerializeToString(deterministic=True)
    return write_beside(package, SUFFIX, ABOUT, data, graph, out)


def _quantised(package: ModelPackage, views: np.ndarray, folder: Path) -> Path:
    runtime()
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    whole, folded, small = (folder / f"{step}.onnx" for step in ("whole", "folded", "int8"))
    whole.write_bytes(with_weights(package.graph, package.weights_name, package.weights))

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            parts = (views[first : first + BATCH] for first in range(0, len(views), BATCH))
            self.left: Iterator[dict[str, np.ndarray]] = iter([{"views": part} for part in parts])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    # Folds batch normalisation into the convolutions, and half precision away.
    quant_pre_process(str(whole), str(folded), skip_symbolic_shape=True)
    with _Quiet():
        quantization.quantize_static(
            str(folded), str(small), Reader(), op_types_to_quantize=list(OPERATORS), per_channel=True,
            # Signed activations, the default, ran half as fast in ONNX Runtime, and OpenVINO 2025
            # computed them wrongly.
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            reduce_range=True,
        )  # fmt: skip
    return small


class _Quiet:
    """The tool tells on the root logger what was done before it is called."""

    def __enter__(self) -> None:
        self._before = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)

    def __exit__(self, *error: object) -> None:
        logging.getLogger().setLevel(self._before)


def _name_weights(model: Any, original: Any) -> None:
    """Gives weights that were widened from half precision, and kept, their names in the weights file
    again: heat maps look for the head's."""
    stored = {tensor.name for tensor in original.graph.initializer}
    names = {node.output[0]: node.input[0] for node in original.graph.node
             if node.op_type == "Cast" and node.input[0] in stored}  # fmt: skip
    for tensor in model.graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = names.get(name, name)


def _move_weights(model: Any, location: str) -> bytes:
    """Moves the graph's larger tensors out of it; returns the safetensors file that it names then."""
    large = {t.name: t for t in model.graph.initializer if len(t.raw_data) > SMALL}
    data = save({name: np.array(numpy_helper.to_array(t)) for name, t in large.items()})
    header = json.loads(data[8 : (first := 8 + int.from_bytes(data[:8], "little"))])
    for name, tensor in large.items():
        begin, end = header[name]["data_offsets"]
        external_data_helper.set_external_data(tensor, location, first + begin, end - begin)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
    return data
