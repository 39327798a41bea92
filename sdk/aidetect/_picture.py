"""Pictures of a heat map and of a spectrum.

Readable by the colour-blind and printed in grey: the colours are cividis (Nuñez et al. 2018), whose
lightness rises steadily from real (dark blue) through nothing (grey) to AI (yellow); and over the image,
whose own lightness mixes with them, signs say the same: + towards AI, - towards real, larger where
more. Places that the decision did not look at are hatched. No text of the image or of its name is
drawn.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ._heatmap import HeatMap
from ._spectrum import radial_profile
from ._verdict import WORDS, Verdict, percent

Pixels = NDArray[np.uint8]
Values = NDArray[np.float32]

_CIVIDIS = np.array(
    [[0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115],
     [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56]], np.float32,
)  # fmt: skip
_LEAST_SCALE = 1.0
"""Log-odds at the ends of the colours, at least: a map of next to nothing looks like that."""

_INK, _SOFT_INK, _FAINT, _PAPER = (20, 20, 20), (90, 90, 90), (170, 170, 170), (255, 255, 255)
_LEGEND, _LEAST_WIDTH, _MARGIN, _TEXT = 80, 360, 12, 13
_SPECTRUM = 384


def colours(values: Values, scale: float) -> Pixels:
    """RGB of log-odds from -scale (real) to scale (AI); of NaN the middle's."""
    at = (np.nan_to_num(values) / scale).clip(-1, 1) * 0.5 + 0.5
    at = at * (len(_CIVIDIS) - 1)
    low = np.minimum(at.astype(int), len(_CIVIDIS) - 2)
    share = (at - low)[..., None]
    mixed = _CIVIDIS[low] * (1 - share) + _CIVIDIS[low + 1] * share
    painted: Pixels = np.rint(mixed).astype(np.uint8)
    return painted


def scale_of(heat_map: HeatMap) -> float:
    """Log-odds at the ends of the colours: the map's own peak, up to the next half."""
    return max(_LEAST_SCALE, math.ceil(2 * heat_map.peak) / 2)


def overlay(picture: Pixels, heat_map: HeatMap, verdict: Verdict) -> Image.Image:
    """The map over the image in grey, with signs and a legend."""
    scale = scale_of(heat_map)
    return _with_legend(_overlaid(picture, heat_map, scale), verdict, scale)


def side_by_side(picture: Pixels, heat_map: HeatMap, verdict: Verdict) -> Image.Image:
    """The image, and beside it the map over it."""
    scale = scale_of(heat_map)
    height, width = picture.shape[:2]
    both = Image.new("RGB", (2 * width + _MARGIN, height), _PAPER)
    both.paste(Image.fromarray(picture), (0, 0))
    both.paste(_overlaid(picture, heat_map, scale), (width + _MARGIN, 0))
    return _with_legend(both, verdict, scale)


