"""How fast each backend runs the network on this processor's cores, and what it costs to have it.

Rounds alternate between the backends, in turns of about a second with a pause and an untimed call
first, so that no thread pool is measured while another's threads still spin; the figure is the
median. A share of PyTorch's bfloat16 throughput means more than views a second, which depend on
the machine and on what else it does. Weights are random, which changes no speed. `onnx int8` is
quantised after the fact (per channel, calibrated on noise) to show its speed; it is not a backend.
`--full` measures longer, with PyTorch in float32 too.
"""

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import numpy as np
from _figures import Figures, at_least, at_most, print_figures
from numpy.typing import NDArray

from aidetect._backends import open_backend
from aidetect._backends._onnx import runtime
from aidetect._backends._openvino import OpenVinoBackend
from aidetect._backends._torch import TorchBackend
from aidetect._model import SEResNet50
from aidetect._weights import ModelPackage, load_package
from aidetect_training.export import UNCALIBRATED, export_model

Views = NDArray[np.uint8]
Forward = Callable[[Views], object]

ARCHITECTURE = {"front_end": "rgb+residual"}
VIEWS = 9
BASE = "torch bfloat16"


def quantised(package: ModelPackage, folder: Path) -> Forward:
    """ONNX Runtime in int8: static quantisation of the graph once it has been folded."""
    onnxruntime = runtime()
    from onnxruntime import quantization

    logging.getLogger().setLevel(logging.ERROR)
    folded, small = folder / "folded.onnx", folder / "int8.onnx"
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folded)
    onnxruntime.InferenceSession(package.path.with_suffix(".onnx"), options)

    class Noise(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left: Iterator[dict[str, Views]] = iter([{"views": noise(4, 64)}])

        def get_next(self) -> dict[str, Views] | None:
            return next(self.left, None)

    quantization.quantize_static(
        folded, small, Noise(), per_channel=True,
        op_types_to_quantize=["Conv", "Add", "Relu", "MaxPool", "GlobalAveragePool"],
    )  # fmt: skip
    session = onnxruntime.InferenceSession(small)
    return lambda views: session.run(["logits"], {"views": views})


def noise(count: int, size: int) -> Views:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def throughput(forwards: dict[str, Forward], views: Views, seconds: float) -> dict[str, float]:
    """Views a second of each, from the median of its calls in alternating turns."""
    taken: dict[str, list[float]] = {name: [] for name in forwards}
    rounds = 2
    turn = max(0.2, seconds / rounds / len(forwards) - 0.1)
    for _ in range(rounds):
        for name, forward in forwards.items():
            time.sleep(0.1)
            forward(views)
            end = time.perf_counter() + turn
            while (started := time.perf_counter()) < end:
                forward(views)
                taken[name].append(time.perf_counter() - started)
    return {name: len(views) / median(times) for name, times in taken.items()}


def start(package: ModelPackage, name: str) -> float:
    """Seconds a new process takes to check the package, import the runtime, load it and answer."""
    script = (
        "import sys, pathlib, numpy\n"
        "from aidetect._weights import load_package\n"
        "from aidetect._backends import open_backend\n"
        "backend = open_backend(load_package(pathlib.Path(sys.argv[1])), sys.argv[2])\n"
        "backend.logits(numpy.zeros((9, 112, 112, 3), numpy.uint8))\n"
    )
    times = []
    for _ in range(2):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", script, str(package.path), name], check=True)
        times.append(time.perf_counter() - started)
    return min(times)


def megabytes(module: str) -> float:
    """What the module takes on disk."""
    spec = find_spec(module)
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="measure five times as long")
    full = parser.parse_args().full
    results: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        path = export_model(
            SEResNet50(**ARCHITECTURE).state_dict(), ARCHITECTURE, 112,
            name="random", version="0", calibration=UNCALIBRATED, trained_on="nothing", out=Path(folder),
        )  # fmt: skip
        package = load_package(path)
        default = open_backend(package, device="cpu")
        forwards: dict[str, Forward] = {
            "onnx": open_backend(package, "onnx").logits,
            "openvino": OpenVinoBackend(package).logits,
            "openvino float32": OpenVinoBackend(package, precision="f32").logits,
            BASE: TorchBackend(package, precision="bfloat16").logits,
            "onnx int8": quantised(package, Path(folder)),
        }
        if full:
            forwards["torch float32"] = TorchBackend(package).logits
        for size, seconds in ((112, 8.0), (224, 12.0)):
            speed = throughput(forwards, noise(VIEWS, size), seconds * (5 if full else 1))
            print(f"{VIEWS} views of {size}×{size}, views a second, and share of {BASE}:")
            for name, value in sorted(speed.items(), key=lambda item: -item[1]):
                print(f"  {name:18}{value:7.1f}{value / speed[BASE]:7.2f}")
            for name in dict.fromkeys((default.name, "onnx", "openvino")):
                results[f"{name}_{size}_vs_torch_bf16"] = at_least(speed[name] / speed[BASE], 1.0)
        print(f"default CPU backend here: {default.name}")
        for name, module in (("onnx", "onnxruntime"), ("openvino", "openvino")):
            results[f"{name}_start_s"] = at_most(start(package, name), 1.6)
            print(f"{module} takes {megabytes(module):.0f} MB on disk")
    print_figures(results)


if __name__ == "__main__":
    main()
