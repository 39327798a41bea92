"""What every benchmark here ends with: a line of its figures, as `_all.py` reads it."""

import json

Figure = dict[str, object]
Figures = dict[str, Figure]
"""By name: a value, its target with its sign as it is shown, and whether that is met."""


def at_most(value: float, target: float, digits: int = 3) -> Figure:
    return _figure(value, f"≤ {target}", value <= target, digits)


def at_least(value: float, target: float, digits: int = 3) -> Figure:
    return _figure(value, f"≥ {target}", value >= target, digits)


def above(
    value: float, target: float, interval: tuple[float, float] | None = None, digits: int = 3
) -> Figure:
    """Where the value has an `interval`, the lower end of that has to be above, and both are shown."""
    if interval is None:
        return _figure(value, f"> {target}", value > target, digits)
    low, high = interval
    return _figure(value, f"> {round(target, 2)}; has {low:.2f}–{high:.2f}", low > target, digits)


def untargeted(value: float, digits: int = 3) -> Figure:
    """A figure to compare others with."""
    return _figure(value, "–", True, digits)


def print_figures(figures: Figures) -> None:
    print(json.dumps(figures, ensure_ascii=False))


def _figure(value: float, target: str, met: bool, digits: int) -> Figure:
    return {"value": round(value, digits), "target": target, "met": met}
