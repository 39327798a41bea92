"""Backends: every one gives the logits of the torch module, from memory, from many threads."""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aidetect import ConfigurationError, MissingExtraError, ModelIntegrityError
from aidetect import _backends as backends
from aidetect._backends import Backend, open_backend
from aidetect._backends._openvino import OpenVinoBackend
from aidetect._backends._torch import TorchBackend
from aidetect._image import decode
from aidetect._model import SEResNet50
from aidetect._views import extract_views
from aidetect._weights import ModelPackage, load_package

from ..networks import SMALL, network, package, sample_views

NAMES = ("onnx", "openvino", "torch")
ARCHITECTURES: list[dict[str, Any]] = [
    {"front_end": "rgb+residual"},
    {"front_end": "rgb", "stages": 2},
    {"front_end": "residual", "stages": 2, "stem_stride": 1},
    {"stages": 3, "stem_pool": False, "pooling": "mean+deviation"},
]
Right = Callable[[int, int], NDArray[np.float32]]
"""What a network in full precision says of so many of the `sample_views` of a size."""
Pair = tuple[Right, ModelPackage]


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    assert logits.dtype == np.float32 and logits.shape[1:] == (2,)
    return torch.from_numpy(logits).softmax(1)[:, 1].numpy()


def expected(model: SEResNet50, views: NDArray[np.uint8]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return probabilities(model(torch.from_numpy(views).permute(0, 3, 1, 2)).numpy())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return load_package(package(tmp_path_factory.mktemp("small"), SMALL))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Pair]:
    """Makes what `pair` is, each once."""

    @functools.cache
    def made(at: int) -> Pair:
        model, folder = network(ARCHITECTURES[at]), tmp_path_factory.mktemp("package")
        right = functools.cache(lambda count, size: expected(model, sample_views(size)[:count]))
        return right, load_package(package(folder, ARCHITECTURES[at], model=model))

    return made


@pytest.fixture(scope="module", params=range(len(ARCHITECTURES)), ids=lambda at: str(ARCHITECTURES[at]))
def pair(request: pytest.FixtureRequest, pairs: Callable[[int], Pair]) -> Pair:
    """What a network says, and its package."""
    return pairs(request.param)


def opened(name: str, given: ModelPackage) -> Backend:
    """In float32."""
    if name == "openvino":
        return OpenVinoBackend(given, 1, "f32")
    return open_backend(given, name, "cpu", threads=1)


@pytest.fixture(scope="module", params=NAMES)
def backend(request: pytest.FixtureRequest, pair: Pair) -> Backend:
    found = opened(request.param, pair[1])
    assert (found.name, found.device) == (request.param, "cpu")
    return found


def test_agree_in_float32(backend: Backend, pair: Pair) -> None:
    right = pair[0](8, 64)
    assert np.ptp(right) > 0.5
    assert np.abs(probabilities(backend.logits(sample_views(64))) - right).max() < 0.005


def test_take_any_number_and_size_of_views(backend: Backend, pair: Pair) -> None:
    right, _ = pair
    assert backend.logits(np.empty((0, 64, 64, 3), np.uint8)).shape == (0, 2)
    for count, size in ((1, 64), (3, 40), (8, 56)):
        found = probabilities(backend.logits(sample_views(size)[:count]))
        assert np.abs(found - right(count, size)).max() < 0.005


def test_agree_in_bfloat16(pair: Pair) -> None:
    right, given = pair
    views = sample_views(64)
    for backend in (OpenVinoBackend(given, 1, "bf16"), TorchBackend(given, "cpu", 1, "bfloat16")):
        found = probabilities(backend.logits(views))
        assert 0 < np.abs(found - right(8, 64)).max() < 0.03


def test_the_shipped_model_agrees_in_every_backend(photograph: Path) -> None:
    given = load_package()
    views = extract_views(
        decode(photograph.read_bytes()).pixels, "default", given.manifest.view_size
    ).pixels
    right = probabilities(opened("torch", given).logits(views))
    for name in ("onnx", "openvino"):
        assert np.abs(probabilities(opened(name, given).logits(views)) - right).max() < 0.005
    for backend in (OpenVinoBackend(given, 1, "bf16"), TorchBackend(given, "cpu", 1, "bfloat16")):
        assert np.abs(probabilities(backend.logits(views)) - right).max() < 0.03


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_agree_on_the_gpu(pair: Pair) -> None:
    right, given = pair
    backend = open_backend(given)
    assert (backend.name, backend.device) == ("torch", "cuda:0")
    found = probabilities(backend.logits(sample_views(64)))
    assert np.abs(found - right(8, 64)).max() < 0.03


