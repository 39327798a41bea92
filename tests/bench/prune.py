"""What fewer channels bring the shipped network and what they cost: speed on the CPU, accuracy.

As `int8.py`, for several shares of the inner channels at once, each in float32 and, on top, in int8:
rounds alternate in ONNX Runtime. What stays is fitted on the recipe's validation origins in `train`,
never on `devtest`; `--fit` names another folder for that. `--images` names another folder than
`devtest`, so that a share can be chosen by held-out images. Without AIDETECT_DATA only the speed is
measured. `--full` measures longer.
"""

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from _figures import Figures, above, at_most, print_figures
from _smaller import DATA, accuracy, fitting_views, held_out, likeness, look, margins, noise, speeds

from aidetect._backends import open_backend
from aidetect._weights import load_package
from aidetect_training.layouts import read_dataset
from aidetect_training.prune import prune
from aidetect_training.quantize import quantize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="measure five times as long")
    parser.add_argument("--fit", type=Path, help="folder of images that what stays is fitted on")
    parser.add_argument("--images", type=Path, help="folder to measure accuracy on")
    parser.add_argument("--shares", default="0.25,0.5", help="of the inner channels that go")
    arguments = parser.parse_args()
    seconds = 50.0 if arguments.full else 10.0
    images = arguments.images or (DATA / "devtest" if DATA else None)
    package = load_package()
    fitted = read_dataset(arguments.fit) if arguments.fit else held_out()
    views = fitting_views(package, fitted)
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for share in arguments.shares.split(","):
            made = load_package(prune(package, views, float(share), Path(folder)))
            models[f"pruned_{share}"] = made
            models[f"pruned_{share}_int8"] = load_package(quantize(made, views, Path(folder)))
        for name, made in models.items():
            print(f"{name}: {len(made.weights) / 1e6:.1f} of {len(package.weights) / 1e6:.1f} MB")
        before = open_backend(package, "onnx")
        opened = {name: open_backend(made, "onnx") for name, made in models.items()}
        for count in (1, 9):
            shown_views = noise(count, package.manifest.view_size)
            ratios = speeds(before, list(opened.values()), shown_views, seconds)
            for name, ratio in zip(models, ratios, strict=True):
                figures[f"{name}_over_float32_{count}_views"] = above(ratio, 1, digits=2)
        if find_spec("openvino"):
            one, *others = (open_backend(made, "openvino") for made in (package, *models.values()))
            for name, ratio in zip(models, speeds(one, others, shown_views, seconds), strict=True):
                print(f"{name} in OpenVINO, over its own default precision: {ratio:.2f}")
        if images:
            items = read_dataset(images)
            shown = look(package, items)
            right = margins(before, shown)
            whole = accuracy(right, shown, package, items)
            print(f"whole: {', '.join(f'{key} {value:.4f}' for key, value in whole.items())}")
            for name, backend in opened.items():
                told = margins(backend, shown)
                found = accuracy(told, shown, package, items)
                print(f"{name}: {', '.join(f'{key} {value:.4f}' for key, value in found.items())}")
                print(f"  {likeness(told, right)}")
                for key, value in found.items():
                    change = abs(value - whole[key])
                    figures[f"{name}_{key}_change"] = at_most(change, 0.005, digits=4)
        else:
            print("accuracy left out: AIDETECT_DATA names no images", file=sys.stderr)
    print_figures(figures)


if __name__ == "__main__":
    main()
