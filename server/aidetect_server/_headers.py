"""Headers that tell browsers to do less: on every answer, unless a view has set its own."""

from flask import Flask, Response

SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def init_headers(app: Flask) -> None:
    @app.after_request
    def add_safe_headers(response: Response) -> Response:
        for name, value in SAFE.items():
            response.headers.setdefault(name, value)
        return response
