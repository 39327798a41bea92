"""`report`: its figures are those of the folders, and the page needs nothing from elsewhere."""

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics as sklearn_metrics

from aidetect_training import report_figures, robustness
from aidetect_training.cli import main
from aidetect_training.data import read_manifest
from aidetect_training.evaluate import evaluate, write
from aidetect_training.recipe_images import DataRecipe
from aidetect_training.report import classification_report, extremes, read_folders, training_images
from aidetect_training.scoring import Score
from aidetect_training.train import train

from .conftest import TOY, toy, write_manifest
from .scores import Model, scores
from .test_evaluate import CALIBRATION, few_rounds

__all__ = ["few_rounds"]

HOSTILE = "<img src=x onerror=alert(1)>\u202egpj"


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `evaluate` writes it, of 160 images, with both sheets; one source has a bad name."""
    folder = tmp_path_factory.mktemp("evaluated")
    made = scores(Model(), images=160, tiers=("clean", "web"), folder=folder)
    named = [
        replace(s, item=replace(s.item, origin=HOSTILE)) if s.item.origin == "real-3" else s
        for s in made
    ]
    for score in named:
        Image.new("RGB", (8, 8)).save(score.item.path)
    about = {
        "name": "toy", "version": "7", "about": "made up", "trained_on": "nothing at all",
        "architecture": {"stages": 2}, "view_size": 32, "created": "today", "weights_sha256": "ab" * 32,
        "calibration": {"both": [0.5, 0.5, 0], "alone": [0.03, 0.5], "ai_from": 0.7, "real_to": 0.3,
                        "ai_error": 0.05, "real_error": 0.04, "texture": [1.2, 1.2]},
    }  # fmt: skip
    out = folder / "toy set"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aidetect_training.evaluate.interval", lambda *_: (0.1, 0.9))
        write(evaluate(named, CALIBRATION) | {"model": about}, out)
    clean = [s for s in named if s.tier == "clean"]
    blurred = [replace(s, tier="blur2", margins=tuple(m / 9 for m in s.margins)) for s in clean]
    robustness.write(robustness.robustness([*clean, *blurred], CALIBRATION), out)
    attacks = {
        name: {"images": 160.0, "auc": auc, "balanced_accuracy": 0.5, "lost": 1.0, "moved": 0.01,
               "verdict_balanced_accuracy": 0.6}
        for name, auc in (("none", 0.7), ("pgd 4/255", 0.0125))
    }  # fmt: skip
    (out / "adversarial.json").write_text(json.dumps(attacks))
    return out


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `train` writes it, of two evaluations, the first of which is kept."""
    folder = tmp_path_factory.mktemp("trained")
    rows = [
        {
            "samples": 128,
            "loss": 0.71,
            "auc": 0.9,
            "balanced_accuracy": 0.8,
            "accuracy_real": 0.8,
            "ece": 0.1,
        },
        {
            "samples": 256.0,
            "loss": 0.62,
            "auc": 0.85,
            "balanced_accuracy": 0.7,
            "accuracy_real": 0.7,
            "ece": 0.2,
        },
    ]
    with open(folder / "metrics.csv", "w", newline="") as table:
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    torch.save({"weights": {}, "recipe": "default", "row": rows[0]}, folder / "best.ckpt")
    return folder


