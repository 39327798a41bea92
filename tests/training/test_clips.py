import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aidetect import ConfigurationError
from aidetect_training.cli import main
from aidetect_training.clips import DRAWINGS, Camera, ClipOptions, make_clips
from aidetect_training.layouts import read_dataset
from aidetect_training.prepare import read_rows
from aidetect_training.video_read import read_run

from .conftest import picture, write_manifest

pytest.importorskip("av", reason="the video extra is not installed")

SMALL = ClipOptions(pairs=6, size=48, frames=12)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs and AI images of two origins each, one of each to hold out; some of no use."""
    folder = tmp_path_factory.mktemp("originals")
    rng = np.random.default_rng(5)
    rows = []
    for number in range(24):
        label = number % 2
        origin = f"{'ai' if label else 'real'}/{'held-out' if number % 8 < 2 else 'other'}"
        category = "art" if number == 20 else "photo"
        path = f"{number}.png"
        picture(label, 90, 80, rng).save(folder / path)
        row = {"path": path, "label": str(label), "generator": "gen" * label, "source": origin}
        rows.append({**row, "category": category})
    picture(0, 60, 60, rng).save(folder / "small.png")
    (folder / "broken.png").write_bytes(b"no image")
    for name in ("small.png", "broken.png"):
        rows.append({**rows[0], "path": name})
    write_manifest(folder, rows)
    return folder


@pytest.fixture(scope="module")
def clips(originals: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clips")
    assert make_clips(originals, out, SMALL, ("real/held-out", "ai/held-out"))["clips"] == 12
    return out


def frames(path: Path) -> np.ndarray:
    return np.stack(list(read_run(path, 12, 0, 0))).astype(np.float32)


def changes(path: Path) -> np.ndarray:
    """Mean difference of the middle of each frame from the one before."""
    return np.abs(np.diff(frames(path)[:, 16:32, 16:32], axis=0)).mean((1, 2, 3))


def test_the_same_options_give_the_same_clips(originals: Path, clips: Path, tmp_path: Path) -> None:
    make_clips(originals, tmp_path, SMALL, ("real/held-out", "ai/held-out"))
    files = sorted(path.relative_to(clips) for path in clips.rglob("*.*"))
    assert len(files) == 14
    assert all((tmp_path / name).read_bytes() == (clips / name).read_bytes() for name in files)


def test_a_pair_differs_in_nothing_but_the_flicker(clips: Path) -> None:
    """Around the region both clips are alike, up to what coding an altered region does beside it;
    within it a flickering one jumps in every frame, a steady one never."""
    rows = read_rows(clips)
    assert Counter(row["label"] for row in rows) == {"0": 6, "1": 6}
    for steady, flickering in zip(rows[::2], rows[1::2], strict=True):
        assert (steady["category"], flickering["category"]) == ("steady", "flickering")
        same = ("generator", "source", "origin", "pair")
        assert [steady[key] for key in same] == [flickering[key] for key in same]
        one, other = (frames(clips / row["path"]) for row in (steady, flickering))
        assert one.shape == other.shape == (12, 48, 48, 3)
        assert np.abs(one - other)[:, :4].mean() < 3
        still, moving = changes(clips / steady["path"]), changes(clips / flickering["path"])
        assert moving.min() > still.max()


def test_single_frames_do_not_tell(originals: Path, tmp_path: Path) -> None:
    """Every frame of both clips shows one of the same few drawings, as it shows there."""
    options = ClipOptions(pairs=1, size=48, frames=60)
    make_clips(originals, tmp_path, options)
    steady, flickering = (
        np.stack(list(read_run(tmp_path / row["path"], 60, 0, 0))).astype(np.float32)
        for row in read_rows(tmp_path)
    )
    kept = np.abs(steady - flickering)[:, 16:32, 16:32].mean((1, 2, 3)) < 3
    share = kept.mean()
    assert abs(share - 1 / DRAWINGS) < 3 * np.sqrt(1 / DRAWINGS * (1 - 1 / DRAWINGS) / 60)
    sizes = [(tmp_path / row["path"]).stat().st_size for row in read_rows(tmp_path)]
    assert max(sizes) < 1.2 * min(sizes)


def test_held_out_images_are_not_mixed_with_others(originals: Path, tmp_path: Path) -> None:
    """The content task names the AI image's origin, so that its pairs show who was put together."""
    options = ClipOptions("content", pairs=8, size=48, frames=2)
    make_clips(originals, tmp_path, options, ("real/held-out", "ai_held-out"))
    rows = read_rows(tmp_path)
    assert {row["category"] for row in rows} == {"photo"}
    assert {row["generator"] for row in rows} == {"", "gen"}
    together = {
        (one["origin"], other["origin"]) for one, other in zip(rows[::2], rows[1::2], strict=True)
    }
    assert together == {("real/held-out", "ai/held-out"), ("real/other", "ai/other")}


def test_what_cannot_be_used_is_passed_over(originals: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="11 of 12 pairs"):
        make_clips(originals, tmp_path, ClipOptions(pairs=12, size=48, frames=2))
    skipped = (tmp_path / "skipped.txt").read_text(encoding="utf-8")
    assert "small.png\t60×60 pixels: smaller than 72" in skipped and "broken.png" in skipped


def test_the_camera_never_leaves_the_scene() -> None:
    """A white scene on a black ground, of which a look beyond the edge would show something."""
    scene = Image.new("L", (96, 96), 255)
    for seed in range(40):
        camera = Camera.random(9, 64, random.Random(seed))
        assert all(camera.view(scene, frame, 64).getextrema()[0] == 255 for frame in range(9))
        steps = np.abs(np.diff(camera.path[:, :2], axis=0))
        assert 0 < steps.max() < 8


@pytest.mark.parametrize("wrong", [{"size": 47}, {"pairs": 0}, {"frames": 1}])
def test_wrong_options(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match="needed"):
        ClipOptions(**wrong)


def test_the_command(originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(originals), str(tmp_path), "--pairs", "2", "--size", "48", "--frames", "4"]
    assert main(["clips", *arguments]) == 0
    assert "4 clips" in capsys.readouterr().out
    assert len(read_dataset(tmp_path)) == 4
