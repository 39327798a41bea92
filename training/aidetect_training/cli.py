"""`aidetect-train`: inspect, prepare, train, export, calibrate, evaluate, as TRAINING.md orders them."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aidetect import AidetectError

from . import commands, model_commands


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0 done, 1 stopped by an error, 2 wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except AidetectError as error:
        print(f"aidetect-train: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("aidetect"):
            raise
        print(
            f"aidetect-train: {error.name} is not installed; in a clone: pip install '.[train]'",
            file=sys.stderr,
        )
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="aidetect-train", description=__doc__)
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=text, description=text)
        where = commands if hasattr(commands, name) else model_commands
        sub.set_defaults(run=getattr(where, name))
        return sub

    sub = command(
        "inspect",
        "tell a data set's sizes, formats, colours and duplicates by class, in figures",
    )
    sub.add_argument("data", type=Path, help="folder of images; any layout that TRAINING.md names")
    sub.add_argument("--out", type=Path, required=True, help="folder for inspect.json and pictures")
    sub.add_argument("--recipe", help="take only images that it uses, told apart as real and AI")
    sub.add_argument("--workers", type=int, default=2)

    sub = command("prepare", "cut training tiles from a folder of originals with a manifest.csv")
    sub.add_argument("originals", type=Path, help="folder with manifest.csv: path,label,source,…")
    sub.add_argument("out", type=Path)
    whole = sub.add_mutually_exclusive_group()
    whole.add_argument(
        "--held-out", metavar="RECIPE", help="write the recipe's validation origins whole instead"
    )
    whole.add_argument(
        "--whole", metavar="RECIPE", help="write all but the recipe's validation origins whole instead"
    )
    sub.add_argument("--seed", type=int, default=0, help="of all random choices (default: 0)")
    sub.add_argument("--workers", type=int, default=2)

    def changeable(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="another value for a key of the recipe, such as model.view_size=64; may be repeated",
        )

    sub = command("train", "train a recipe; started again with the same --out it goes on")
    sub.add_argument("recipe", help="name of a built-in recipe, or a .toml file")
    changeable(sub)
    sub.add_argument(
        "--data", type=Path, required=True, help="folder of tiles or images; see TRAINING.md"
    )
    sub.add_argument("--out", type=Path, required=True, help="folder for checkpoints and metrics.csv")
    sub.add_argument(
        "--from",
        dest="start",
        metavar="MODEL|CHECKPOINT",
        help="weights to start from: an exported model, also a pruned one, or a best.ckpt",
    )
    sub.add_argument("--device", default="auto")
    sub.add_argument("--workers", type=int, default=2)

    sub = command(
        "crossval", "train and measure a recipe on folds of the data; started again it goes on"
    )
    sub.add_argument("recipe", help="name of a built-in recipe, or a .toml file")
    changeable(sub)
    sub.add_argument("--data", type=Path, required=True)
    sub.add_argument("--folds", type=int, default=5)
    sub.add_argument("--out", type=Path, required=True, help="folder for the folds and crossval.md")
    sub.add_argument("--device", default="auto")
    sub.add_argument("--workers", type=int, default=2)

    sub = command(
        "ablate", "run a list of trials at an equal budget and compare them; started again it goes on"
    )
    sub.add_argument("trials", help="name of a built-in list of trials, or a .toml file")
    changeable(sub)
    sub.add_argument(
        "--samples", type=int, default=0, help="the base's budget instead of its own; all are stretched"
    )
    sub.add_argument("--data", type=Path, required=True)
    sub.add_argument(
        "--also",
        action="append",
        default=[],
        metavar="NAME=DIR",
        help="the images that a trial with also = NAME trains on beside; may be repeated",
    )
    sub.add_argument("--out", type=Path, required=True, help="folder for the runs and trials.csv")
    sub.add_argument("--device", default="auto")
    sub.add_argument("--workers", type=int, default=2)

    sub = command(
        "pairs", "write real tiles beside what small autoencoders, trained on them, make of them, as AI"
    )
    sub.add_argument("data", type=Path, help="folder of tiles")
    sub.add_argument("out", type=Path)
    sub.add_argument("--recipe", required=True, help="its validation origins are left out")
    sub.add_argument("--images", type=int, default=1200, help="real tiles that are taken")
    sub.add_argument("--steps", type=int, default=1500, help="of each autoencoder's training")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--device", default="cpu", help="cpu, cuda, …")

    sub = command("diagnose", "show by signals, gradients and dead units why a run does not learn")
    sub.add_argument("recipe", help="the recipe of the run")
    changeable(sub)
    sub.add_argument("--data", type=Path, required=True, help="what it was trained on")
    sub.add_argument("--run", type=Path, required=True, dest="folder", help="its training folder")
    sub.add_argument("--out", type=Path, required=True, help="folder for diagnosis.md and a picture")

    sub = command("export", "write a checkpoint as a model: manifest, safetensors and ONNX graph")
    sub.add_argument("checkpoint", type=Path, help="best.ckpt of a training folder")
    sub.add_argument("--recipe", required=True, help="the recipe it was trained with")
    sub.add_argument("--name", default="default")
    sub.add_argument("--version", required=True)
    sub.add_argument("--trained-on", default="", help="one sentence for the manifest")
    sub.add_argument("--out", type=Path, required=True)

    sub = command(
        "texture", "fit a model's texture, which alone decides, at its own odds, until it is calibrated"
    )
    sub.add_argument("model", type=Path, help="folder or manifest of an exported model; rewritten")
    sub.add_argument("--recipe", required=True, help="its validation origins are left out")
    sub.add_argument(
        "--data", type=Path, required=True, nargs="+", help="folders of images with manifest.csv"
    )
    sub.add_argument(
        "--folds",
        type=Path,
        help="fit it on the validation origins too, and tell by the recipe's families what it says of "
        "unseen makers; folder for margins.csv and folds.json",
    )
    sub.add_argument(
        "--vectors",
        type=Path,
        help="file that keeps what the images showed, most of the work, and is read where it is there",
    )
    sub.add_argument("--version", help="the model's new version")
    sub.add_argument("--workers", type=int, default=2)

    sub = command("calibrate", "fit a model's probabilities and thresholds on held-out images")
    sub.add_argument("model", type=Path, help="folder or manifest of an exported model; rewritten")
    sub.add_argument(
        "--data", type=Path, required=True, help="folder of held-out images with manifest.csv"
    )
    sub.add_argument("--recipe", help="take only images that it uses")
    sub.add_argument("--unseen", type=Path, help="margins.csv of `texture --folds`")
    sub.add_argument("--tiers", default="clean,web,hard")
    sub.add_argument("--backend", default="auto")
    sub.add_argument(
        "--no-crops", action="store_true", help="give native crops no weight, and do not look at them"
    )

    sub = command("evaluate", "measure a model on a folder of images")
    sub.add_argument("--data", type=Path, required=True, help="any layout that TRAINING.md names")
    sub.add_argument("--out", type=Path, required=True, help="folder for metrics.json and tables.md")
    sub.add_argument("--model", help="name or path; without it the shipped model")
    sub.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        help="best.ckpt of a training folder instead of a model; of several the mean of the logits",
    )
    sub.add_argument(
        "--recipe",
        action="append",
        default=[],
        help="the recipe that the checkpoint was trained with, such as the recipe.toml beside it; only "
        "images that it uses count. One for all checkpoints, or one for each",
    )
    changeable(sub)
    sub.add_argument(
        "--validation", action="store_true", help="only the recipe's validation part of the data"
    )
    sub.add_argument("--tiers", default="clean,web,hard")
    sub.add_argument("--views", default="default")
    sub.add_argument("--backend", default="auto")
    sub.add_argument(
        "--sheets",
        type=lambda text: text.split(","),
        default=[],
        help="robustness (single changes to the images), adversarial (FGSM and PGD), or both",
    )
    sub.add_argument(
        "--sheet-images", type=int, metavar="N", help="make the sheets of N images of all origins only"
    )

    sub = command("clips", "build small videos from images: what only time reveals, or what frames do")
    sub.add_argument("images", type=Path, help="folder with manifest.csv, as prepare takes it")
    sub.add_argument("out", type=Path)
    sub.add_argument(
        "--task",
        choices=("time", "content"),
        default="time",
        help="time: photographs with a steady (0) or flickering (1) AI region; content: the camera over "
        "photographs (0) or AI images (1)",
    )
    sub.add_argument("--pairs", type=int, default=200, help="matched pairs: two clips each")
    sub.add_argument("--size", type=int, default=112, help="side of a frame in pixels, even")
    sub.add_argument("--frames", type=int, default=24)
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument(
        "--held-out",
        metavar="RECIPE",
        help="mix no image of the recipe's validation origins with others",
    )

    sub = command("report", "make one page of model card, curves and tables, and its pictures")
    sub.add_argument(
        "folders", type=Path, nargs="+", metavar="DIR", help="what train or evaluate wrote with --out"
    )
    sub.add_argument("--out", type=Path, required=True, help="folder for report.html and pictures")
    sub.add_argument("--recipe", help="the recipe of the training, where best.ckpt does not name it")
    sub.add_argument(
        "--data",
        type=Path,
        nargs="+",
        action="append",
        default=[],
        help="training images, counted by kind; with --recipe its training part. May be repeated",
    )

    sub = command("quantize", "write a model in int8 beside it, for processors without a GPU")
    sub.add_argument("model", type=Path, help="folder or manifest of an exported model")
    sub.add_argument(
        "--data", type=Path, required=True, help="folder of held-out images: the range of 8 bits"
    )
    sub.add_argument("--images", type=int, default=256, help="how many of them to look at")
    sub.add_argument("--out", type=Path, required=True)

    sub = command("prune", "write a model with fewer channels beside it, which runs faster")
    sub.add_argument("model", type=Path, help="folder or manifest of an exported model")
    sub.add_argument(
        "--data", type=Path, required=True, help="folder of held-out images, which fit what stays"
    )
    sub.add_argument("--images", type=int, default=256, help="how many of them to look at")
    sub.add_argument("--share", type=float, default=0.5, help="of the inner channels that goes")
    sub.add_argument("--out", type=Path, required=True)

    sub = command("search", "search a space of recipes with Optuna; started again it goes on")
    sub.add_argument("recipe", help="name of a built-in recipe, or a .toml file")
    changeable(sub)
    sub.add_argument("--space", required=True, help="name of a built-in space, or a .toml file")
    sub.add_argument("--trials", type=int, required=True, help="how many the study ends with, in all")
    sub.add_argument(
        "--storage", required=True, help="database: sqlite:///FILE, or a server's that machines share"
    )
    sub.add_argument("--sampler", choices=("random", "tpe"), default="random")
    sub.add_argument("--seed", type=int, default=0, help="another on each machine that searches")
    sub.add_argument("--no-prune", action="store_true", help="let every trial run to its end")
    sub.add_argument("--data", type=Path, required=True, help="as for train")
    sub.add_argument("--out", type=Path, required=True, help="folder for trials and the best recipe")
    sub.add_argument("--device", default="auto")
    sub.add_argument("--workers", type=int, default=2)

    sub = command("ship", "make an exported and calibrated model the one that the package carries")
    sub.add_argument("model", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
