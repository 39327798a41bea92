"""Verdicts from an aidetect server: what `Detector(url=…)` does in place of a model of its own.

Files are sent as bytes, once: a server is asked by their hash before. URLs are sent as URLs, for the
server's workers to fetch. What is no image is told here and never sent.
"""

import hashlib
import io
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from ._client import Client
from ._errors import (
    AidetectError,
    ConfigurationError,
    InputError,
    ServiceError,
    ServiceUnavailableError,
)
from ._fetch import shown
from ._image_format import identify
from ._problems import error_of
from ._reading import name_of, no_image, read
from ._text import is_url, printable
from ._trust import Trust
from ._verdict import ImageInfo, ModelInfo, Verdict

if TYPE_CHECKING:
    from ._explain import Explanation

ASK_FIRST = 100_000
"""Bytes from which on a server is asked by hash before they are sent: of smaller images, the question
costs as much as sending them."""

WAIT = 20.0
"""Seconds that the server is asked to hold an answer back (its own limit)."""

MAX_UPLOADS = 2
"""Times that the same bytes are sent because the server lost them before a worker took them."""


_FINISHED = ("done", "failed")
_CHECK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class _Question:
    """One image as the server is asked for it. `made` describes pixels that come from no file."""

    name: str | None
    source: str | None
    url: str | None = None
    data: bytes = b""
    made: ImageInfo | None = None


