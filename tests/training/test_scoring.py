import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from aidetect import ConfigurationError
from aidetect._image import decode
from aidetect._model import SEResNet50
from aidetect._views import extract_views
from aidetect_training.data import Item
from aidetect_training.scoring import score
from aidetect_training.variants import TIERS, laundered

from .conftest import picture


class TorchNetwork:
    """A small network of the model's own kind, behind the SDK's `Backend` protocol."""

    name, device = "torch", "cpu"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = SEResNet50(front_end="rgb+residual", stages=2).eval()

    def logits(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            logits: NDArray[np.float32] = self.network(
                torch.from_numpy(views).permute(0, 3, 1, 2)
            ).numpy()
        return logits


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Item]:
    """PNGs and JPEGs, large and small, one of them smaller than a view, and one that is blank."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    items = []
    for number, size in enumerate([(900, 500), (400, 600), (700, 700), (40, 30), (130, 100)]):
        path = folder / f"{number}.{'png' if number % 2 else 'jpg'}"
        picture(number % 2, *size, rng).save(path)
        items.append(Item(path, number % 2, "", "s", "s", ""))
    Image.new("RGB", (200, 200), "white").save(folder / "blank.png")
    return [*items, Item(folder / "blank.png", 0, "", "s", "s", "")]


def test_every_image_is_scored_in_every_tier(images: list[Item]) -> None:
    scores = score(images, TorchNetwork(), 64, list(TIERS), "fast")
    assert [(s.item, s.tier) for s in scores] == [(i, tier) for i in images for tier in TIERS]
    longest = {"clean": (900, 600, 700, 40, 130, 200), "web": (768, 600, 700, 40, 130, 200)}
    longest["hard"] = (512, 512, 512, 40, 130, 200)
    for tier, sides in longest.items():
        assert tuple(max(s.width, s.height) for s in scores if s.tier == tier) == sides
    clean = [s for s in scores if s.tier == "clean"]
    assert [s.bytes for s in clean] == [item.path.stat().st_size for item in images]
    assert [len(s.margins) for s in clean] == [2, 2, 2, 1, 2, 2]
    assert clean[-1].flatness == 1 and max(s.flatness for s in clean[:3]) < 0.5
    for one, web, hard in zip(scores[:9:3], scores[1:9:3], scores[2:9:3], strict=True):
        assert one.width / one.height == pytest.approx(hard.width / hard.height, rel=0.01)
        assert hard.bytes < web.bytes


def test_margins_are_the_networks_on_the_sdks_views(images: list[Item]) -> None:
    backend = TorchNetwork()
    for one in score(images[:4], backend, 64, ["clean"], "default"):
        views = extract_views(decode(one.item.path.read_bytes()).pixels, "default", 64)
        logits = backend.logits(views.pixels)
        np.testing.assert_allclose(one.margins, logits[:, 1] - logits[:, 0], rtol=1e-3, atol=1e-4)
        assert views.kinds[0] == "global"


def test_a_score_does_not_depend_on_the_others(images: list[Item]) -> None:
    backend = TorchNetwork()
    together = score(images, backend, 64, ["hard"], "fast")
    alone = [s for item in images for s in score([item], backend, 64, ["hard"], "fast")]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.margins, other.margins, rtol=1e-3, atol=1e-4)
        assert (one.item, one.width, one.bytes) == (other.item, other.width, other.bytes)


def test_what_cannot_be_read_is_told_and_left_out(
    images: list[Item], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.jpg").write_bytes(images[0].path.read_bytes()[:900])
    broken = [Item(tmp_path / name, 0, "", "s", "s", "") for name in ("broken.jpg", "gone.jpg")]
    scores = score([broken[0], images[1], broken[1]], TorchNetwork(), 64, ["clean", "web"], "fast")
    assert [s.item for s in scores] == [images[1]] * 2
    told = capsys.readouterr()
    assert (told.out + told.err).count("left out: ") == 4
    assert score(broken, TorchNetwork(), 64, ["clean"], "fast") == []


def test_an_unknown_tier_is_refused(images: list[Item]) -> None:
    with pytest.raises(ConfigurationError, match=r"'dirty'.*clean, web, hard"):
        score(images, TorchNetwork(), 64, ["clean", "dirty"], "fast")


@pytest.mark.parametrize(("tier", "side", "quality"), [("web", 768, 60), ("hard", 512, 40)])
def test_the_tiers_are_jpegs_of_their_size_and_quality(tier: str, side: int, quality: int) -> None:
    assert TIERS[tier] == (side, quality)
    picture_ = picture(0, 1000, 600, np.random.default_rng(0))
    for size in ((1000, 600), (300, 200), (1, 2000)):
        with Image.open(io.BytesIO(laundered(picture_.resize(size), side, quality))) as image:
            assert image.format == "JPEG"
            assert max(image.size) == min(side, max(size)) and min(image.size) >= 1
            tables = image.quantization  # type: ignore[attr-defined]
        reference = io.BytesIO()
        Image.new("RGB", (8, 8)).save(reference, "JPEG", quality=quality)
        with Image.open(reference) as image:
            assert tables == image.quantization  # type: ignore[attr-defined]


def test_an_image_within_the_limit_is_not_scaled() -> None:
    exact = Image.new("RGB", (512, 100), "red")
    with Image.open(io.BytesIO(laundered(exact, 512, 40))) as image:
        assert image.size == (512, 100)
