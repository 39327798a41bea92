"""Chromium without a debugger on the extension's service worker, which would keep it alive.

Playwright attaches to all that starts. Here the browser's protocol is spoken through its pipe, and a
session lasts for one question.
"""

import json
import os
import select
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..end_to_end.conftest import FLAGS
from .chromium import EXTENSION
from .window import PATIENCE, wait

_START = """if True:
    import fcntl, os, sys
    ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
    for wanted, end in zip((3, 4), ends):
        os.dup2(end, wanted)
    os.execvp(sys.argv[3], sys.argv[3:])
"""
"""The browser reads what it is asked from descriptor 3 and answers on 4."""


class Undebugged:
    """`with Undebugged(program, profile) as browser:`"""

    def __init__(self, program: str, profile: Path) -> None:
        reads, self._writes = os.pipe()
        self._reads, writes = os.pipe()
        options = [
            f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
            f"--load-extension={EXTENSION}",
        ]
        command = [
            sys.executable,
            "-c",
            _START,
            str(reads),
            str(writes),
            program,
            *FLAGS,
            *options,
            "about:blank",
        ]
        self.process = subprocess.Popen(
            command, pass_fds=(reads, writes), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(reads)
        os.close(writes)
        self._asked, self._received = 0, b""
        wait(
            lambda: (worker := self.worker()) and self.evaluate(worker, "globalThis.chrome?.runtime?.id")
        )

    def __enter__(self) -> "Undebugged":
        return self

    def __exit__(self, *exc: object) -> None:
        with suppress(EOFError, BrokenPipeError):
            self.send("Browser.close")
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._reads)
        os.close(self._writes)

    def send(self, method: str, session: str | None = None, **parameters: Any) -> Any:
        self._asked += 1
        message = {"id": self._asked, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._received:
                ready, _, _ = select.select([self._reads], [], [], PATIENCE)
                assert ready, f"no answer to {method}"
                received = os.read(self._reads, 1 << 20)
                if not received:
                    raise EOFError(method)
                self._received += received
            text, _, self._received = self._received.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self._asked:
                assert "result" in answer, answer
                return answer["result"]

    def targets(self, kind: str | None = None) -> list[dict[str, Any]]:
        chosen = {"filter": [{"type": kind, "exclude": False}]} if kind else {}
        found: list[dict[str, Any]] = self.send("Target.getTargets", **chosen)["targetInfos"]
        return found

    def worker(self) -> str | None:
        """The target of the extension's service worker, where it runs."""
        found = [one for one in self.targets() if one["type"] == "service_worker"]
        return found[0]["targetId"] if found else None

    def attach(self, target: str) -> str:
        """A session, during which a service worker is kept alive."""
        return str(self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])

    def detach(self, session: str) -> None:
        self.send("Target.detachFromTarget", sessionId=session)

    def evaluate(self, target: str, expression: str) -> Any:
        """The value of an expression in a page or worker."""
        session = self.attach(target)
        answer = self.send(
            "Runtime.evaluate", session, expression=expression, awaitPromise=True, returnByValue=True
        )
        self.detach(session)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def words(self, target: str) -> list[str]:
        session = self.attach(target)
        nodes = self.send("Accessibility.getFullAXTree", session)["nodes"]
        self.detach(session)
        names = [node.get("name", {}).get("value", "") for node in nodes if not node.get("ignored")]
        return [name for name in names if name]
