"""What all tests share: a clean environment, a photograph of their own, the folder of images."""

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from .end_to_end.stack import Stack

# The same examples each time, however long this machine takes for them: what is found by chance is for
# tests/fuzz_provenance.py.
settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tests")


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the repository."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and so it would be for all that
    the tests start; Ctrl-C is to reach them."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What browsers, servers and libraries leave in the folder for temporary files goes when the tests
    end. Its path is short, as those of sockets have to be."""
    tmp_path_factory.getbasetemp()  # pytest's own stays, with the pictures in it
    folder = tempfile.mkdtemp(prefix="aidetect-")
    # Below the priority with which multiprocessing removes its own folder in it.
    Finalize(None, shutil.rmtree, (folder, True), exitpriority=-200)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(autouse=True)
def plain_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No AIDETECT_… variable of whoever runs the tests reaches a test, except where the images lie."""
    for name in list(os.environ):
        if name.startswith("AIDETECT_") and name != "AIDETECT_DATA":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 640×480 JPEG with a photograph's statistics, made here: nobody's picture, the same each time.

    Amplitudes fall as 1/f, as in natural images; a bright sky over a darker ground; a lens's blur,
    then a sensor's noise.
    """
    random = np.random.default_rng(20)
    height, width = 480, 640
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.exp(2j * np.pi * random.random((4, *frequency.shape))) / frequency
    texture = np.fft.irfft2(spectrum, s=(height, width))
    texture /= texture.std(axis=(1, 2), keepdims=True)
    luminance = np.linspace(190, 70, height)[:, None] + 34 * texture[0]
    scene = luminance[..., None] + 9 * texture[1:].transpose(1, 2, 0)
    lens = Image.fromarray(scene.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.5))
    sensor = np.asarray(lens, dtype=np.float64) + random.normal(0, 2.5, scene.shape)
    path = tmp_path_factory.mktemp("photograph") / "photo.jpg"
    Image.fromarray(sensor.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return path


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with train/ and devtest/, which the repository may not hold; mark such tests `data`."""
    folder = os.environ.get("AIDETECT_DATA")
    if not folder or not Path(folder, "devtest", "manifest.csv").is_file():
        pytest.skip("AIDETECT_DATA names no folder with devtest/manifest.csv")
    return Path(folder)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Stack"]:
    """Redis, worker with the shipped model, and server, for all tests; URLs may name loopback hosts.
    What its `--open` opens is written to `opened` in its folder."""
    if os.name == "nt":
        pytest.skip("`aidetect up` does not run on Windows")
    from .end_to_end.stack import Stack

    folder = tmp_path_factory.mktemp("up")
    opener = folder / "browser"
    opener.write_text(f'#!/bin/sh\nprintf %s "$1" > {folder}/new && mv {folder}/new {folder}/opened\n')
    opener.chmod(0o700)
    environ = {"AIDETECT_ALLOW_PRIVATE": "1", "BROWSER": f"{opener} %s"}
    with Stack(folder, environ, "--open") as stack:
        yield stack


@pytest.fixture(scope="session")
def chromium_program() -> Iterator[tuple[Any, str]]:
    """Playwright, which a process can start but once, and the Chromium that it is to drive."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        yield playwright, program


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which finds what keeps people from using a page."""
    from .npm import modules

    return (modules() / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """A host that is not found, and that no resolver is asked for."""
    resolve = socket.getaddrinfo

    def unknown(host: str, *args: Any, **options: Any) -> Any:
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    return "nowhere.invalid"