def spectrum(power: Values) -> Image.Image:
    """The power of each frequency, and its mean over directions as a curve."""
    level = np.log10(power + 1e-3)
    low, high = np.quantile(level, (0.01, 0.999))
    shown = (level - (low + high) / 2).astype(np.float32)
    square = Image.fromarray(colours(shown, max(float(high - low) / 2, 0.1)))
    square = square.resize((_SPECTRUM, _SPECTRUM), Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (2 * _SPECTRUM + 5 * _MARGIN, _SPECTRUM + _LEGEND), _PAPER)
    canvas.paste(square, (_MARGIN, _MARGIN))
    draw = ImageDraw.Draw(canvas)
    _write(
        draw, (_MARGIN, _SPECTRUM + 2 * _MARGIN), "Power by frequency: 0 in the middle, 1/2 per pixel"
    )
    _write(draw, (_MARGIN, _SPECTRUM + 4 * _MARGIN), "at the edges; dark: little, light: much.")
    _curve(draw, radial_profile(power, max(1, len(power) // 2)), 4 * _MARGIN + _SPECTRUM)
    return canvas


def _curve(draw: ImageDraw.ImageDraw, profile: Values, left: int) -> None:
    right, top, bottom = left + _SPECTRUM, _MARGIN, _MARGIN + _SPECTRUM
    low, high = math.floor(float(profile.min())), math.ceil(float(profile.max()))
    high = max(high, low + 1)
    for decade in range(low, high + 1):
        y = bottom - (decade - low) / (high - low) * (bottom - top)
        draw.line((left, y, right, y), _FAINT)
    for eighth in range(5):
        x = left + eighth / 4 * (right - left)
        draw.line((x, top, x, bottom), _FAINT)
        _write(draw, (x - 10, bottom + 4), f"{eighth}/8")
    step = (right - left) / len(profile)
    heights = bottom - (profile - low) / (high - low) * (bottom - top)
    draw.line([(left + (i + 0.5) * step, float(y)) for i, y in enumerate(heights)], _INK, 2)
    text = "Mean over directions, in periods per pixel; a line is a factor of ten."
    _write(draw, (left, _SPECTRUM + 3.5 * _MARGIN), text)


def _overlaid(picture: Pixels, heat_map: HeatMap, scale: float) -> Image.Image:
    height, width = picture.shape[:2]
    values = _resized(heat_map.values, width, height)
    seen = np.isfinite(values)
    grey = np.asarray(Image.fromarray(picture).convert("L"), np.float32)[..., None]
    strength = np.sqrt(np.minimum(1, np.abs(np.nan_to_num(values)) / scale))[..., None]
    mixed = grey * (1 - 0.75 * strength) + colours(values, scale) * (0.75 * strength)
    rows, columns = np.mgrid[:height, :width]
    hatch = ~seen & ((rows + columns) % 10 < 2)
    mixed[hatch] = 255 - grey[hatch] // 128 * 255
    image = Image.fromarray(np.rint(mixed).clip(0, 255).astype(np.uint8))
    _draw_signs(ImageDraw.Draw(image), values, scale)
    return image


def _resized(values: Values, width: int, height: int) -> Values:
    """Values at each pixel: the nearest place of the map, whose places are small."""
    rows = (np.arange(height) + 0.5) * values.shape[0] / height
    columns = (np.arange(width) + 0.5) * values.shape[1] / width
    nearest: Values = values[rows.astype(int)[:, None], columns.astype(int)[None, :]]
    return nearest


def _draw_signs(draw: ImageDraw.ImageDraw, values: Values, scale: float) -> None:
    """A + or - in each cell of a coarse grid that leans at least a fifth of the scale."""
    height, width = values.shape
    step = max(24, max(width, height) // 9)
    for top in range(0, max(1, height - step // 2), step):
        for left in range(0, max(1, width - step // 2), step):
            cell = values[top : top + step, left : left + step]
            if not np.isfinite(cell).mean() > 0.5:
                continue
            value = float(np.nanmean(cell))
            if abs(value) >= scale / 5:
                middle = (left + cell.shape[1] // 2, top + cell.shape[0] // 2)
                _draw_sign(draw, middle, step * (0.12 + 0.2 * min(1, abs(value) / scale)), value > 0)


def _draw_sign(draw: ImageDraw.ImageDraw, middle: tuple[int, int], arm: float, plus: bool) -> None:
    """White on black, so that it shows on anything."""
    x, y = middle
    for width, colour, reach in ((6, _INK, arm + 2), (2, _PAPER, arm)):
        draw.line((x - reach, y, x + reach, y), colour, width)
        if plus:
            draw.line((x, y - reach, x, y + reach), colour, width)


def _with_legend(image: Image.Image, verdict: Verdict, scale: float) -> Image.Image:
    """The image above the answer, the colours, and what they stand for."""
    canvas = Image.new("RGB", (max(_LEAST_WIDTH, image.width), image.height + _LEGEND), _PAPER)
    canvas.paste(image, (0, 0))
    draw = ImageDraw.Draw(canvas)
    answer = f"{WORDS[verdict.label]}, P(AI) = {percent(verdict.probability)}"
    _write(draw, (_MARGIN, image.height + 6), answer)
    left, right, top = _MARGIN, canvas.width - _MARGIN, image.height + 26
    ramp = colours(np.linspace(-scale, scale, right - left, dtype=np.float32), scale)
    canvas.paste(Image.fromarray(ramp[None].repeat(14, axis=0)), (left, top))
    ends = [f"{percent(1 / (1 + math.exp(-value)))}" for value in (-scale, 0, scale)]
    width = _length(ends[2] + " AI +")
    _write(draw, (left, top + 17), f"- real {ends[0]}")
    _write(draw, ((left + right - _length(ends[1])) / 2, top + 17), ends[1])
    _write(draw, (right - width, top + 17), f"{ends[2]} AI +")
    note = "P(AI) if all were like this place; hatched: not looked at"
    _write(draw, (left, top + 33), note, _SOFT_INK)
    return canvas


def _font() -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    return ImageFont.load_default(_TEXT)


def _length(text: str) -> float:
    return float(_font().getlength(text))


def _write(
    draw: ImageDraw.ImageDraw,
    place: tuple[float, float],
    text: str,
    colour: tuple[int, int, int] = _INK,
) -> None:
    draw.text(place, text, colour, _font())
