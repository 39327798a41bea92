"""The network as an ONNX graph without weights: they stay in the safetensors file it names.

Written node by node, instead of by torch.onnx, so that tensors keep the names, the layout and the
half precision of that file, which a tracer would copy. Tests hold it to the torch module for every
architecture. Two things are computed otherwise than in `_model.py`, to the same result: the median
shares its sorted columns between neighbours, and the residual is taken in 0…255, where whole numbers
are exact even in bfloat16.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from aidetect._model import IMAGENET_MEAN, IMAGENET_STD, SEResNet50

OPSET = 17
IR_VERSION = 8
_END = 2**31 - 1
_KINDS = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}


def onnx_graph(model: SEResNet50, header: Mapping[str, Any], first: int, location: str) -> bytes:
    """`model` as ONNX bytes: `views`, uint8 N×S×S×3 → `logits`, N×2, and `maps`, N×C×h×w.

    `header` is the safetensors header of `location`, whose data begin at byte `first`. Weights kept
    in half precision are widened by a Cast that runtimes fold when they load the graph.
    """
    writer = _Writer(model, header, first, location)
    maps = writer.squeeze(writer.trunk(writer.front(model), model), "se", "maps")
    writer.head(maps, model)
    views = helper.make_tensor_value_info("views", TensorProto.UINT8, ["n", "height", "width", 3])
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 2]),
        helper.make_tensor_value_info(
            "maps", TensorProto.FLOAT, ["n", model.se.up.out_features, "h", "w"]
        ),
    ]
    graph = helper.make_graph(writer.nodes, "SEResNet50", [views], outputs, writer.initializers)
    opset = [helper.make_opsetid("", OPSET)]
    whole = helper.make_model(
        graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="aidetect"
    )
    return bytes(whole.SerializeToString())


class _Writer:
    """Appends nodes; every method takes and returns names of tensors."""

    def __init__(self, model: nn.Module, header: Mapping[str, Any], first: int, location: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._names = {module: name for name, module in model.named_modules()}
        self._header, self._first, self._location = header, first, location
        self._constants: dict[tuple[str, bytes], str] = {}

    def op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, values: Any, kind: str = "float32") -> str:
        array = np.asarray(values, dtype=kind)
        key = (f"{kind}{array.shape}", array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"constant_{len(self._constants)}"
            self.initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def weight(self, name: str) -> str:
        """The tensor `name` of the safetensors file, as float32."""
        entry = self._header[name]
        begin, end = entry["data_offsets"]
        tensor = TensorProto(name=name, data_type=_KINDS[entry["dtype"]], dims=entry["shape"])
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": self._location, "offset": self._first + begin, "length": end - begin}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        self.initializers.append(tensor)
        return self.op("Cast", name, to=TensorProto.FLOAT) if entry["dtype"] == "F16" else name

    def slice(self, x: str, axis: int, first: int, end: int) -> str:
        return self.op("Slice", x, *(self.constant([v], "int64") for v in (first, end, axis)))

    # what the trunk sees

    def front(self, model: SEResNet50) -> str:
        pixels = self.op("Cast", self.op("Transpose", "views", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
        mean = 255 * np.reshape(IMAGENET_MEAN, (3, 1, 1))
        std = 255 * np.reshape(IMAGENET_STD, (3, 1, 1))
        rgb = self.op("Div", self.op("Sub", pixels, self.constant(mean)), self.constant(std))
        if model.front_end == "rgb":
            return rgb
        residual = self.op("Sub", pixels, self.median(pixels))
        residual = self.op("Mul", residual, self.constant(10 / 255))
        return residual if model.front_end == "residual" else self.op("Concat", rgb, residual, axis=1)

    def median(self, x: str) -> str:
        """3×3 median: of nine values in three sorted columns it is the median of the largest
        minimum, the median of the middle ones and the smallest maximum."""
        pads = self.constant([0, 0, 1, 1, 0, 0, 1, 1], "int64")
        padded = self.op("Pad", x, pads, mode="edge")
        low, middle, high = self._sorted(*self._shifted(padded, axis=2))
        lows, middles, highs = (self._shifted(part, axis=3) for part in (low, middle, high))
        return self._sorted(
            self.op("Max", *lows), self._sorted(*middles)[1], self.op("Min", *highs)
        )[1]  # fmt: skip

    def _shifted(self, x: str, axis: int) -> list[str]:
        return [self.slice(x, axis, first, end) for first, end in ((0, -2), (1, -1), (2, _END))]

    def _sorted(self, a: str, b: str, c: str) -> tuple[str, str, str]:
        a, b = self.op("Min", a, b), self.op("Max", a, b)
        b, c = self.op("Min", b, c), self.op("Max", b, c)
        return self.op("Min", a, b), self.op("Max", a, b), c

    # the layers

    def conv(self, x: str, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> str:
        x = self.op(
            "Conv", x, self.weight(f"{self._names[conv]}.weight"),
            kernel_shape=list(conv.kernel_size), strides=list(conv.stride),
            pads=[int(p) for p in conv.padding] * 2, dilations=list(conv.dilation), group=conv.groups,
        )  # fmt: skip
        parts = ("weight", "bias", "running_mean", "running_var")
        parameters = (self.weight(f"{self._names[norm]}.{part}") for part in parts)
        return self.op("BatchNormalization", x, *parameters, epsilon=norm.eps)

    def bottleneck(self, x: str, block: Any) -> str:
        y = self.op("Relu", self.conv(x, block.conv1, block.bn1))
        y = self.op("Relu", self.conv(y, block.conv2, block.bn2))
        y = self.conv(y, block.conv3, block.bn3)
        skipped = x if block.downsample is None else self.conv(x, *block.downsample)
        return self.op("Relu", self.op("Add", y, skipped))

    def trunk(self, x: str, model: SEResNet50) -> str:
        conv, norm, _, pool = model.stem
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        x = self.op("Relu", self.conv(x, conv, norm))
        if isinstance(pool, nn.MaxPool2d):
            side, stride, padding = int(pool.kernel_size), int(pool.stride), int(pool.padding)
            x = self.op("MaxPool", x, kernel_shape=[side] * 2, strides=[stride] * 2, pads=[padding] * 4)
        for layer in model.layers:
            for block in layer:  # type: ignore[attr-defined]
                x = self.bottleneck(x, block)
        return x

    def linear(self, x: str, name: str, output: str | None = None) -> str:
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("Gemm", x, weight, bias, transB=1, output=output)

    def mean(self, x: str) -> str:
        return self.op("Flatten", self.op("GlobalAveragePool", x))

    def squeeze(self, x: str, name: str, output: str) -> str:
        gate = self.op("Relu", self.linear(self.mean(x), f"{name}.down"))
        gate = self.op("Sigmoid", self.linear(gate, f"{name}.up"))
        gate = self.op("Unsqueeze", gate, self.constant([2, 3], "int64"))
        return self.op("Mul", x, gate, output=output)

    def head(self, maps: str, model: SEResNet50) -> str:
        pooled = self.mean(maps)
        if model.pooling == "mean+deviation":
            variance = self.op(
                "Sub", self.mean(self.op("Mul", maps, maps)), self.op("Mul", pooled, pooled)
            )
            variance = self.op("Add", self.op("Relu", variance), self.constant(1e-6))
            pooled = self.op("Concat", pooled, self.op("Sqrt", variance), axis=1)
        first, last = (
            name for name, module in model.head.named_children() if isinstance(module, nn.Linear)
        )
        hidden = self.op("Relu", self.linear(pooled, f"head.{first}"))
        return self.linear(hidden, f"head.{last}", output="logits")
