"""`Detector(url=…)` against a server on loopback that fails as the test wants it to."""

import io
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aidetect import (
    AuthenticationError,
    ConfigurationError,
    CorruptImageError,
    Detector,
    HTTPStatusError,
    InputError,
    InputNotFoundError,
    InvalidArrayError,
    NotAnImageError,
    RateLimitedError,
    ServerUnreachableError,
    ServiceError,
    ServiceUnavailableError,
    TooLargeError,
    UnreachableError,
    Verdict,
)
from aidetect._remote import ASK_FIRST

from .api_server import KEY, ApiHandler, ApiServer
from .image_files import noise, save
from .origin import PATIENCE, closed_port

PNG = save(noise(40, 40), "PNG")
BIG = save(noise(400, 400), "PNG")
assert len(PNG) < ASK_FIRST < len(BIG)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer() as server:
        yield server


@pytest.fixture
def detector(server: ApiServer) -> Detector:
    return Detector(url=server.url("/"), api_key=KEY, timeout=PATIENCE, retries=3)


def fails(code: str, status: int, **headers: str) -> Callable[[ApiHandler], None]:
    return lambda handler: handler.problem(code, status, **headers)


def hangs_up(handler: ApiHandler) -> None:
    handler.close_connection = True


def resets(handler: ApiHandler) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def cut(handler: ApiHandler) -> None:
    handler.reply(b'{"id": ', headers={"Content-Length": "1000"})
    handler.close_connection = True


def test_a_file_is_sent_as_it_is_and_keeps_its_name(
    server: ApiServer, detector: Detector, tmp_path: Path
) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    verdict = detector.check(path)
    assert verdict.label == "ai" and verdict.source == str(path)
    assert verdict.image.sha256 == sha256(PNG).hexdigest()
    assert server.paths == ["POST /v1/uploads"] and server.calls[0][2] == PNG
    assert server.keys == [f"Bearer {KEY}"]


def test_a_known_image_is_not_sent_again(server: ApiServer, detector: Detector) -> None:
    first, second = detector.check(BIG), detector.check(io.BytesIO(BIG))
    assert first == second
    assert server.paths == ["POST /v1/checks", "POST /v1/uploads", "POST /v1/checks"]


def test_a_url_is_sent_as_a_url(server: ApiServer, detector: Detector) -> None:
    url = "https://a.example/x.png?token=1"
    assert detector.check(url).source == url
    assert json.loads(server.calls[0][2]) == {"url": url}
    (found,) = detector.check_many([url])
    assert isinstance(found, Verdict) and found.source == url
    assert server.paths == ["POST /v1/checks", "POST /v1/checks/batch"]


def test_arrays_and_pil_images_are_called_what_they_are_locally(detector: Detector) -> None:
    array = np.asarray(noise(50, 60))
    pixels = Image.fromarray(array)
    image = detector.check(pixels)
    found = detector.check(array)
    assert (found.image.format, image.image.format) == ("array", "PIL")
    assert found.image.sha256 == image.image.sha256 == sha256(array.tobytes()).hexdigest()
    assert (found.image.width, found.image.height) == pixels.size
    with pytest.raises(InvalidArrayError):
        detector.check(np.zeros((4, 4), np.uint8))


def test_it_waits_until_the_check_is_done(server: ApiServer, detector: Detector) -> None:
    server.polls = 3
    assert detector.check(PNG).label == "ai"
    assert [path.split("/")[2] for path in server.paths] == ["uploads", *["checks"] * 3]


@pytest.mark.parametrize(
    "fault",
    [
        *(fails("busy", status) for status in (429, 502, 503, 504)),
        *(hangs_up, resets, cut),
        lambda handler: handler.reply(b"<html>Bad gateway", status=502),
    ],
)
def test_what_passes_is_tried_again(
    fault: Callable[[ApiHandler], None], server: ApiServer, detector: Detector
) -> None:
    server.faults = [fault, fault]
    assert detector.check(PNG).label == "ai"
    assert server.paths == ["POST /v1/uploads"] * 3


