import functools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import auc

from aidetect import ConfigurationError
from aidetect._calibration import Calibration
from aidetect_training import metrics
from aidetect_training.baseline import baseline
from aidetect_training.calibrate import fit
from aidetect_training.evaluate import HEAD, evaluate, head_table, write
from aidetect_training.scoring import Score

from .scores import Model, scores

TIERS = ("clean", "web")
CALIBRATION = Calibration((0.5, 0.5, 0.0), (1.0, 0.0), 0.02, 0.7, 0.3, 0.05, 0.05)


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the bootstrap: what it finds is tested in `test_metrics.py`."""
    monkeypatch.setattr(
        "aidetect_training.evaluate.interval", functools.partial(metrics.interval, rounds=60)
    )


def images(folder: Path, count: int = 80, **options: object) -> list[Score]:
    """Scores whose files exist, as the baseline reads them."""
    made = scores(Model(1.0), images=count, tiers=TIERS, folder=folder, **options)  # type: ignore[arg-type]
    for score in made:
        Image.new("RGB", (8, 8)).save(score.item.path)
    return made


def test_the_figures_are_those_of_the_scores(tmp_path: Path) -> None:
    made = images(tmp_path)
    result = evaluate(made, CALIBRATION)
    assert list(result["tiers"]) == ["clean", "web"]
    for tier, figures in result["tiers"].items():
        chosen = [s for s in made if s.tier == tier]
        margins = np.array([0.5 * s.margins[0] + 0.5 * np.mean(s.margins[1:]) for s in chosen])
        says, truth = 1 / (1 + np.exp(-margins)), np.array([s.item.label for s in chosen])
        ai, real = (says[truth == 1] >= 0.5).mean(), (says[truth == 0] < 0.5).mean()
        assert figures["accuracy_ai"] == pytest.approx(ai)
        assert figures["accuracy_real"] == pytest.approx(real)
        assert figures["balanced_accuracy"] == pytest.approx((ai + real) / 2)
        ranks = [(a > r) + 0.5 * (a == r) for a in np.clip(says[truth == 1], 0.02, 0.98)
                 for r in np.clip(says[truth == 0], 0.02, 0.98)]  # fmt: skip
        assert figures["auc"] == pytest.approx(np.mean(ranks), abs=1e-3)
        for key in ("balanced_accuracy", "auc"):
            low, high = figures[f"{key}_interval"]
            assert low <= figures[key] <= high
        assert auc(*np.transpose(figures["roc"])) == pytest.approx(figures["auc"], abs=5e-3)
        assert sum(count for count, _, _ in figures["reliability"]) == len(chosen)
        assert figures["real_flagged"] <= 1 - figures["accuracy_real"]
        groups, origins = figures["by_group"], figures["by_origin"]
        assert sum(g["images"] for g in groups.values()) == len(chosen) == figures["images"]
        assert sum(g["images"] for g in origins.values()) == len(chosen)
        right = sum(g["images"] * g["accuracy"] for g in groups.values())
        assert right == pytest.approx(((says >= 0.5) == truth).sum())
        of_ai = [g["accuracy"] for name, g in groups.items() if name.startswith("ai gen")]
        assert len(of_ai) == 4 and figures["macro_accuracy_ai"] == pytest.approx(np.mean(of_ai))
    assert result["tiers"]["clean"]["auc"] > result["tiers"]["web"]["auc"]


def sure(score: Score, margin: float) -> Score:
    return replace(score, margins=(margin,) * 9)


def test_labels_and_flips_by_hand(tmp_path: Path) -> None:
    """Of 80 images, in tier "web": 4 real ones flagged, of them 2 art; 8 AI ones uncertain."""
    made = [sure(s, 9.0 if s.item.label else -9.0) for s in images(tmp_path)]
    web = [i for i, s in enumerate(made) if s.tier == "web"]
    photos = [i for i in web if made[i].item.label == 0 and made[i].item.category == "photo"]
    art = [i for i in web if made[i].item.label == 0 and made[i].item.category in ("art", "anime")]
    assert len(art) == 20
    for i in (*photos[:2], *art[:2]):
        made[i] = sure(made[i], 9.0)
    for i in [i for i in web if made[i].item.label == 1][:8]:
        made[i] = sure(made[i], 0.1)
    result = evaluate(made, CALIBRATION)
    clean, web_figures = result["tiers"]["clean"], result["tiers"]["web"]
    assert clean["answered"] == clean["right_of_answered"] == clean["balanced_accuracy"] == 1
    assert clean["real_flagged"] == clean["art_flagged"] == 0
    assert web_figures["answered"] == pytest.approx(72 / 80)
    assert web_figures["right_of_answered"] == pytest.approx(68 / 72)
    assert web_figures["real_flagged"] == pytest.approx(4 / 40)
    assert web_figures["art_flagged"] == pytest.approx(2 / 20)
    assert result["flips"] == pytest.approx(4 / 80)
    assert web_figures["confusion"]["shipped"] == {
        "real": {"real": 36, "uncertain": 0, "ai": 4},
        "ai": {"real": 0, "uncertain": 8, "ai": 32},
    }
    assert web_figures["confusion"]["forced"] == {
        "real": {"real": 36, "uncertain": 0, "ai": 4},
        "ai": {"real": 0, "uncertain": 0, "ai": 40},
    }
    assert clean["ai_called_real_at_0.9"] == 0


def test_small_and_flat_images_are_not_answered(tmp_path: Path) -> None:
    made = [sure(s, 9.0 if s.item.label else -9.0) for s in images(tmp_path)]
    made[0], made[2] = replace(made[0], height=63), replace(made[2], flatness=0.95)
    assert evaluate(made, CALIBRATION)["tiers"]["clean"]["answered"] == pytest.approx(78 / 80)


def test_where_nothing_is_answered_or_no_art_is_there(tmp_path: Path) -> None:
    made = [sure(s, 0.0) for s in images(tmp_path) if s.item.category in ("photo", "product")]
    result = evaluate(made, CALIBRATION)
    assert result["tiers"]["clean"]["right_of_answered"] is None
    assert result["tiers"]["clean"]["art_flagged"] is None
    assert "| Of what is answered, right | – | – |" in head_table(result)


def test_what_is_written_is_what_was_measured(tmp_path: Path) -> None:
    made = images(tmp_path)
    result = evaluate(made, Calibration.from_dict(fit(made)))
    write(result, tmp_path / "out" / "deep")
    head = head_table(result)
    stored = json.loads((tmp_path / "out" / "deep" / "metrics.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(result))
    tables = (tmp_path / "out" / "deep" / "tables.md").read_text(encoding="utf-8")
    assert tables.startswith(head)
    lines = head.splitlines()
    assert lines[0] == "| | clean | web |"
    assert len(lines) == 2 + len(HEAD) + 1 and len({line.count("|") for line in lines}) == 1
    for key, title in HEAD:
        (line,) = [line for line in lines if line.startswith(f"| {title} |")]
        for tier in TIERS:
            value = stored["tiers"][tier][key]
            assert f" {value:.3f}" in line
    rows = [line for line in tables.splitlines() if line.startswith(("| ai ", "| real "))]
    assert len(rows) == 8 + 16
    group = stored["tiers"]["clean"]["by_group"]["ai gen0"]
    other = stored["tiers"]["web"]["by_group"]["ai gen0"]
    assert f"| ai gen0 | {group['images']} | {group['accuracy']:.2f} | {other['accuracy']:.2f} |" in rows


def test_one_tier_has_no_flips(tmp_path: Path) -> None:
    result = evaluate([s for s in images(tmp_path) if s.tier == "web"], CALIBRATION)
    assert result["flips"] is None
    assert "Flips" not in head_table(result)


def test_one_class_alone_cannot_be_evaluated(tmp_path: Path) -> None:
    for part in ([], [s for s in images(tmp_path) if s.item.label]):
        with pytest.raises(ConfigurationError, match="both classes"):
            evaluate(part, CALIBRATION)


def test_the_baseline_finds_nothing_where_both_classes_are_alike() -> None:
    found = [baseline(scores(Model(), images=600, seed=seed), "web") for seed in range(2)]
    assert all(value is not None and 0.4 < value < 0.6 for value in found)


def test_the_baseline_finds_sizes_that_betray_the_class() -> None:
    value = baseline(scores(Model(), images=400, sizes=(300, 400)), "web")
    assert value is not None and value > 0.95


@pytest.mark.parametrize("how", ["format", "quality"])
def test_the_baseline_finds_files_that_betray_the_class(tmp_path: Path, how: str) -> None:
    """Only in the tier "clean", where the files are scored as they are stored."""
    made = scores(Model(), images=240, tiers=TIERS, folder=tmp_path)
    for score in made:
        kind = "PNG" if how == "format" and score.item.label else "JPEG"
        quality = 60 if how == "quality" and score.item.label else 90
        Image.new("RGB", (16, 16)).save(score.item.path, kind, quality=quality)
    clean, web = baseline(made, "clean"), baseline(made, "web")
    assert clean is not None and clean > 0.95
    assert web is not None and web < 0.65


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "MPO", "AVIF"])
def test_the_baseline_reads_every_format_that_the_sdk_reads(tmp_path: Path, kind: str) -> None:
    made = scores(Model(), images=40, tiers=("clean",), folder=tmp_path)
    for score in made:
        Image.new("RGB", (16, 16)).save(score.item.path, kind)
    assert baseline(made, "clean") is not None


def test_a_class_of_one_origin_has_no_baseline_and_of_two_has_one(tmp_path: Path) -> None:
    made = scores(Model(), images=160, tiers=("web",))
    one = [s for s in made if not s.item.label or s.item.origin == "ai-0"]
    assert baseline(one, "web") is None
    two = [s for s in made if not s.item.label or s.item.origin in ("ai-0", "ai-1")]
    value = baseline(two, "web")
    assert value is not None and 0 <= value <= 1
