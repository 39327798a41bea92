"""What every benchmark here ends with: a line of its figures, as `_all.py` reads it."""

import json

Figure = dict[str, object]
Figures = dict[str, Figure]
"""By name: a value, its target, and whether that is met."""


def figure(value: float, target: float | str, met: bool, digits: int = 3) -> Figure:
    return {"value": round(value, digits), "target": target, "met": met}


def at_most(value: float, target: float, sign: str = "", digits: int = 3) -> Figure:
    """`sign` stands before the target where it is shown."""
    return figure(value, f"{sign} {target}" if sign else target, value <= target, digits)


def at_least(value: float, target: float, sign: str = "", digits: int = 3) -> Figure:
    return figure(value, f"{sign} {target}" if sign else target, value >= target, digits)


def print_figures(figures: Figures) -> None:
    print(json.dumps(figures, ensure_ascii=False))
