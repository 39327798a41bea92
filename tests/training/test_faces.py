"""Faces cut out of videos: one square for all frames, what happens without a face, or without OpenCV."""

import csv
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from aidetect import ConfigurationError, MissingExtraError
from aidetect_training.cli import main
from aidetect_training.clips import Camera, encode
from aidetect_training.data import Item, collate
from aidetect_training.faces import CASCADE, MARGIN, cut_out, import_cv2, largest_face, middle_box
from aidetect_training.layouts import read_dataset
from aidetect_training.recipe import ModelRecipe, Phase, Recipe, SequenceRecipe
from aidetect_training.video_data import MiddleRuns, Runs
from aidetect_training.video_read import read_run

from .conftest import QUIET, toy, write_manifest

pytest.importorskip("av", reason="the video extra is not installed")


@pytest.fixture
def opencv() -> None:
    try:
        import_cv2()
    except MissingExtraError:
        pytest.skip("the faces extra is not installed")


def drawn(size: int = 200, at: tuple[int, int] = (60, 40), side: int = 120) -> Image.Image:
    """A face of ellipses, as wide as `side`, in a grey picture; `at` is its upper left corner."""
    picture = Image.new("RGB", (size, size), (120, 150, 120))
    draw, unit = ImageDraw.Draw(picture), side / 136

    def ellipse(x: float, y: float, width: float, height: float, colour: tuple[int, int, int]) -> None:
        left, top = at[0] + unit * (x - 32), at[1] + unit * (y - 38)
        draw.ellipse(
            (left - unit * width, top - unit * height, left + unit * width, top + unit * height), colour
        )

    ellipse(100, 95, 62, 80, (60, 40, 30))
    ellipse(100, 105, 52, 68, (215, 175, 150))
    for x in (78, 122):
        ellipse(x, 80, 15, 3, (70, 45, 35))
        ellipse(x, 92, 14, 9, (150, 110, 95))
        ellipse(x, 93, 10, 5, (245, 245, 245))
        ellipse(x, 93, 5, 5, (40, 25, 20))
    ellipse(100, 127, 10, 3, (150, 105, 90))
    ellipse(100, 147, 20, 6, (165, 80, 80))
    return picture.filter(ImageFilter.GaussianBlur(2 * unit))


def filmed(scene: Image.Image, size: int, frames: int, seed: int) -> list[Image.Image]:
    """What a moving camera sees of the scene, which is a square of 1.5 × `size` pixels."""
    camera = Camera.random(frames, size, random.Random(seed))
    return [camera.view(scene, frame, size) for frame in range(frames)]


def arrays(frames: Sequence[Image.Image]) -> list[np.ndarray]:
    return [np.asarray(frame) for frame in frames]


def face_recipe(**options: object) -> Recipe:
    base = toy(phases=(Phase(size=32, samples=16, batch=8),), evaluate_every=8, average_decay=0.0)
    return replace(
        base,
        model=ModelRecipe(backbone="small", view="squash", view_size=32),
        data=replace(base.data, sampling="shuffled"),
        augment=QUIET,
        sequence=SequenceRecipe(4, 0.0, "gru", units=8, faces=True, **options),  # type: ignore[arg-type]
    )


@pytest.mark.usefixtures("opencv")
@pytest.mark.parametrize(("at", "side"), [((20, 30), 100), ((90, 60), 100), ((40, 40), 140)])
def test_a_drawn_face_is_found_where_it_is(at: tuple[int, int], side: int) -> None:
    found = largest_face(np.asarray(drawn(220, at, side)))
    assert found is not None
    assert found == pytest.approx((at[0] + side / 2, at[1] + side / 2, side), abs=0.12 * side)


@pytest.mark.usefixtures("opencv")
def test_the_largest_counts_at_any_size_of_the_frame() -> None:
    """In a frame of four times the pixels that are looked at, too."""
    picture = drawn(360, (20, 30), 80)
    picture.paste(drawn(220, (30, 30), 140).crop((10, 0, 190, 220)), (160, 100))
    small = largest_face(np.asarray(picture))
    large = largest_face(np.asarray(picture.resize((1440, 1440), Image.Resampling.BICUBIC)))
    assert small is not None and large is not None and small[0] > 200 and small[2] > 110
    assert large == pytest.approx([4 * number for number in small], rel=0.1)
    assert largest_face(np.asarray(picture)) == small


