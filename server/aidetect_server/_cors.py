"""Lets browser code of every origin talk to the API, which is of no use to it without a key.

A browser extension's origin differs from install to install, so no list of origins can be kept. No
origin is echoed and credentials mode stays off: nothing that a browser sends by itself opens anything
here, and a key that a page holds was given to it.
"""

from flask import Flask, Response, request

HEADERS = "Authorization, Content-Type, Prefer"
METHODS = "GET, POST, DELETE"
EXPOSED = "ETag, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
PREFLIGHT_SECONDS = 7200
"""As long as browsers remember a preflight at most."""

_SHARED = ("/v1/", "/.well-known/", "/openapi.json")


def init_cors(app: Flask) -> None:
    @app.before_request
    def answer_preflight() -> Response | None:
        asked = "Access-Control-Request-Method" in request.headers
        if request.method == "OPTIONS" and asked and request.path.startswith(_SHARED):
            response = Response(status=204)
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_SECONDS)
            return response
        return None

    @app.after_request
    def allow_every_origin(response: Response) -> Response:
        if request.path.startswith(_SHARED):
            response.headers["Access-Control-Allow-Origin"] = "*"
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
        return response
