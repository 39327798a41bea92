"""What `report` tells of an evaluation and of a training run: figures, curves, tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from . import adversarial, report_figures
from .evaluate import HEAD, cell
from .report import Evaluation, Training, classification_report
from .report_parts import Album, Section, Table

SHEET = (
    ("auc", "AUC"),
    ("balanced_accuracy", "balanced accuracy"),
    ("moved", "P(AI) moves by"),
    ("towards_real", "of that towards “real”"),
    ("flips", "flips ai↔real"),
    ("real_called_ai", "real called “ai”"),
    ("ai_called_real", "AI called “real”"),
)
EVALUATED = (
    ("loss", "training loss"),
    ("auc", "AUC"),
    ("balanced_accuracy", "balanced accuracy"),
    ("accuracy_real", "real called real"),
    ("accuracy_ai", "AI called AI"),
    ("ece", "calibration error"),
)
KINDS = {
    "forced": "forced choice (P(AI) of 0.5 or more is called AI)",
    "shipped": "the model's own labels, at its thresholds",
}


def results(evaluation: Evaluation, album: Album) -> Section:
    name, tiers = evaluation.name, evaluation.tiers
    section = Section(f"Results: {name}")
    count = int(next(iter(tiers.values()))["images"])
    intervals = "In brackets 95 % intervals that resample whole origins."
    section.add("text", f"{count:,} images; only their pixels are scored. {intervals}")
    rows = [(title, *(cell(figures, key) for figures in tiers.values())) for key, title in HEAD]
    if (flips := evaluation.result["flips"]) is not None:
        rows.append(("Flips ai↔real between tiers", f"{flips:.3f}", *[""] * (len(tiers) - 1)))
    section.add("table", Table("Figures by tier", ("", *tiers), rows))

    section.add("heading", "Confusion")
    for kind in evaluation.kinds:
        pages = report_figures.confusion(tiers, kind)
        told = "; ".join(
            f"{tier}: {_told(figures['confusion'][kind])}" for tier, figures in tiers.items()
        )
        alt = f"Confusion matrices. {told}."
        section.add(
            "picture", album.picture(f"{name}-confusion-{kind}", pages, f"By {KINDS[kind]}.", alt)
        )
    for kind in evaluation.kinds:
        section.add("table", _classes(tiers, kind))

    section.add("heading", "Ranking and calibration")
    ends = ", ".join(f"{tier} {figures['auc']:.3f}" for tier, figures in tiers.items())
    alt = f"ROC curves: AI found against real images taken for AI. Area under them: {ends}."
    caption = "ROC: what share of AI images is found at which share of false positives."
    section.add("picture", album.picture(f"{name}-roc", report_figures.roc(tiers), caption, alt))
    bins = "; ".join(
        f"{tier}: " + ", ".join(f"{said:.2f} → {share:.2f}" for _, said, share in figures["reliability"])
        for tier, figures in tiers.items()
    )
    alt = f"Reliability diagrams, P(AI) that was said → share that is AI. {bins}."
    caption = (
        "Reliability: on the dotted line what is said is what comes true. Below, images in each bin."
    )
    pages = report_figures.reliability(tiers)
    section.add("picture", album.picture(f"{name}-reliability", pages, caption, alt))

    section.add("heading", "By generator, kind and source")
    for part, of in (("by_group", "generator or kind"), ("by_origin", "source")):
        section.add("table", _groups(tiers, part, of))
    _sheets(section, evaluation, album)
    return section


def _told(confusion: Mapping[str, Mapping[str, int]]) -> str:
    return ", ".join(
        f"{truth} called {' '.join(f'{answer} {count:,}' for answer, count in row.items() if count)}"
        for truth, row in confusion.items()
    )


def _classes(tiers: report_figures.Tiers, kind: str) -> Table:
    rows = [
        (f"{tier}: {row.name}", _number(row.precision), _number(row.recall), _number(row.f1),
         f"{row.support:,}")
        for tier, figures in tiers.items()
        for row in classification_report(figures["confusion"][kind])
    ]  # fmt: skip
    caption = f"Classification report, {KINDS[kind]}"
    if kind == "shipped":
        caption += "; “uncertain” counts as not found"
    return Table(caption, ("class", "precision", "recall", "F1", "images"), rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _groups(tiers: report_figures.Tiers, part: str, of: str) -> Table:
    first = next(iter(tiers.values()))[part]
    rows = [
        (": ".join(("AI" if name.startswith("ai ") else "real", name.partition(" ")[2])),
         f"{int(first[name]['images']):,}",
         *(f"{figures[part][name]['accuracy']:.2f}" for figures in tiers.values()),
         *(f"{figures[part][name]['mean_probability']:.2f}" for figures in tiers.values()))
        for name in first
    ]  # fmt: skip
    heads = (
        of,
        "images",
        *(f"right, {tier}" for tier in tiers),
        *(f"mean P(AI), {tier}" for tier in tiers),
    )
    return Table(f"Share called right at the forced choice, by {of}", heads, rows)


def _sheets(section: Section, evaluation: Evaluation, album: Album) -> None:
    if sheet := evaluation.robustness:
        section.add("heading", "Robustness")
        images = int(sheet["clean"]["images"])
        section.add(
            "text", f"Single changes to {images:,} of the images, and what they do to the answers."
        )
        worst = min(sheet, key=lambda name: sheet[name]["balanced_accuracy"])
        alt = (f"Balanced accuracy and AUC after each change: unchanged {_pair(sheet['clean'])}; lowest"
               f" after {worst}, {_pair(sheet[worst])}. The table holds all.")  # fmt: skip
        pages = report_figures.changes(sheet)
        caption = "Left of the dotted line: worse than unchanged."
        section.add("picture", album.picture(f"{evaluation.name}-robustness", pages, caption, alt))
        section.add("table", _sheet("Robustness, forced choice", "change", sheet, SHEET))
    if sheet := evaluation.adversarial:
        section.add("heading", "Attacks with the weights at hand")
        section.add("text", _attack_text(evaluation, int(sheet["none"].get("images", 0))))
        columns = [(key, title) for key, title in adversarial.COLUMNS if key in sheet["none"]]
        section.add("table", _sheet("White-box attacks, L∞ in levels of 255", "attack", sheet, columns))


def _pair(figures: Mapping[str, float]) -> str:
    return f"{figures['balanced_accuracy']:.2f} and {figures['auc']:.2f}"


def _attack_text(evaluation: Evaluation, images: int) -> str:
    text = (
        f"FGSM and PGD against the network's view of the whole image, of {images:,} images. That is an"
        " attack on the network alone."
    )
    fitted = evaluation.calibration or {}
    if any(texture := fitted.get("texture", (0, 0))):
        text += (
            f" Here it has a weight of {fitted['alone'][0]:.3f} beside the texture's {texture[1]:.3f}: a"
            " network that is turned hardly moves the verdict, whose columns leave the texture as it is."
            " That is no proof of robustness: a texture is turned by plainer means, as by coarse noise."
        )
    return text


def _sheet(
    caption: str, of: str, sheet: Mapping[str, Mapping[str, float]], columns: Sequence[tuple[str, str]]
) -> Table:
    rows = [(name, *(f"{figures[key]:.3f}" for key, _ in columns)) for name, figures in sheet.items()]
    return Table(caption, (of, *(title for _, title in columns)), rows)


def training_run(training: Training, album: Album) -> Section:
    section = Section(f"Training: {training.name}")
    if recipe := training.recipe:
        section.add("text", f"Recipe {recipe.name}: {' '.join(recipe.about.split())}")
        parts = ((part, asdict(getattr(recipe, part))) for part in ("model", "data", "augment", "train"))
        section.add("facts", [(part, _options(values)) for part, values in parts])
    first, last = training.rows[0], training.rows[-1]
    # Before the first step of a run that starts from given weights there is no loss.
    losses = [row["loss"] for row in training.rows if not math.isnan(row["loss"])] or [math.nan]
    names = (("auc", "AUC"), ("balanced_accuracy", "balanced accuracy"))
    alt = (
        f"Curves over {len(training.rows)} evaluations: training loss {losses[0]:.3f} →"
        f" {losses[-1]:.3f}, validation AUC {first['auc']:.3f} → {last['auc']:.3f}, balanced accuracy"
        f" {first['balanced_accuracy']:.3f} → {last['balanced_accuracy']:.3f}."
    )
    pages = report_figures.curves(training.rows, names)
    caption = (
        "Training loss since the evaluation before, and the averaged network on the validation part."
    )
    section.add("picture", album.picture(f"{training.name}-curves", pages, caption, alt))
    rows = [
        (f"{row['samples']:,.0f}{' (kept)' if row['samples'] == training.best else ''}",
         *("–" if math.isnan(row.get(key, math.nan)) else f"{row[key]:.3f}" for key, _ in EVALUATED))
        for row in training.rows
    ]  # fmt: skip
    heads = ("samples seen", *(title for _, title in EVALUATED))
    section.add("table", Table("Evaluations of the validation part", heads, rows))
    return section


def _options(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_short(value)}" for key, value in values.items())


def _short(value: Any) -> str:
    """Lists of names are counted, phases are told."""
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
        return f"({len(value)} named)"
    if isinstance(value, (list, tuple)):
        return "; ".join(_short(part) for part in value)
    if isinstance(value, dict):
        return "(" + ", ".join(f"{key} {part}" for key, part in value.items() if part) + ")"
    return str(value)
