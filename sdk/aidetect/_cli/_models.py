"""`aidetect models`: which models there are, and signatures for those that travel on their own."""

from argparse import Namespace
from json import dumps
from pathlib import Path

from .._errors import ConfigurationError, ModelIntegrityError
from .._text import printable
from ._parsing import Commands

_DESCRIPTION = """\
A model is NAME.json, NAME.safetensors and NAME.onnx beside each other. One that
somebody else made should also have a signature, NAME.sig, which is checked with
its maker's public key. Keys that you trust for good belong in one PEM file that
the environment variable AIDETECT_MODEL_KEYS names."""


def add_parser(commands: Commands) -> None:
    """Adds `models` and its own commands."""
    models = commands.add_parser("models", help="list, check and sign models", description=_DESCRIPTION)
    models.set_defaults(run=show_list, json=False)
    actions = models.add_subparsers(title="commands", metavar="COMMAND")
    action = actions.add_parser("list", help="list the models that can be named (the default)")
    action.add_argument("--json", action="store_true", help="one manifest a line, as JSON")
    action.set_defaults(run=show_list)
    action = actions.add_parser("verify", help="check a model's files and signature")
    action.add_argument("model", nargs="?", metavar="NAME|PATH", help="default: the one of aidetect")
    action.add_argument(
        "--key",
        metavar="FILE",
        help="public key that has to have signed it (default: any in the file of AIDETECT_MODEL_KEYS)",
    )
    action.set_defaults(run=verify)
    action = actions.add_parser("sign", help="sign a model whose files are whole")
    action.add_argument("model", metavar="PATH", help="its folder or one of its files")
    action.add_argument("--key", metavar="FILE", required=True, help="private key, of `models keygen`")
    action.set_defaults(run=sign)
    action = actions.add_parser("keygen", help="make a key pair to sign with")
    action.add_argument("path", metavar="FILE", help="the private key; the public one is FILE.pub")
    action.set_defaults(run=keygen)


def show_list(options: Namespace) -> int:
    from .._pins import MODEL
    from .._weights import list_models, models_folder

    for index, manifest in enumerate(list_models()):
        if options.json:
            print(dumps(manifest.to_dict(), ensure_ascii=True))
            continue
        default = "  (the default)" if index == 0 and manifest.name == MODEL else ""
        about = f"  {printable(' '.join(manifest.about.split()))}" if manifest.about else ""
        print(f"{manifest.name}  {printable(manifest.version)}{default}{about}")
    if not options.json:
        print(f"Others are looked for in {printable(str(models_folder()))}")
    return 0


def verify(options: Namespace) -> int:
    """Raises ModelError where anything is wrong, a missing signature too if a key was asked for and
    the model is not the one that is released with aidetect."""
    from .._pins import MANIFEST_SHA256
    from .._signatures import trusted_keys
    from .._weights import load_package

    keys = None if options.key is None else [_read_key(options.key)]
    package = load_package(options.model, trusted_keys=keys)
    name = f"{package.manifest.name} {printable(package.manifest.version)}"
    if package.signed:
        print(f"{name}: whole, and signed with a trusted key")
    elif package.manifest_sha256 == MANIFEST_SHA256:
        print(f"{name}: whole, and the one that this version of aidetect was released with")
    elif trusted_keys(keys):
        raise ModelIntegrityError(
            f"{name}: whole, but not signed; ask its maker for {name.split()[0]}.sig"
        )
    else:
        print(f"{name}: whole; who made it was not checked, for which --key names a public key")
    return 0


def sign(options: Namespace) -> int:
    from .._signatures import sign as sign_manifest
    from .._weights import load_package

    path = Path(options.model)
    package = load_package(path, trusted_keys=[])
    folder = path if path.is_dir() else path.parent
    key = _read_key(options.key)
    try:
        signature = sign_manifest(folder / f"{package.manifest.name}.json", key)
    except OSError as error:
        raise ConfigurationError(
            f"{printable(str(folder))}: cannot write here: {error.strerror}."
        ) from None
    print(f"{printable(str(signature))}: written; give it away with the model and your public key")
    return 0


def keygen(options: Namespace) -> int:
    from .._signatures import generate_key

    public = generate_key(options.path)
    print(f"{printable(options.path)}: private key, for `aidetect models sign`; keep it to yourself")
    print(f"{printable(str(public))}: public key, for whoever gets models of you")
    return 0


def _read_key(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(100_000)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"--key {printable(path)}: {reason}. Check the path.") from None