def test_a_pause_that_the_server_asks_for_is_kept(server: ApiServer, detector: Detector) -> None:
    server.faults = [fails("busy", 503, Retry_After="1")]
    started = time.monotonic()
    detector.check(PNG)
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("fault", "error", "calls"),
    [
        (fails("busy", 503), ServiceUnavailableError, 4),
        (fails("rate", 429), RateLimitedError, 4),
        (fails("rate", 429, Retry_After="3600"), RateLimitedError, 1),
        (fails("no_key", 401), AuthenticationError, 1),
        (fails("no_scope", 403), AuthenticationError, 1),
        (hangs_up, ServerUnreachableError, 4),
        (lambda handler: handler.reply(b"", 302, {"Location": "http://a.example/"}), ServiceError, 1),
        (lambda handler: handler.reply(b"<html>", 404), ServiceError, 1),
        (lambda handler: handler.reply(b"<html>a page"), ServiceError, 1),
        (lambda handler: handler.reply(b"x" * 9_000_000), ServiceError, 1),
        (lambda handler: handler.json({"id": "../../x", "state": "queued"}, 202), ServiceError, 1),
        (lambda handler: handler.json({"id": "a", "state": "done", "verdict": {}}), ServiceError, 1),
    ],
)
def test_what_stays_is_an_error_of_the_service(
    fault: Callable[[ApiHandler], None],
    error: type[ServiceError],
    calls: int,
    server: ApiServer,
    detector: Detector,
) -> None:
    server.faults = [fault] * 8
    with pytest.raises(error) as caught:
        detector.check(PNG)
    assert type(caught.value) is error and len(server.calls) == calls
    assert str(caught.value).startswith(server.url("")) and KEY not in str(caught.value)


def test_the_pause_asked_for_is_told(server: ApiServer, detector: Detector) -> None:
    server.faults = [fails("rate", 429, Retry_After="3600")]
    with pytest.raises(RateLimitedError) as caught:
        detector.check(PNG)
    assert caught.value.retry_after == 3600 and caught.value.retryable


def test_a_server_that_is_not_there() -> None:
    detector = Detector(url=f"http://127.0.0.1:{closed_port()}", retries=1)
    with pytest.raises(ServerUnreachableError, match=r"connection was refused.*aidetect up"):
        detector.check(PNG)
    with pytest.raises(ServerUnreachableError):
        _ = detector.model


@pytest.mark.parametrize(
    ("scheme", "host", "message"),
    [
        ("http", "127.0.0.1", "the connection was refused"),
        ("http", "nowhere.invalid", "its host name was not found"),
        ("https", "localhost", "no secure connection"),
    ],
)
@pytest.mark.usefixtures("nowhere")
def test_a_server_that_never_answered_and_cannot_be_connected_to_is_told_at_once(
    scheme: str, host: str, message: str, server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    port = server.port if scheme == "https" else closed_port()  # one that speaks no TLS
    caplog.set_level("INFO", "aidetect.client")
    with pytest.raises(ServerUnreachableError, match=message):
        Detector(url=f"{scheme}://{host}:{port}").check(PNG)
    assert not caplog.records and not server.calls


def test_a_server_that_has_answered_is_waited_for_while_it_restarts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = closed_port()
    detector = Detector(url=f"http://127.0.0.1:{port}", api_key=KEY)
    with ApiServer(port) as server:
        server.faults = [lambda handler: handler.problem("unknown_image", 404, Connection="close")]
        with pytest.raises(InputError):
            detector.check(PNG)
    caplog.set_level("INFO", "aidetect.client")
    found: list[Verdict] = []
    asking = threading.Thread(target=lambda: found.append(detector.check(PNG)))
    asking.start()
    while not caplog.messages and asking.is_alive():
        time.sleep(0.01)
    with ApiServer(port) as server:
        asking.join(PATIENCE)
        assert [verdict.label for verdict in found] == ["ai"] and len(server.calls) == 1
    assert re.fullmatch(
        r"http://127\.0\.0\.1:\d+: the connection .*; it is asked again, up to 5 times",
        caplog.messages[0],
    )


@pytest.mark.parametrize("piece", [b"", b" "], ids=["silent", "dripping"])
def test_slow_answers_end_in_time(piece: bytes, server: ApiServer) -> None:
    def slow(handler: ApiHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.drip(piece, 0.2)

    detector = Detector(url=server.url("/"), timeout=0.5, patience=1, retries=0)
    server.faults = [slow]
    started = time.monotonic()
    with pytest.raises(ServerUnreachableError, match="in time"):
        detector.check(PNG)
    assert time.monotonic() - started < PATIENCE / 2


def test_a_check_that_never_moves_is_given_up_and_left(server: ApiServer) -> None:
    server.polls = 1000
    detector = Detector(url=server.url("/"), patience=0.5, timeout=PATIENCE)
    with pytest.raises(ServiceUnavailableError, match="has not moved"):
        detector.check(PNG)
    assert server.paths[-1].startswith("DELETE /v1/checks/")


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        ({"code": "corrupt_image", "detail": "The image is cut. Get it again."}, CorruptImageError),
        ({"code": "timeout", "detail": "no answer. Try later."}, UnreachableError),
        ({"code": "http_4xx", "detail": "404.", "upstream_status": 404}, HTTPStatusError),
        ({"code": "internal", "detail": "A worker died.", "retryable": True}, InputError),
        ({"code": "from_the_future", "detail": "\x1b[2J"}, InputError),
        ({}, InputError),
    ],
)
def test_what_the_server_found_wrong_is_the_same_error_as_locally(
    problem: dict[str, Any], error: type[InputError], server: ApiServer, tmp_path: Path
) -> None:
    server.problem = problem
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    with pytest.raises(error) as caught:
        Detector(url=server.url("/")).check(path)
    assert type(caught.value) is error
    assert caught.value.code == problem.get("code", "input")
    assert caught.value.input == str(path) and str(caught.value).startswith(str(path))
    assert getattr(caught.value, "status", 404) == 404
    assert caught.value.retryable is (problem.get("code") in ("timeout", "internal"))


