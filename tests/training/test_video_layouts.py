import json
from pathlib import Path

import pytest

from aidetect import ConfigurationError
from aidetect_training.data import split
from aidetect_training.layouts import read_dataset
from aidetect_training.recipe_images import DataRecipe

LINES = {  # two lines as they are quoted in the data set's issues 26 and 36, and two real videos
    "Training": [
        "2 train_video_release/1/987080cd/47d69f53/video.mp4 79 17 1 96 64 0 1 2 1",
        "1 train_video_release/18/aa/bb/video.mp4 0 90 0 0 0 18",
    ],
    "Validation": [
        "3 val_video_release/4/7f89846f/718e0e03/video.mp4 0 10 0 10 35 1 45 30 0 1 2 4",
        "0 val_video_release/16/cc/dd/video.mp4 0 0 16",
    ],
}


@pytest.fixture
def forgerynet(tmp_path: Path) -> Path:
    for part, lines in LINES.items():
        (tmp_path / part / "video").mkdir(parents=True)
        (tmp_path / part / "video_list.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return tmp_path


def test_forgerynet(forgerynet: Path) -> None:
    found = read_dataset(forgerynet)
    assert [item.path for item in found] == [
        forgerynet / part / "video" / line.split()[1] for part in LINES for line in LINES[part]
    ]
    told = [(i.label, i.generator, i.source, i.origin, i.category) for i in found]
    assert told == [
        (1, "FaceShifter", "987080cd", "Training", ""),
        (0, "", "aa", "Training", "AVSpeech"),
        (1, "BlendFace", "7f89846f", "Validation", ""),
        (0, "", "cc", "Validation", "RAVDESS"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "train_video_release/1/a/b/video.mp4 1 2 1",
        "2 train_video_release/1/a/b/video.mp4 0 10 1 1 2 1",
        "1 train_video_release/1/a/b/video.mp4 0 10 1 5 2 1",
        "0 ../1/a/b/video.mp4 0 0 16",
        "0 video.mp4 0 0 16",
    ],
)
def test_wrong_lines_are_named(forgerynet: Path, line: str) -> None:
    path = forgerynet / "Training" / "video_list.txt"
    path.write_text(f"{LINES['Training'][0]}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"video_list\.txt, line 3.*published form"):
        read_dataset(forgerynet)


def test_a_list_that_is_missing(forgerynet: Path) -> None:
    (forgerynet / "Validation" / "video_list.txt").unlink()
    with pytest.raises(ConfigurationError, match=r"Validation has videos and no video_list\.txt"):
        read_dataset(forgerynet)


PAIRS = {"train": [["000", "003"]], "val": [["001", "870"]], "test": [["953", "974"]]}


@pytest.fixture
def faceforensics(tmp_path: Path) -> Path:
    names = ["original_sequences/actors/c23/videos/01__exit.mp4"]
    names += ["manipulated_sequences/DeepFakeDetection/c23/videos/01_02__exit__YVGY8LOK.mp4"]
    for part in PAIRS:
        one, other = PAIRS[part][0]
        names += [f"original_sequences/youtube/{kind}/videos/{one}.mp4" for kind in ("c23", "c40")]
        names += [f"manipulated_sequences/Face2Face/c23/videos/{one}_{other}.mp4"]
        names += [f"manipulated_sequences/Deepfakes/c23/videos/{other}_{one}.mp4"]
        (tmp_path / f"{part}.json").write_text(json.dumps(PAIRS[part]), encoding="utf-8")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_faceforensics(faceforensics: Path) -> None:
    """c40, which only real videos have, is left out."""
    found = read_dataset(faceforensics)
    told = {(i.path.stem, i.label, i.generator or i.category, i.source, i.origin) for i in found}
    assert len(found) == len(told) == 11 and all("c23" in item.path.parts for item in found)
    assert told == {
        ("01__exit", 0, "actors", "actors/01", "actors"),
        ("01_02__exit__YVGY8LOK", 1, "DeepFakeDetection", "actors/01", "actors"),
        ("000", 0, "youtube", "youtube/000", "train"),
        ("000_003", 1, "Face2Face", "youtube/000", "train"),
        ("003_000", 1, "Deepfakes", "youtube/003", "train"),
        ("001", 0, "youtube", "youtube/001", "val"),
        ("001_870", 1, "Face2Face", "youtube/001", "val"),
        ("870_001", 1, "Deepfakes", "youtube/870", "val"),
        ("953", 0, "youtube", "youtube/953", "test"),
        ("953_974", 1, "Face2Face", "youtube/953", "test"),
        ("974_953", 1, "Deepfakes", "youtube/974", "test"),
    }


def test_the_published_test_part_can_be_left_out(faceforensics: Path) -> None:
    data = DataRecipe(validation_origins=("val",), left_out_origins=("test", "actors"))
    training, validation = split(read_dataset(faceforensics), data)
    assert {item.origin for item in training} == {"train"} and len(training) == 3
    assert {item.origin for item in validation} == {"val"} and len(validation) == 3


def test_lists_may_lie_in_splits(faceforensics: Path) -> None:
    (faceforensics / "splits").mkdir()
    for part in PAIRS:
        (faceforensics / f"{part}.json").rename(faceforensics / "splits" / f"{part}.json")
    assert len(read_dataset(faceforensics)) == 11


def test_what_faceforensics_lacks_is_told(faceforensics: Path) -> None:
    (faceforensics / "val.json").write_text('[["001", "002"]]', encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"870_001\.mp4: .* lack '870'"):
        read_dataset(faceforensics)
    (faceforensics / "val.json").write_text("[[001", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"val\.json is no list of pairs"):
        read_dataset(faceforensics)
    (faceforensics / "val.json").unlink()
    with pytest.raises(ConfigurationError, match=r"has no val\.json"):
        read_dataset(faceforensics)


def test_compressions_that_only_one_class_has(tmp_path: Path) -> None:
    for name in ("original_sequences/youtube/raw", "manipulated_sequences/FaceSwap/c40"):
        (tmp_path / name / "videos").mkdir(parents=True)
        (tmp_path / name / "videos" / "000.mp4").touch()
    with pytest.raises(ConfigurationError, match=r"compressions \['raw'\].*\['c40'\]: none is in both"):
        read_dataset(tmp_path)
