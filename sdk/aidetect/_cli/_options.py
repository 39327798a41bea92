"""The options of every command that checks images, and the detector that they ask for."""

from argparse import Namespace
from typing import TYPE_CHECKING

from ._parsing import Parser, positive_int, seconds
from ._terminal import say_once_from

if TYPE_CHECKING:
    from .._detector import Detector

FAIL_ON = ("ai", "uncertain")


def add_fail_on(parser: Parser) -> None:
    """Adds `--fail-on`, for use in scripts and in continuous integration."""
    parser.add_argument(
        "--fail-on",
        action="append",
        choices=FAIL_ON,
        default=[],
        help="exit with 3 if an image gets this label; may be given twice",
    )


def add_detector_options(parser: Parser) -> None:
    """Adds what `open_detector` reads."""
    add = parser.add_argument
    add(
        "--views",
        choices=["fast", "default", "thorough"],
        default="default",
        help="how much is looked at (no difference with the shipped model, which gives crops no weight)",
    )
    add("--model", metavar="NAME|PATH", help="another model than the one that comes with aidetect")
    add("--backend", default="auto", metavar="NAME", help="auto (the default), onnx, openvino or torch")
    add("--device", default="auto", metavar="NAME", help="auto (the default), cpu, cuda or cuda:1")
    add(
        "--threads", type=positive_int, metavar="N", help="CPU threads of the model (default: all cores)"
    )
    server = parser.add_argument_group(
        "server", "Ask one instead of a model of one's own; AIDETECT_API_KEY holds the key."
    )
    add = server.add_argument
    add("--server", metavar="URL", help="address of an aidetect server (or AIDETECT_URL)")
    add(
        "--trust",
        metavar="FILE",
        help="verify its signatures: a file with its public keys, or first-use for those it has now",
    )
    add_limits(parser)


def add_limits(parser: Parser) -> None:
    """Adds the limits of files, downloads and images."""
    add = parser.add_argument_group("limits").add_argument
    add(
        "--max-bytes",
        type=positive_int,
        metavar="N",
        default=20_000_000,
        help="largest file or download (default: %(default)s)",
    )
    add(
        "--max-pixels",
        type=positive_int,
        metavar="N",
        default=50_000_000,
        help="largest image (default: %(default)s)",
    )
    add(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        default=20.0,
        help="for one download as a whole (default: %(default)s)",
    )
    add("--allow-private", action="store_true", help="also fetch from this machine and local networks")


def open_detector(options: Namespace) -> "Detector":
    """The detector that the options ask for. Raises ConfigurationError, ModelError or ServiceError."""
    from .._detector import Detector  # not at the top: this loads numpy, Pillow and more

    detector = Detector(
        options.model,
        backend=options.backend,
        device=options.device,
        views=options.views,
        threads=options.threads,
        max_bytes=options.max_bytes,
        max_pixels=options.max_pixels,
        timeout=options.timeout,
        allow_private=options.allow_private,
        url=options.server,
        trust=options.trust,
    )
    if detector.backend == "server":
        say_once_from("aidetect.client")
    return detector
