"""The model card of `report`: what it is, what it is good at, where it fails, what it was trained on."""

from collections.abc import Mapping, Sequence
from typing import Any

from .report import Counts, Evaluation, Training, extremes
from .report_parts import Section, Table

Groups = Mapping[str, Sequence[tuple[str, int, float]]]
"""As `extremes` gives them."""


def model_card(
    evaluation: Evaluation | None, trainings: Sequence[Training], data: Sequence[Counts]
) -> Section:
    section = Section("Model card")
    if evaluation:
        model = evaluation.result["model"]
        section.add("text", " ".join(model.get("about", "").split()))
        section.add("facts", _facts(model))
        best = extremes(evaluation)
        section.add("heading", "What it is good at")
        section.add("list", _good(evaluation, best))
        section.add("heading", "Where it fails")
        section.add("list", _fails(evaluation, best))
    section.add("heading", "What it was trained on" if evaluation or data else "")
    if evaluation:
        section.add("text", evaluation.result["model"].get("trained_on", ""))
    for counts in data:
        section.add("table", _counts(counts))
    for training in trainings if not evaluation else ():
        section.add("text", " ".join(training.recipe.about.split()) if training.recipe else "")
    return section


def _facts(model: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [("Model", f"{model['name']} {model.get('version', model.get('checkpoint', ''))}")]
    if "architecture" in model:
        options = ", ".join(f"{key} {value}" for key, value in model["architecture"].items())
        facts.append(("Network", f"SE-ResNet-50 ({options}), views of {model['view_size']} pixels"))
    if "created" in model:
        facts += [("Made", model["created"]), ("Weights, SHA-256", model["weights_sha256"])]
    if fitted := model.get("calibration"):
        weights = f"{fitted['alone'][0]:.3f} × network's margin of the whole image"
        if fitted["both"][1]:
            weights += f" (with native crops {fitted['both'][0]:.3f}, theirs {fitted['both'][1]:.3f})"
        if any(texture := fitted.get("texture", (0, 0))):
            weights += f" + {texture[1]:.3f} × texture's margin"
        facts.append(("P(AI) is the sigmoid of", f"{weights} + {fitted['alone'][1]:.3f}"))
        facts.append(("Called “ai” from", f"{fitted['ai_from']:.3f}; of held-out real images at most"
                      f" {fitted['ai_error']:.1%} got there in any tier"))  # fmt: skip
        facts.append(("Called “real” up to", f"{fitted['real_to']:.3f}; of held-out AI images at most"
                      f" {fitted['real_error']:.1%} got there in any tier"))  # fmt: skip
    else:
        facts.append(("Thresholds", "none: a checkpoint, which answers at even odds"))
    return facts


def _by_tier(evaluation: Evaluation, key: str, form: str) -> str:
    return ", ".join(
        f"{'–' if figures[key] is None else format(figures[key], form)} ({tier})"
        for tier, figures in evaluation.tiers.items()
    )


def _named(groups: Sequence[tuple[str, int, float]]) -> str:
    return ", ".join(f"{name} ({share:.0%} right of {count})" for name, count, share in groups)


def _good(evaluation: Evaluation, best: Groups) -> list[str]:
    lines = [f"It ranks AI above real with an AUC of {_by_tier(evaluation, 'auc', '.3f')}."]
    if evaluation.calibration:
        right = _by_tier(evaluation, "right_of_answered", ".0%")
        lines.append(f"Of what it answers, as “ai” or “real”, this much is right: {right}.")
    lines.append(
        "How sure it says it is differs from how often it is right by"
        f" {_by_tier(evaluation, 'ece', '.3f')} (expected calibration error)."
    )
    if best["ai best"]:
        lines.append(f"Among AI images it finds most: {_named(best['ai best'])}.")
    if best["real best"]:
        lines.append(f"Among real images it knows best: {_named(best['real best'])}.")
    return lines


def _fails(evaluation: Evaluation, best: Groups) -> list[str]:
    lines = [
        "It is a statistical judgement and no proof: at even odds it is right in "
        f"{_by_tier(evaluation, 'balanced_accuracy', '.0%')} of images, both classes weighing the same;"
        f" guessing is right in half, file size and format alone in"
        f" {_by_tier(evaluation, 'baseline', '.0%')}."
    ]
    if evaluation.calibration:
        lines.append(f"It gives an answer to {_by_tier(evaluation, 'answered', '.0%')} of images only.")
    if best["ai worst"]:
        lines.append(f"Among AI images it misses most: {_named(best['ai worst'])}.")
    if best["real worst"]:
        lines.append(f"Among real images it errs most on: {_named(best['real worst'])}.")
    lines.append(f"Real images that it flags as “ai”: {_by_tier(evaluation, 'real_flagged', '.1%')}.")
    if sheet := evaluation.robustness:
        before = sheet["clean"]["balanced_accuracy"]
        worst = min(sheet, key=lambda name: sheet[name]["balanced_accuracy"])
        after = sheet[worst]["balanced_accuracy"]
        lines.append(
            f"Of single changes to an image {worst} costs most: balanced accuracy {before:.2f} →"
            f" {after:.2f}."
        )
    return lines


def _counts(counts: Counts) -> Table:
    rows = []
    for label, name in ((0, "real"), (1, "AI")):
        images, origins = counts.of_class(label)
        rows.append((f"{name}, all", f"{images:,}", f"{origins:,}"))
        kinds = sorted(
            (key for key in counts.images if key[0] == label), key=lambda k: -counts.images[k]
        )
        rows += [
            (f"{name}: {kind[1]}", f"{counts.images[kind]:,}", f"{len(counts.origins[kind]):,}")
            for kind in kinds
        ]
    return Table(f"Training images: {counts.names}", ("kind", "images", "origins"), rows)
