"""Whatever a URL leads to: an outcome with a code and a sentence, and no more tries than can help."""

import gzip
import io
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from redis import Redis

from aidetect import InvalidURLError
from aidetect._protocol import CheckRequest
from aidetect_worker import Broker

from ..sdk.origin import Handler, Origin, closed_port, self_signed
from .conftest import FLEET
from .test_worker import Work, work
from .workers import nothing_left, problem, upload

__all__ = ["work"]  # the fixture


def png(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side)).save(file, "PNG")
    return file.getvalue()


def drip(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    handler.drip(b"x", 0.1)


BODIES = {
    "not_an_image": b"nothing of the kind",
    "unsupported_format": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "corrupt_image": png(300)[:-60],
    "too_many_pixels": png(1100),
    "too_large": bytes(300_000),
}
ANSWERS: dict[str, tuple[str, int, Callable[[Handler], None]]] = {
    "missing": ("http_4xx", 1, partial(Handler.reply, body=b"", status=404)),
    "down": ("http_5xx", 3, partial(Handler.reply, body=b"", status=500)),
    "slow": ("timeout", 2, drip),
    "endless": (
        "too_large",
        1,
        partial(Handler.drip, piece=b"HTTP/1.1 200 OK\r\n\r\n" * 9000, seconds=0),
    ),
    "squeezed": (
        "fetch",
        1,
        partial(Handler.reply, body=gzip.compress(bytes(10**7)), headers={"Content-Encoding": "gzip"}),
    ),
    "page": (
        "not_an_image",
        1,
        partial(Handler.reply, body=b"<!doctype html>", headers={"Content-Type": "text/html"}),
    ),
    "breaks": ("connection", 3, lambda handler: handler.connection.shutdown(socket.SHUT_RDWR)),
}
"""By path: the code, the requests that it takes, and what the server does."""


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as server:
        yield server


def test_what_servers_do(
    broker: Broker, redis: Redis, work: Work, origin: Origin, nowhere: str, tmp_path: Path
) -> None:
    expected: dict[str, tuple[str, int]] = {}
    urls = []
    for code, body in BODIES.items():
        urls.append(origin.serve(f"/{code}", body))
        expected[f"/{code}"] = code, 1
    for name, (code, tries, answer) in ANSWERS.items():
        urls.append(origin.answer(f"/{name}", answer))
        expected[f"/{name}"] = code, tries
    urls.append(origin.redirect("/round", "/round"))
    expected["/round"] = "http_3xx", 4
    with Origin(certificate=self_signed(tmp_path, "127.0.0.1")) as unknown:
        urls += [unknown.serve("/tls", b""), f"http://127.0.0.1:{closed_port()}/refused"]
        urls.append(f"http://{nowhere}/dns")
        expected |= {"/tls": ("tls", 0), "/refused": ("connection", 0), "/dns": ("dns", 0)}
        jobs = {url: broker.submit(CheckRequest.for_url(url, FLEET), "me") for url in urls}
        work(
            test_decode="1",
            max_pixels="1000000",
            max_bytes="200000",
            fetch_timeout="5",
            fetch_deadline="50",
        )
    asked = [path for path, _ in origin.requests]
    for url, job in jobs.items():
        path = "/" + url.rpartition("/")[2]
        told = problem(broker, job)
        assert (told["code"], asked.count(path)) == expected[path], told
        assert told["message"].endswith(".") and path in told["message"]
    assert nothing_left(redis)


INSIDE = [
    "http://127.0.0.1/", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://0/",
    "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
    "http://localhost/", "http://localhost./", "http://169.254.169.254/latest/meta-data/", "http://10.0.0.1/",
    "http://[fe80::1]/", "http://[fd00::1]/", "http://100.64.0.1/", "http://224.0.0.1/",
]  # fmt: skip


def test_addresses_inside_are_not_connected_to(broker: Broker, redis: Redis, work: Work) -> None:
    jobs = {url: broker.submit(CheckRequest.for_url(url, FLEET), "me") for url in INSIDE}
    good = upload(broker)
    work(allow_private="0")
    assert {url: problem(broker, job)["code"] for url, job in jobs.items()} == dict.fromkeys(
        INSIDE, "blocked_address"
    )
    assert broker.state(good).state == "done" and nothing_left(redis)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a", "gopher://example.org/_x"])
def test_other_schemes_do_not_reach_the_queue(broker: Broker, url: str) -> None:
    with pytest.raises(InvalidURLError):
        CheckRequest.for_url(url, FLEET)


def test_credentials_in_a_url_are_not_sent(broker: Broker, work: Work, origin: Origin) -> None:
    url = origin.serve("/a.png", b"bytes").replace("//", "//user:s3cret@")
    job = broker.submit(CheckRequest.for_url(url, FLEET), "me")
    work()
    told = problem(broker, job)
    assert told["code"] == "invalid_url" and "s3cret" not in str(told) and not origin.requests