@pytest.mark.parametrize("name", NAMES)
def test_serve_many_threads(name: str, small: ModelPackage) -> None:
    backend = opened(name, small)
    views = sample_views(64)
    one_by_one = [backend.logits(views[i : i + 1]) for i in range(8)] * 4
    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(lambda i: backend.logits(views[i % 8 : i % 8 + 1]), range(32)))
    for one, other in zip(one_by_one, at_once, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_need_no_file_once_the_package_is_read(name: str, small: ModelPackage, tmp_path: Path) -> None:
    copy = shutil.copytree(small.path.parent, tmp_path / "copy")
    given = load_package(copy)
    for file in copy.iterdir():
        file.write_bytes(b"something else")
    views = sample_views(64)
    found = probabilities(opened(name, given).logits(views))
    assert np.abs(found - expected(network(SMALL), views)).max() < 0.005


def test_auto_takes_the_first_that_is_there(
    small: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_backend(small, device="cpu").name == "openvino"
    there = {"openvino", "onnx", "torch"}
    monkeypatch.setattr(backends, "_installed", lambda name: name in there)
    monkeypatch.setattr(backends, "_nvidia_driver", lambda: False)
    for name in ("openvino", "onnx", "torch"):
        backend = open_backend(small)
        assert (backend.name, backend.device) == (name, "cpu")
        there.remove(name)
        with pytest.raises(MissingExtraError, match="pip install"):
            open_backend(small, name)
    with pytest.raises(MissingExtraError, match=r"'\.\[torch\]'"):
        open_backend(small)


def test_auto_looks_for_a_gpu_only_where_its_driver_is(
    small: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("aidetect._backends._torch.cuda_available", lambda: asked.append(1))
    monkeypatch.setattr(backends, "_nvidia_driver", lambda: False)
    open_backend(small)
    assert not asked
    monkeypatch.setattr(backends, "_nvidia_driver", lambda: True)
    assert open_backend(small).device == "cpu"
    assert asked
    open_backend(small, device="cpu")
    assert len(asked) == 1


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_pytorch_is_not_imported_for_the_others(name: str, small: ModelPackage) -> None:
    script = (
        "import sys, pathlib; from aidetect._weights import load_package;"
        "from aidetect._backends import open_backend; runtimes = {'torch', 'onnxruntime', 'openvino'};"
        "assert not runtimes & set(sys.modules);"
        f"open_backend(load_package(pathlib.Path(sys.argv[1])), {name!r}, threads=1);"
        f"assert runtimes & set(sys.modules) == {{{backends._MODULES[name]!r}}}"
    )
    subprocess.run([sys.executable, "-c", script, str(small.path)], check=True, timeout=120)


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_nothing_is_reported_to_anybody(name: str, small: ModelPackage, tmp_path: Path) -> None:
    """Either runtime, merely imported, would leave an identifier in the home folder and send it on."""
    script = (
        "import sys, pathlib, socket; from aidetect._weights import load_package;"
        "from aidetect._backends import open_backend; events = [];"
        "sys.addaudithook(lambda event, _: events.append(event));"
        f"open_backend(load_package(pathlib.Path(sys.argv[1])), {name!r}, threads=1);"
        "assert 'openvino_telemetry' not in sys.modules;"
        "assert 'import' in events and not [e for e in events if e.startswith('socket.')]"
    )
    switches = ("CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    home = {name: str(tmp_path) for name in ("HOME", "USERPROFILE", "LOCALAPPDATA")}
    environment = {key: value for key, value in os.environ.items() if key not in switches} | home
    command = [sys.executable, "-c", script, str(small.path)]
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "tensor\x1bflow"}, r"tensor\\x1bflow.*choose auto"),
        ({"device": "gpu"}, "choose auto, cpu, cuda"),
        ({"device": "cuda:x"}, "choose auto, cpu, cuda"),
        ({"device": "cuda:"}, "choose auto, cpu, cuda"),
        ({"backend": "onnx", "device": "cuda"}, "for a GPU choose 'torch'"),
        ({"backend": "openvino", "device": "cuda:1"}, "for a GPU choose 'torch'"),
        ({"threads": 0}, "from 1 to 1024"),
        ({"threads": 1025}, "from 1 to 1024"),
        ({"threads": 10**30}, "from 1 to 1024"),
        ({"device": "cuda:99"}, "choose 'cpu'|this machine has"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str, small: ModelPackage) -> None:
    with pytest.raises(ConfigurationError, match=message):
        open_backend(small, **options)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "broken",
    [
        {"graph": b"no graph", "weights": b"no weights"},
        {"graph": b"", "weights": b""},
        {"weights": b"\x08" + bytes(7) + b"{}      "},
    ],
    ids=["nonsense", "empty", "no tensors"],
)
def test_a_package_of_nonsense_is_refused(
    name: str, broken: dict[str, bytes], small: ModelPackage
) -> None:
    with pytest.raises(ModelIntegrityError, match="export it again"):
        open_backend(replace(small, **broken), name)


def test_an_architecture_that_is_not_the_weights_is_refused(small: ModelPackage) -> None:
    for architecture in ({"front_end": "rgb"}, {"unknown": 1}, {"stages": "four"}):
        given = replace(small, manifest=replace(small.manifest, architecture=architecture))
        with pytest.raises(ModelIntegrityError, match="cannot load model test"):
            open_backend(given, "torch", "cpu")