class Remote:
    """The server's side of a `Detector`; the arguments are described there."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        max_bytes: int,
        max_pixels: int,
        timeout: float,
        patience: float,
        retries: int,
        concurrency: int,
        trust: "str | os.PathLike[str] | None" = None,
    ) -> None:
        self._client = Client(
            url, api_key, timeout=timeout, retries=retries, connections=concurrency + 1
        )
        self._max_bytes, self._max_pixels = max_bytes, max_pixels
        self._patience, self._concurrency = patience, concurrency
        self._trust = None if trust is None else Trust(trust, self._client)
        self._wait = min(WAIT, patience)
        self.url = self.device = self._client.url
        self.backend = "server"

    def __repr__(self) -> str:
        return f"<Detector at {self._client.name}>"

    @cached_property
    def server(self) -> dict[str, Any]:
        """What the server says of itself: version, model, limits. Raises ServiceError."""
        about = self._client.call("GET", "/v1/server").data
        if about.get("name") != "aidetect":
            raise ServiceError(f"{self._client.name}: is no aidetect server. Check the address.")
        return about

    @property
    def model(self) -> ModelInfo:
        """The fleet's model. Raises ServiceError where the server knows none."""
        try:
            return ModelInfo(**{key: self.server["model"][key] for key in ("name", "version", "sha256")})
        except (TypeError, KeyError):
            raise ServiceUnavailableError(
                f"{self._client.name}: has no model. Its /readyz says what is missing."
            ) from None

    @property
    def identity(self) -> str:
        """The server's address and its model. Raises ServiceError."""
        return f"{self.url} {self.model.sha256}"

    def check(self, image: Any) -> Verdict:
        """As `Detector.check`; raises ServiceError where the server does not answer."""
        return self._ask(image, "interactive", lambda: False)

    def explain(self, image: Any) -> "Explanation":
        """As `Detector.explain`, with the server's map in its form for caches, of 48 places. Raises
        ConfigurationError for URLs, whose image the server does not give back."""
        from ._explain import explanation
        from ._heatmap import HeatMap
        from ._image import decode

        question = self._question(image)
        if question.url is not None:
            raise ConfigurationError(
                f"{question.name}: a server explains images that it is sent; download it, give the file"
            )
        try:
            check = self._finished(question, "interactive", lambda: False)
            verdict = self._told(check, question)
            decoded = decode(question.data, max_pixels=self._max_pixels, name=question.name)
        except InputError as error:
            raise _renamed(error, question.name) from None
        data = self.heat_map(check)
        if data is None:
            raise ServiceUnavailableError(
                f"{self._client.name}: has no heat map of this image. Ask again, or explain it here."
            )
        heat_map = HeatMap.from_png(data, decoded.width, decoded.height)
        return explanation(verdict, heat_map, decoded.pixels)

    def check_many(self, images: Iterable[Any]) -> Iterator[Verdict | InputError]:
        """As `Detector.check_many`, at the server behind what others ask for singly. Raises
        ServiceError where the server fails, after what was answered before."""
        source = iter(images)
        ahead: deque[Future[Verdict | InputError]] = deque()
        stop = threading.Event()

        def ask(image: Any) -> Verdict | InputError:
            try:
                return self._ask(image, "bulk", stop.is_set)
            except InputError as error:
                return error

        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="aidetect-remote") as pool:
            try:
                ahead.extend(pool.submit(ask, one) for one in islice(source, 2 * self._concurrency))
                while ahead:
                    yield ahead.popleft().result()
                    ahead.extend(pool.submit(ask, one) for one in islice(source, 1))
            finally:
                stop.set()
                for future in ahead:
                    future.cancel()

    def heat_map(self, check: dict[str, Any]) -> bytes | None:
        """The PNG that goes with a finished check; None where it has none (any more)."""
        path = check.get("heatmap")
        if not isinstance(path, str) or not path.startswith("/v1/"):
            return None
        try:
            return self._client.call("GET", path).body
        except InputError:
            return None

    def _ask(self, image: Any, priority: str, stopped: Callable[[], bool]) -> Verdict:
        question = self._question(image)
        try:
            return self._told(self._finished(question, priority, stopped), question)
        except InputError as error:
            raise _renamed(error, question.name) from None

    def _told(self, check: dict[str, Any], question: _Question) -> Verdict:
        verdict = self._verdict(check)
        return replace(verdict, source=question.source, image=question.made or verdict.image)

    def _question(self, image: Any) -> _Question:
        source = name_of(image)
        if isinstance(image, str) and is_url(image):
            return _Question(shown(image), image, url=image)
        if isinstance(image, str | os.PathLike | bytes) or hasattr(image, "read"):
            try:
                data = read(image, self._max_bytes)
                identify(data, source)
            except InputError as error:
                error.input = source or error.input
                raise
            return _Question(source, source, data=data)
        data, made = _encoded(image, self._max_pixels, source)
        return _Question(source, source, data=data, made=made)

    def _finished(
        self, question: _Question, priority: str, stopped: Callable[[], bool]
    ) -> dict[str, Any]:
        """The finished check object. Raises the InputError that the check ended with."""
        for attempt in range(MAX_UPLOADS):
            check = self._followed(self._begun(question, priority), stopped)
            if check.get("state") == "done":
                return check
            problem = check.get("problem")
            if not isinstance(problem, dict):
                raise ServiceError(f"{self._client.name}: gives neither verdict nor problem. Update it.")
            if problem.get("code") != "upload_gone" or attempt + 1 == MAX_UPLOADS:
                raise error_of(problem)
        raise AssertionError("the last attempt returns or raises")

    def _begun(self, question: _Question, priority: str) -> dict[str, Any]:
        """The check object as it is first answered."""

        def call(method: str, path: str, **options: Any) -> dict[str, Any]:
            return self._client.call(method, path, **options).data

        if question.url is not None and priority == "bulk":
            batch = call("POST", "/v1/checks/batch", send={"urls": [question.url]})
            return _only(batch.get("checks"))
        if question.url is not None:
            return call("POST", "/v1/checks", send={"url": question.url}, wait=self._wait)
        if len(question.data) >= ASK_FIRST:
            try:
                digest = hashlib.sha256(question.data).hexdigest()
                return call("POST", "/v1/checks", send={"sha256": digest}, wait=self._wait)
            except AidetectError as error:
                if error.code != "unknown_image":
                    raise
        return call("POST", "/v1/uploads", send=question.data, wait=self._wait, priority=priority)

    def _followed(self, check: dict[str, Any], stopped: Callable[[], bool]) -> dict[str, Any]:
        """The check object when it is finished. Raises ServiceUnavailableError where nothing has
        moved for as long as patience lasts, and once the asker has `stopped`."""
        seen, since = (check.get("state"), check.get("position")), time.monotonic()
        while check.get("state") not in _FINISHED:
            if "problem" in check and "id" not in check:  # refused within a batch
                raise _refused(check["problem"])
            if not isinstance(check.get("id"), str) or not _CHECK_ID.fullmatch(check["id"]):
                raise ServiceError(f"{self._client.name}: answers with no check. Check the address.")
            if stopped() or time.monotonic() - since > self._patience:
                self._leave(check["id"])
                raise ServiceUnavailableError(
                    f"{self._client.name}: the check is {printable(str(check.get('state')), 20)} and has"
                    f" not moved for {self._patience:g} seconds. Ask whoever runs the server whether"
                    " its workers do (/readyz says), or try again later."
                )
            asked = time.monotonic()
            check = self._client.call("GET", f"/v1/checks/{check['id']}", wait=self._wait).data
            now = (check.get("state"), check.get("position"))
            if now != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - asked < 1:  # no place to wait at the server
                time.sleep(1)
        return check

    def _leave(self, id: str) -> None:
        """Lets the server drop the work, if it answers."""
        with suppress(AidetectError):
            self._client.call("DELETE", f"/v1/checks/{id}")

    def _verdict(self, check: dict[str, Any]) -> Verdict:
        """Raises SignatureError where signatures are to be verified and this one does not hold."""
        wire = check.get("verdict")
        if self._trust is not None:
            self._trust.verify(wire, check.get("signature"))
        try:
            return Verdict.from_dict(wire)  # type: ignore[arg-type]
        except AidetectError:
            raise ServiceError(
                f"{self._client.name}: sends a verdict that cannot be read. Update aidetect."
            ) from None


