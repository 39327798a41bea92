"""Export: one weights file that the ONNX graph names, in half precision, back into the network."""

import json
import os
import runpy
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

from aidetect import ConfigurationError
from aidetect._backends._onnx import runtime
from aidetect._calibration import Calibration
from aidetect._model import SEResNet50, median_3x3
from aidetect._signatures import generate_key, sign
from aidetect._weights import load_package
from aidetect_training.export import UNCALIBRATED, export_model, rewrite, ship

from ..networks import SMALL, network, package, sample_views


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of a package of the network that is shipped, all four stages of it."""
    return package(tmp_path_factory.mktemp("whole"), {"front_end": "rgb+residual"})


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return package(tmp_path / "small", SMALL)


def test_three_files_small_enough_to_ship(whole: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in whole.parent.iterdir()}
    assert sorted(sizes) == ["test.json", "test.onnx", "test.safetensors"]
    assert sizes["test.onnx"] < 100_000
    assert 40_000_000 < sum(sizes.values()) < 60_000_000


def test_the_graph_is_valid_and_holds_no_weights_of_its_own(whole: Path) -> None:
    onnx.checker.check_model(str(whole.with_suffix(".onnx")), full_check=True)
    graph = onnx.load(whole.with_suffix(".onnx"), load_external_data=False).graph
    outside = [t for t in graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    assert {t.name for t in outside} == set(load_file(whole.with_suffix(".safetensors")))
    assert {e.value for t in outside for e in t.external_data if e.key == "location"} == {
        "test.safetensors"
    }
    inside = [t for t in graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
    assert sum(len(t.raw_data) for t in inside) < 1000


def test_onnx_tools_read_the_weights_out_of_the_safetensors_file(whole: Path) -> None:
    tensors = load_file(whole.with_suffix(".safetensors"))
    graph = onnx.load(whole.with_suffix(".onnx")).graph
    read = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer if t.name in tensors}
    assert len(read) == len(tensors)
    for name, value in read.items():
        np.testing.assert_array_equal(value, tensors[name].numpy())


def test_weights_are_halved_and_statistics_are_not(whole: Path) -> None:
    original = network({"front_end": "rgb+residual"}).state_dict()
    kept = load_file(whole.with_suffix(".safetensors"))
    assert set(kept) == {name for name in original if not name.endswith("num_batches_tracked")}
    for name, value in kept.items():
        assert value.dtype == (torch.float16 if value.ndim > 1 else torch.float32)
        assert torch.equal(value, original[name].to(value.dtype))
    SEResNet50(front_end="rgb+residual").load_state_dict(kept)


def test_maps_are_a_second_output(whole: Path) -> None:
    session = runtime().InferenceSession(whole.with_suffix(".onnx"))
    views = sample_views(64)
    (maps,) = session.run(["maps"], {"views": views})
    with torch.inference_mode():
        right = network({"front_end": "rgb+residual"}).maps(torch.from_numpy(views).permute(0, 3, 1, 2))
    assert maps.shape == right.shape == (8, 2048, 2, 2)
    np.testing.assert_allclose(maps, right.numpy(), atol=0.02 * float(right.abs().max()))


def test_the_graphs_median_is_the_models(tmp_path: Path) -> None:
    """Edges included: the residual, made an output."""
    path = package(tmp_path, {"front_end": "residual", "stages": 2})
    model = onnx.load(path.with_suffix(".onnx"))
    differences = {node.output[0] for node in model.graph.node if node.op_type == "Sub"}
    scaled = [n for n in model.graph.node if n.op_type == "Mul" and n.input[0] in differences]
    residual = scaled[0].output[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(residual, onnx.TensorProto.FLOAT, None))
    onnx.save(model, path.with_suffix(".onnx"))
    session = runtime().InferenceSession(path.with_suffix(".onnx"))
    views = np.random.default_rng(0).integers(0, 256, (2, 37, 50, 3), dtype=np.uint8)
    (found,) = session.run([residual], {"views": views})
    x = torch.from_numpy(views).permute(0, 3, 1, 2).float()
    np.testing.assert_allclose(found, ((x - median_3x3(x)) / 255 * 10).numpy(), atol=1e-6)


def test_the_manifest_says_what_was_given(whole: Path) -> None:
    manifest = load_package(whole).manifest
    assert manifest.architecture == {"front_end": "rgb+residual"}
    assert (manifest.name, manifest.version, manifest.view_size) == ("test", "1", 64)
    assert manifest.trained_on == "nothing" and manifest.contract == 1
    for suffix, digest in ((".safetensors", manifest.weights_sha256), (".onnx", manifest.graph_sha256)):
        assert sha256(whole.with_suffix(suffix).read_bytes()).hexdigest() == digest


def test_the_same_weights_make_the_same_files(tmp_path: Path) -> None:
    one, two = package(tmp_path / "one", SMALL), package(tmp_path / "two", SMALL)
    for suffix in (".safetensors", ".onnx"):
        assert one.with_suffix(suffix).read_bytes() == two.with_suffix(suffix).read_bytes()


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    def export(weights: dict[str, torch.Tensor], architecture: dict[str, object]) -> Path:
        return export_model(
            weights, architecture, 64, name="x", version="1",
            calibration=UNCALIBRATED, trained_on="nothing", out=tmp_path / "out",
        )  # fmt: skip

    weights = network(SMALL).state_dict()
    with pytest.raises(ConfigurationError, match="the weights are not those of"):
        export(weights, {"stages": 2})
    for value in (1e6, float("nan")):
        key = "layers.0.0.conv1.weight"
        broken = {**weights, key: weights[key] * value}
        with pytest.raises(ConfigurationError, match=f"{key} holds values that float16 cannot"):
            export(broken, SMALL)
    assert not (tmp_path / "out").exists()


def test_a_rewrite_changes_nothing_else_and_drops_the_signature(small: Path, tmp_path: Path) -> None:
    generate_key(tmp_path / "key")
    sign(small, (tmp_path / "key").read_bytes())
    before = load_package(small).manifest
    fitted = {**UNCALIBRATED, "floor": 0.005}
    assert rewrite(small.parent, calibration=fitted) == small
    assert load_package(small).manifest == replace(before, calibration=fitted)
    assert not small.with_suffix(".sig").exists()


def test_the_stand_in_for_a_calibration_is_one() -> None:
    assert Calibration.from_dict(json.loads(json.dumps(UNCALIBRATED))).ai_error == 1.0


def test_ship_replaces_the_model_and_pins_it(small: Path, tmp_path: Path) -> None:
    folder, pins = tmp_path / "weights", tmp_path / "_pins.py"
    folder.mkdir()
    for name in ("old.json", "old.onnx", "old.safetensors"):
        (folder / name).write_bytes(b"old")
    for given in (small, small.parent, folder):
        assert ship(given, folder, pins) == folder / "test.json"
        assert sorted(os.listdir(folder)) == ["test.json", "test.onnx", "test.safetensors"]
        pinned = runpy.run_path(str(pins))
        assert pinned["MODEL"] == "test"
        assert pinned["MANIFEST_SHA256"] == load_package(folder).manifest_sha256