@pytest.mark.usefixtures("opencv")
def test_one_square_for_the_whole_run() -> None:
    """The camera moves over one scene; in a frame between there is no face."""
    frames = filmed(drawn(300, (80, 70), 130), 200, 8, seed=2)
    given = arrays(frames)
    given[3] = np.full_like(given[3], 128)
    cut, found = cut_out(given)
    sides = {image.size for image in cut}
    assert found and len(cut) == 8 and len(sides) == 1
    side = sides.pop()[0]
    faces = [box for box in map(largest_face, given) if box]
    assert side == pytest.approx(MARGIN * np.median([box[2] for box in faces]), rel=0.15)
    assert not np.asarray(cut[3]).std() and np.asarray(cut[3]).mean() == 128
    again = largest_face(np.asarray(cut[4]))  # what was cut out has the face in its middle
    assert again is not None
    assert again[:2] == pytest.approx((side / 2, side / 2), abs=0.2 * side)
    left, top = _place(cut[0], frames[0])
    assert all(
        _place(one, frame) == (left, top) for one, frame in zip(cut[1:3], frames[1:3], strict=True)
    )


def _place(part: Image.Image, whole: Image.Image) -> tuple[int, int]:
    """Where the part was cut out."""
    side = part.width
    return next(
        (left, top)
        for top in range(whole.height - side + 1)
        for left in range(whole.width - side + 1)
        if part.getpixel((0, 0)) == whole.getpixel((left, top))
        and part.tobytes() == whole.crop((left, top, left + side, top + side)).tobytes()
    )


@pytest.mark.usefixtures("opencv")
def test_a_face_at_the_edge_keeps_the_square_in_the_frame() -> None:
    cut, found = cut_out(arrays([drawn(200, (0, 0), 120)] * 2))
    assert found and cut[0].tobytes() == drawn(200, (0, 0), 120).crop((0, 0, *cut[0].size)).tobytes()
    (wide, _), found = cut_out(arrays([drawn(200, (20, 20), 160).crop((0, 10, 200, 190))] * 2))
    assert found and wide.size == (180, 180)  # the frame's short side, where the margin would go beyond


@pytest.mark.usefixtures("opencv")
def test_without_a_face_the_middle_square_is_shown() -> None:
    random_pixels = np.random.default_rng(0).integers(0, 256, (2, 60, 100, 3), dtype=np.uint8)
    cut, found = cut_out(list(random_pixels))
    assert not found
    assert [np.asarray(image).tolist() for image in cut] == random_pixels[:, :, 20:80].tolist()