def _only(checks: Any) -> dict[str, Any]:
    """The only entry of a batch of one."""
    if isinstance(checks, list) and len(checks) == 1 and isinstance(checks[0], dict):
        return checks[0]
    return {}


def _refused(problem: Any) -> AidetectError:
    error = error_of(problem if isinstance(problem, dict) else {})
    if error.code == "queue_full":
        return ServiceUnavailableError(error.message)
    return error


def _encoded(image: Any, max_pixels: int, name: str | None) -> tuple[bytes, ImageInfo]:
    """The pixels of a PIL image or an array as a PNG, and what they are called where they are checked
    locally. Raises ImageError, or ConfigurationError for what is no image."""
    import numpy as np

    from ._image import from_array, from_pil

    if isinstance(image, np.ndarray):
        decoded = from_array(image)
    elif hasattr(image, "getbands"):
        decoded = from_pil(image, max_pixels=max_pixels, name=name)
    else:
        raise ConfigurationError(no_image(image))
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(decoded.pixels).save(file, "PNG", compress_level=1)
    digest = hashlib.sha256(np.ascontiguousarray(decoded.pixels).data).hexdigest()
    size = (decoded.width, decoded.height)
    return file.getvalue(), ImageInfo(digest, *size, decoded.format, decoded.pixels.nbytes)


def _renamed(error: InputError, name: str | None) -> InputError:
    """An error of the server, which does not know what the caller calls the image."""
    if name is not None:
        shown_name = printable(name)
        message = error.message.removeprefix("The image").removeprefix("the image")
        if message != error.message:
            message = f"{shown_name}{message}"
        elif not message.startswith(shown_name):
            message = f"{shown_name}: {message}"
        error.message, error.args, error.input = message, (message, *error.args[1:]), name
    return error