class Page(HTMLParser):
    """What a page is made of: tables by caption, pictures, addresses, ids, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.alts: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self._rows: list[list[str]] = []
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self._open = tag
        self.ids += [values["id"] or ""] if "id" in values else []
        self.addresses += [values[key] or "" for key in ("src", "srcset", "href") if key in values]
        if tag == "img":
            self.alts.append(values["alt"] or "")
        elif tag == "caption":
            self._caption, self._rows = "", []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
            assert tag == "td" or values["scope"] in ("col", "row")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.tables[self._caption] = self._rows
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "caption":
            self._caption += data
        elif self._open in ("td", "th"):
            self._rows[-1][-1] += data


@pytest.fixture(scope="module")
def made(evaluated: Path, trained: Path, tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")
    assert main(["report", str(evaluated), str(trained), "--data", str(tiles), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def page(made: Path) -> Page:
    return Page((made / "report.html").read_text(encoding="utf-8"))


def test_the_page_stands_alone(made: Path, page: Page) -> None:
    text = (made / "report.html").read_text(encoding="utf-8")
    outside = [a for a in page.addresses if not a.startswith(("data:image/png;base64,", "#"))]
    assert not outside and "script" not in page.tags
    assert "default-src 'none'" in text and not re.search(r"https?://|@import|url\(", text)
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert HOSTILE not in text and "&lt;img src=x onerror=alert(1)&gt;\\u202egpj" in text


def test_every_picture_is_written_and_told_in_words(made: Path, page: Page, evaluated: Path) -> None:
    names = {path.name for path in made.iterdir()} - {"report.html"}
    light = {name for name in names if not name.endswith("-dark.png")}
    parts = {"confusion-forced", "confusion-shipped", "roc", "reliability", "robustness"}
    assert {n.removeprefix("toy_set-").removesuffix(".png") for n in light if "toy" in n} == parts
    assert any(name.endswith("-curves.png") for name in light)
    assert {name.replace(".png", "-dark.png") for name in light} == names - light
    assert len(page.alts) == len(light) and all(len(alt) > 40 for alt in page.alts)
    tiers = json.loads((evaluated / "metrics.json").read_text())["tiers"]
    (roc,) = [alt for alt in page.alts if alt.startswith("ROC")]
    assert all(f"{tier} {figures['auc']:.3f}" in roc for tier, figures in tiers.items())
    for name in light:
        with (
            Image.open(made / name) as bright,
            Image.open(made / name.replace(".png", "-dark.png")) as dark,
        ):
            assert bright.size == dark.size
            assert (
                np.asarray(bright.convert("L")).mean() > 170 > 90 > np.asarray(dark.convert("L")).mean()
            )


def test_the_figures_are_those_of_the_folders(page: Page, evaluated: Path) -> None:
    result = json.loads((evaluated / "metrics.json").read_text())
    rows = {row[0]: row[1:] for row in page.tables["Figures by tier"]}
    assert rows[""] == ["clean", "web"]
    assert rows["Expected calibration error"] == [f"{f['ece']:.3f}" for f in result["tiers"].values()]
    assert rows["Flips ai↔real between tiers"] == [f"{result['flips']:.3f}", ""]
    groups = page.tables["Share called right at the forced choice, by generator or kind"]
    first = result["tiers"]["clean"]["by_group"]["ai gen0"]
    (row,) = [row for row in groups if row[0] == "AI: gen0"]
    assert row[1:3] == [str(first["images"]), f"{first['accuracy']:.2f}"]
    assert len(page.tables["Share called right at the forced choice, by source"]) == 1 + 16
    sheet = json.loads((evaluated / "robustness.json").read_text())
    (row,) = [row for row in page.tables["Robustness, forced choice"] if row[0] == "blur2"]
    assert row[1:4] == [f"{sheet['blur2'][key]:.3f}" for key in ("auc", "balanced_accuracy", "moved")]
    attacks = page.tables["White-box attacks, L∞ in levels of 255"]
    assert attacks[-1] == ["pgd 4/255", "0.013", "0.500", "1.000", "0.600", "0.010"]


def test_the_run_and_its_data_are_told(page: Page) -> None:
    rows = page.tables["Evaluations of the validation part"]
    assert rows[1][:3] == ["128 (kept)", "0.710", "0.900"] and rows[2][0] == "256"
    assert rows[1][5] == "–"  # a table that an earlier version began has fewer columns
    counted = page.tables["Training images: tiles0"][1:]
    assert counted[0] == ["real, all", "60", "3"]
    assert sorted(counted[1:4]) == [
        [f"real: {origin}", "20", "1"] for origin in ("origin0", "origin2", "owner_held-out")
    ]
    assert counted[4:] == [["AI, all", "60", "3"], ["AI: gen", "60", "3"]]


def test_a_run_that_train_has_made(tiles: Path, tmp_path: Path) -> None:
    """Its recipe is in no file that its name would lead to."""
    train(toy(), tiles, tmp_path / "run", device="cpu", workers=0)
    assert main(["report", str(tmp_path / "run"), "--out", str(tmp_path)]) == 0
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    with open(tmp_path / "run" / "metrics.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    shown = page.tables["Evaluations of the validation part"][1:]
    assert [row[0].split()[0] for row in shown] == ["128", "256"] and len(rows) == 2
    assert [row[2] for row in shown] == [f"{float(row['auc']):.3f}" for row in rows]
    best = max(range(2), key=lambda n: float(rows[n]["auc"]))
    assert [row[0].endswith("(kept)") for row in shown] == [n == best for n in range(2)]


def test_the_classification_report_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 2, 400), rng.integers(0, 3, 400)
    names, answers = ("real", "ai"), ("real", "ai", "uncertain")
    counts = {
        name: {a: int(((truth == t) & (said == s)).sum()) for s, a in enumerate(answers)}
        for t, name in enumerate(names)
    }
    right = sklearn_metrics.classification_report(truth, said, labels=[0, 1], output_dict=True)
    rows = classification_report(counts)
    for row, key in zip(rows, ("0", "1", "macro avg"), strict=True):
        wanted = [right[key][k] for k in ("precision", "recall", "f1-score", "support")]
        assert [row.precision, row.recall, row.f1, row.support] == pytest.approx(wanted)


def test_a_class_that_is_never_answered_has_no_precision() -> None:
    none = {"real": 0, "uncertain": 5, "ai": 0}
    real, ai, mean = classification_report({"real": none, "ai": {"real": 0, "uncertain": 2, "ai": 3}})
    assert (real.precision, real.recall, ai.precision) == (None, 0, 1)
    assert mean.precision is None and mean.recall == pytest.approx(0.3)


def test_best_and_worst_groups_by_hand(tmp_path: Path) -> None:
    """gen0 is always found, gen1 never; gen2 and gen3 are too few to be named."""

    def sure(score: Score) -> Score:
        margin = 9.0 if score.item.label and score.item.group != "gen1" else -9.0
        return replace(score, margins=(margin,) * 9)

    made = [sure(s) for s in scores(Model(), images=96, tiers=("clean",), folder=tmp_path)]
    kept = [s for n, s in enumerate(made) if s.item.group not in ("gen2", "gen3") or n < 48]
    for score in kept:
        Image.new("RGB", (8, 8)).save(score.item.path)
    write(evaluate(kept, CALIBRATION) | {"model": {"name": "toy"}}, tmp_path / "out")
    ((evaluation,), _) = read_folders([tmp_path / "out"], None)
    found = extremes(evaluation)
    assert found["ai best"] == [("gen0", 12, 1.0)] and found["ai worst"] == [("gen1", 12, 0.0)]
    assert evaluation.kinds == ["forced"]  # a checkpoint has no thresholds of its own


def test_only_the_training_part_is_counted(tiles: Path) -> None:
    recipe = replace(TOY, data=DataRecipe(validation_origins=("owner/held-out",)))
    counts = training_images([tiles], recipe)
    assert counts.of_class(0) == (40, 2) and counts.of_class(1) == (40, 2)
    share = replace(TOY, data=DataRecipe(validation_share=0.25))
    assert sum(training_images([tiles], share).images.values()) == 90


def test_one_spelling_of_an_origin(tmp_path: Path) -> None:
    rows = [
        {"path": f"{n}.png", "label": str(n % 2), "source": source}
        for n, source in enumerate(["o/a", "o/b", "o_a", "o_b"])
    ]
    write_manifest(tmp_path, rows)
    assert len(read_manifest(tmp_path)) == 4
    assert training_images([tmp_path], None).of_class(0) == (2, 1)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "neither metrics.json"),
        ({"metrics.json": "{"}, "cannot be read"),
        (
            {"metrics.json": '{"tiers": {"clean": {"auc": 0.5}}, "model": {"name": "x"}}'},
            "earlier version",
        ),
        ({"metrics.json": "[]"}, "earlier version"),
        ({"metrics.csv": "samples,loss\n"}, "no evaluation"),
        ({"metrics.csv": "samples,loss,auc,balanced_accuracy\n1,two,3,4\n"}, "cannot be read"),
    ],
)
def test_a_folder_without_results_is_named(
    files: dict[str, str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert told in error and str(tmp_path) in error


def test_colours_stand_out_from_their_paper() -> None:
    """3:1 for lines, 4.5:1 for letters (WCAG 2.2, 1.4.11 and 1.4.3)."""

    def light(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    def contrast(one: str, other: str) -> float:
        low, high = sorted((light(one), light(other)))
        return (high + 0.05) / (low + 0.05)

    for ground, (paper, ink, _) in report_figures.GROUNDS.items():
        assert contrast(paper, ink) >= 4.5
        assert all(contrast(paper, line) >= 3 for line in report_figures.COLOURS[ground])
