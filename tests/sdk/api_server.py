"""A small aidetect server on loopback whose faults a test chooses: the forms of API v1, no worker."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

from .origin import Handler, Origin
from .verdicts import verdict

KEY = "id.secret-of-the-test"
Fault = Callable[["ApiHandler"], None]


class ApiHandler(Handler):
    server: "ApiServer"

    def do_GET(self) -> None:
        self._do("GET")

    def do_POST(self) -> None:
        self._do("POST")

    def do_DELETE(self) -> None:
        self._do("DELETE")

    def _do(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        with self.server.lock:
            self.server.calls.append((method, self.path, body))
            self.server.keys.append(self.headers.get("Authorization"))
            fault = self.server.faults.pop(0) if self.server.faults else None
        if fault is not None:
            fault(self)
        else:
            self.server.answer_call(self, method, path, body)

    def json(self, found: Any, status: int = 200, **headers: str) -> None:
        """A JSON answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.reply(json.dumps(found).encode(), status, {"Content-Type": "application/json", **named})

    def problem(self, code: str, status: int, detail: str = "Try again.", **headers: str) -> None:
        self.json({"code": code, "detail": detail, "status": status}, status, **headers)


class ApiServer(Origin):
    """`faults` are used up first, one a request. An upload is done at once, or after `polls` polls."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port=port)
        self.RequestHandlerClass = ApiHandler
        self.calls: list[tuple[str, str, bytes]] = []
        self.keys: list[str | None] = []
        self.faults: list[Fault] = []
        self.known: dict[str, dict[str, Any]] = {}
        self.polls = 0
        self.problem: dict[str, Any] | None = None
        self.sign: Callable[[dict[str, Any]], str] | None = None
        self.jwks: dict[str, Any] = {"keys": []}

    @property
    def paths(self) -> list[str]:
        """Method and path of each call, without queries."""
        return [f"{method} {path.partition('?')[0]}" for method, path, _ in self.calls]

    def answer_call(self, handler: ApiHandler, method: str, path: str, body: bytes) -> None:
        if (method, path) == ("GET", "/v1/server"):
            model = {"name": "default", "version": "1", "sha256": "f" * 64}
            handler.json({"name": "aidetect", "version": "0.1.0", "model": model})
        elif (method, path) == ("POST", "/v1/uploads"):
            self._begun(handler, sha256(body).hexdigest(), len(body))
        elif (method, path) == ("POST", "/v1/checks"):
            asked = json.loads(body)
            if "url" in asked:
                self._begun(handler, sha256(asked["url"].encode()).hexdigest(), 0)
            elif asked["sha256"] in self.known:
                handler.json(self.known[asked["sha256"]])
            else:
                handler.problem("unknown_image", 404)
        elif (method, path) == ("POST", "/v1/checks/batch"):
            urls = json.loads(body)["urls"]
            handler.json({"checks": [self._check(sha256(u.encode()).hexdigest(), 0) for u in urls]}, 202)
        elif (method, path) == ("GET", "/.well-known/jwks.json"):
            handler.json(self.jwks)
        elif path.startswith("/v1/checks/") and method == "GET":
            self._polled(handler, path.rpartition("/")[2])
        else:
            handler.reply(b"", 204 if method == "DELETE" else 404)

    def _begun(self, handler: ApiHandler, digest: str, size: int) -> None:
        check = self._check(digest, size)
        self.known[digest] = check
        if self.polls:
            handler.json({**check, "state": "queued", "position": 3, "verdict": None}, 202)
        else:
            handler.json(check)

    def _polled(self, handler: ApiHandler, id: str) -> None:
        self.polls -= 1
        check = next(check for check in self.known.values() if check["id"] == id)
        if self.polls > 0:
            handler.json({**check, "state": "analysing", "verdict": None}, 202)
        else:
            handler.json(check)

    def _check(self, digest: str, size: int) -> dict[str, Any]:
        found = verdict(source=None)
        found = replace(found, image=replace(found.image, sha256=digest, bytes=size))
        wire = None if self.problem is not None else found.to_dict()
        return {
            "id": digest[:32],
            "state": "failed" if self.problem is not None else "done",
            "position": None,
            "verdict": wire,
            "signature": self.sign(wire) if self.sign and wire else None,
            "problem": self.problem,
            "heatmap": None,
        }