def test_the_middle_box_is_one_that_was_found() -> None:
    one, other = (50.0, 50.0, 40.0), (150.0, 60.0, 42.0)
    near = (51.0, 50.0, 41.0)
    assert middle_box([other, one, near, one, other]) in (one, near)
    assert middle_box([one, other]) in (one, other)
    assert middle_box([other]) == other


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve videos of a moving camera over a drawn face, in both classes; the last two have none."""
    folder = tmp_path_factory.mktemp("faces")
    rows = []
    for number in range(12):
        scene = drawn(180, (50, 45), 80)
        if number >= 10:
            scene = Image.new("RGB", scene.size, (90, 120, 150))
        (folder / f"{number}.mp4").write_bytes(encode(filmed(scene, 120, 6, number), 16))
        origin = "owner_held-out" if number % 5 < 2 else "other"
        rows.append({"path": f"{number}.mp4", "label": str(number % 2), "source": origin})
    write_manifest(folder, rows)
    return folder


@pytest.mark.usefixtures("opencv")
def test_a_model_is_shown_the_face(videos: Path) -> None:
    items, recipe = read_dataset(videos), face_recipe()
    clip, label = MiddleRuns(items, recipe)[0]
    face, found = cut_out(list(read_run(items[0].path, 4, 0.0, 0.5)))
    assert found and label == 0 and clip.shape == (4, 3, 32, 32)
    small = face[0].resize((32, 32), Image.Resampling.BICUBIC)
    assert np.abs(clip[0].permute(1, 2, 0).numpy() - np.asarray(small, np.float32)).mean() < 8
    without = replace(recipe, sequence=replace(recipe.sequence, faces=False))
    assert not torch.equal(MiddleRuns(items, without)[0][0], clip)
    runs = Runs(items, recipe, Phase(32, 16, 8), 0)
    assert torch.equal(runs[0, 3][0], runs[0, 3][0]) and runs[0, 3][0].shape == (4, 3, 32, 32)


@pytest.mark.usefixtures("opencv")
def test_videos_without_a_face_are_counted(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items, recipe = read_dataset(videos), face_recipe()
    batch = collate([MiddleRuns(items, recipe)[number] for number in (9, 10, 11)])
    assert len(batch.labels) == 3 and not batch.unreadable
    assert [line.split("\t")[0] for line in batch.faceless] == [str(item.path) for item in items[10:]]
    (tmp_path / "faces.toml").write_text(
        """about = "a toy"
        data = { validation_origins = ["owner/held-out"], sampling = "shuffled" }
        model = { backbone = "small", view = "squash", view_size = 32 }
        sequence = { frames = 4, units = 8, faces = true }
        train = { phases = [{ size = 32, samples = 16, batch = 8 }], precision = "32-true" }
        """,
        encoding="utf-8",
    )
    given = [str(tmp_path / "faces.toml"), "--data", str(videos), "--out", str(tmp_path / "run")]
    assert main(["train", *given, "--device", "cpu", "--workers", "0"]) == 0
    assert "no face was found in 2 videos; they are listed in" in capsys.readouterr().out
    listed = (tmp_path / "run" / "faceless.txt").read_text(encoding="utf-8").splitlines()
    assert {Path(line.split("\t")[0]).name for line in listed} == {"10.mp4", "11.mp4"}
    assert not (tmp_path / "run" / "skipped.txt").exists()
    given = ["--recipe", given[0], "--data", str(videos), "--out", str(tmp_path / "measured")]
    assert main(["evaluate", "--checkpoint", str(tmp_path / "run" / "best.ckpt"), *given]) == 0
    assert "faceless: 2" in (told := capsys.readouterr().out) and "skipped: 0" in told


@pytest.mark.data
@pytest.mark.usefixtures("opencv")
def test_real_faces(data: Path, tmp_path: Path) -> None:
    """A camera over portraits, each in the middle of a grey scene: in most a face is found, and where
    one is found again in what was cut out, it is as large there as the margin has it."""
    with open(data / "devtest" / "manifest.csv", newline="", encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if row["source"] == "serengil_deepface"]
    found, shares = 0, []
    for number, row in enumerate(rows[:10]):
        image = Image.open(data / "devtest" / row["path"]).convert("RGB")
        image.thumbnail((300, 300))
        scene = Image.new("RGB", (450, 450), (128, 128, 128))
        scene.paste(image, ((450 - image.width) // 2, (450 - image.height) // 2))
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(encode(filmed(scene, 300, 6, number), 20))
        cut, there = cut_out(list(read_run(path, 4, 0.0, 0.5)))
        found += there
        if there and (face := largest_face(np.asarray(cut[2]))):
            shares.append(face[2] / cut[2].width)
    assert found >= 7 and len(shares) >= 5
    assert np.median(shares) == pytest.approx(1 / MARGIN, abs=0.1)


def test_a_recipe_with_faces_squashes_videos() -> None:
    with pytest.raises(ConfigurationError, match="faces is True; it has to be left out where no frames"):
        SequenceRecipe(faces=True)
    with pytest.raises(ConfigurationError, match=r"model\.view is 'crop'; it has to be squash"):
        replace(face_recipe(), model=ModelRecipe(backbone="small", view_size=32))


@pytest.mark.parametrize("there", ["none", "another"])
def test_without_opencv_one_sentence_says_what_to_do(
    there: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is one that has no cascades: before any video is read, not once for each."""
    empty = SimpleNamespace(CascadeClassifier=None, data=SimpleNamespace(haarcascades=str(tmp_path)))
    monkeypatch.setitem(sys.modules, "cv2", None if there == "none" else empty)
    items = [Item(tmp_path / "a.mp4", 0, "", "s", "o", "")]
    for make in (lambda: MiddleRuns(items, face_recipe()), import_cv2):
        with pytest.raises(MissingExtraError) as caught:
            make()
        assert str(caught.value).startswith("faces are found by OpenCV 4, which is not installed.")
        assert "pip install '.[faces]'" in str(caught.value)
    assert not (tmp_path / CASCADE).exists()