def test_bytes_that_the_server_lost_are_sent_again_once(server: ApiServer, detector: Detector) -> None:
    server.problem = {"code": "upload_gone", "detail": "Send it again."}
    with pytest.raises(InputError, match="again"):
        detector.check(PNG)
    assert server.paths == ["POST /v1/uploads"] * 2


@pytest.mark.parametrize(
    ("image", "error"),
    [
        (b"secret text", NotAnImageError),
        ("gone.png", InputNotFoundError),
        (b"\x89PNG\r\n\x1a\n" * 1000, TooLargeError),
    ],
)
def test_what_is_no_image_is_never_sent(image: Any, error: type[InputError], server: ApiServer) -> None:
    detector = Detector(url=server.url("/"), max_bytes=1000)
    with pytest.raises(error):
        detector.check(image)
    with pytest.raises(ConfigurationError, match="cannot check a int"):
        detector.check(3)  # type: ignore[arg-type]
    assert not server.calls


def test_many_in_order_with_errors_in_their_place(server: ApiServer, detector: Detector) -> None:
    images = [save(noise(20 + n, 20), "PNG") for n in range(30)]
    found = list(detector.check_many([*images[:9], b"text", *images[9:], "gone.png"]))
    assert [type(one) for one in found[:10]] == [Verdict] * 9 + [NotAnImageError]
    assert isinstance(found[-1], InputNotFoundError)
    hashes = [one.image.sha256 for one in found if isinstance(one, Verdict)]
    assert hashes == [sha256(image).hexdigest() for image in images]
    assert all("priority=bulk" in path for _, path, _ in server.calls)


def test_many_run_side_by_side_and_few_are_read_ahead(server: ApiServer) -> None:
    together = threading.Barrier(10)

    def in_company(handler: ApiHandler) -> None:
        together.wait(PATIENCE)
        server.answer_call(handler, "POST", "/v1/uploads", PNG)

    server.faults = [in_company] * 10  # none is answered before ten have been asked
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield PNG

    answers = Detector(url=server.url("/"), concurrency=10).check_many(endless())
    for _ in range(20):
        assert isinstance(next(answers), Verdict)
    answers.close()  # type: ignore[attr-defined]
    assert taken <= 40
    assert not [t for t in threading.enumerate() if t.name.startswith("aidetect-remote")]


def test_a_server_that_fails_ends_many_with_its_error(server: ApiServer, detector: Detector) -> None:
    server.faults = [fails("no_key", 401)] * 100
    with pytest.raises(AuthenticationError):
        list(detector.check_many([PNG] * 5))


def test_the_environment_names_server_and_key(
    server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIDETECT_URL", server.url(""))
    monkeypatch.setenv("AIDETECT_API_KEY", KEY)
    assert Detector().backend == "server"
    Detector().check(PNG)
    assert server.keys == [f"Bearer {KEY}"]
    assert Detector(backend="onnx", views="fast").backend == "onnx"  # a model of one's own was asked for


def test_what_the_server_is(server: ApiServer, detector: Detector) -> None:
    assert detector.model.version == "1" and detector.model.sha256 in detector.identity
    assert server.url("") in repr(detector) and KEY not in repr(vars(detector))


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://a.example"},
        {"url": "a.example"},
        {"url": "http://"},
        {"url": "http://user:password@a.example"},
        {"url": "http://a.example", "backend": "onnx"},
        {"url": "http://a.example", "allow_private": True},
        {"url": "http://a.example", "api_key": "two\nlines"},
        {"url": "http://a.example", "retries": -1},
        {"url": "http://a.example", "concurrency": 0},
        {"url": "http://a.example", "patience": float("nan")},
        {"trust": "first-use"},
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Detector(**options)
    assert "password" not in str(caught.value)


def test_one_closed_pil_image_is_an_error(detector: Detector) -> None:
    image = Image.open(io.BytesIO(PNG[:200]))
    with pytest.raises(CorruptImageError):
        detector.check(image)
