"""The web page at `/`: static files under a policy that lets nothing in from elsewhere.

The card, the messages and the client of the API are the extension's own (`extension/`): the wheel
carries them inside of this package's `static`, a checkout has them in their place.
"""

from pathlib import Path

from flask import Blueprint, Response, abort, request

_STATIC = Path(__file__).with_name("static")
_CHECKOUT = Path(__file__).resolve().parents[2] / "extension"
_SHARED = ("inject/card-text.js", "inject/card-style.js", "inject/card.js", "lib/api.js")
_MESSAGES = ("_locales/en/messages.json", "_locales/id/messages.json")
_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)


def page_files() -> dict[str, Path]:
    """Name below `/static/page/` → file: the whole of what is served. FileNotFoundError where the
    installation lacks one."""
    files = {path.name: path for path in _STATIC.glob("*.*") if path.suffix in _TYPES}
    for name in (*_SHARED, *_MESSAGES):
        found = [folder / name for folder in (_STATIC, _CHECKOUT) if (folder / name).is_file()]
        if not found:
            raise FileNotFoundError(f"{_STATIC / name} is missing: install aidetect again")
        files[name] = found[0]
    return files


def page_blueprint() -> Blueprint:
    """`/` and `/static/page/…`. Needs no key: the page asks for one."""
    blueprint = Blueprint("page", __name__)
    files = page_files()
    index = _STATIC / "index.html"

    @blueprint.get("/")
    def page() -> Response:
        return _plain(index, "text/html")

    @blueprint.get("/static/page/<path:name>")
    def static_file(name: str) -> Response:
        if name not in files:
            abort(404)
        path = files[name]
        return _plain(path, _TYPES[path.suffix])

    return blueprint


def _plain(path: Path, kind: str) -> Response:
    """The file, to be asked for again each time: it is small, and most often unchanged (304)."""
    response = Response(path.read_bytes(), mimetype=kind)
    response.add_etag()
    response.make_conditional(request)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cache-Control"] = "no-cache"
    return response
