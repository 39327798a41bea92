"""What int8 brings the shipped network and what it costs: speed on the CPU, accuracy on `devtest`.

Rounds of float32 and int8 alternate in ONNX Runtime, each on its own session and threads that sleep
between calls; the figure is the ratio of the medians. Accuracy: the network alone, at even odds, on the
global view, and the whole verdict, with its texture, which 8 bits do not touch. The ranges come from
the recipe's validation origins in `train`, never from `devtest`. Both need the images that AIDETECT_DATA
names; without them only the speed is measured, with ranges of noise. `--full` measures longer.
"""

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from _figures import Figures, at_least, at_most, print_figures
from _smaller import DATA, accuracy, fitting_views, held_out, likeness, look, margins, noise, speeds

from aidetect._backends import open_backend
from aidetect._weights import load_package
from aidetect_training.layouts import read_dataset
from aidetect_training.quantize import quantize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="measure five times as long")
    seconds = 25.0 if parser.parse_args().full else 5.0
    package = load_package()
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        ranges = fitting_views(package, held_out())
        small = load_package(quantize(package, ranges, Path(folder)))
        before, after = (open_backend(model, "onnx") for model in (package, small))
        print(f"weights: {len(package.weights) / 1e6:.1f} MB, in int8 {len(small.weights) / 1e6:.1f} MB")
        for count in (1, 9):
            views = noise(count, package.manifest.view_size)
            (ratio,) = speeds(before, [after], views, seconds)
            figures[f"int8_over_float32_{count}_views"] = at_least(ratio, 1.5, digits=2)
        if find_spec("openvino"):
            one, other = (open_backend(model, "openvino") for model in (package, small))
            (ratio,) = speeds(one, [other], views, seconds)
            print(f"in OpenVINO, over its own default precision: {ratio:.2f}")
        if DATA:
            items = read_dataset(DATA / "devtest")
            shown = look(package, items)
            right, told = margins(before, shown), margins(after, shown)
            found = [accuracy(said, shown, package, items) for said in (right, told)]
            for name, was in found[0].items():
                now = found[1][name]
                print(f"{name}: {was:.4f} in float32, {now:.4f} in int8")
                figures[f"{name}_change"] = at_most(abs(now - was), 0.005, digits=4)
            print(likeness(told, right))
        else:
            print("accuracy left out: AIDETECT_DATA names no images", file=sys.stderr)
    print_figures(figures)


if __name__ == "__main__":
    main()
