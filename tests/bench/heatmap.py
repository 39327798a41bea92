"""Whether heat maps show what the model does, and whether that is where AI is.

Sanity (Adebayo et al. 2018): maps of the same images after weights were randomised, the head alone or
everything from the head down to the stem, against the model's own: mean rank correlation of the cells,
that mean of its absolute values (a random head has a random sign), and mean structural similarity of the
maps drawn. Beside it: the absolute correlation of the model's own maps of different images.

Pointing game (Zhang et al. 2018): a square of an AI image is pasted into a real image at native
resolution, its seam feathered, the whole compressed as JPEG; a map hits if its place most towards AI
lies in the square. Beside it: the image's centre, a place drawn by chance in what the map covers, and
the same with squares of other real images, which shows what seam and foreign content alone attract.
Maps are the decision's own, and those of 24 native crops and of the texture as if they decided. Beside
targets stand 95 % intervals that resample the origins of the pasted images.

Needs the folder that AIDETECT_DATA names; without it nothing is measured. `--full`: 400 composites
instead of 60.
"""

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from _figures import Figures, above, at_most, print_figures, untargeted
from PIL import Image, ImageFilter
from torch import nn

from aidetect._backends import open_backend
from aidetect._calibration import Calibration
from aidetect._engine import Engine
from aidetect._head import Head
from aidetect._heatmap import HeatMap, Mapper, merge
from aidetect._image import decode
from aidetect._model import SEResNet50
from aidetect._texture import Texture
from aidetect._views import extract_views
from aidetect._weights import load_package
from aidetect_training.data import Item, read_manifest

Array = np.ndarray

SHARE = 0.45
"""Side of what is pasted, of the real image's shorter side."""

FEATHER = 6
SANITY_IMAGES = 24
PHOTOGRAPHS = ("human", "object", "view", "animal", "photo")


@dataclass(frozen=True)
class Composite:
    """A real image with a square of another one in it, as the bytes of a JPEG."""

    data: bytes
    box: tuple[int, int, int, int]
    origin: str


def composite(real: Item, other: Item, random: np.random.Generator) -> Composite | None:
    """None where the other image is smaller than the square."""
    host, guest = (Image.fromarray(decode(i.path.read_bytes()).pixels) for i in (real, other))
    side = round(SHARE * min(host.size))
    if min(guest.size) < side:
        return None
    left, top = (int(random.integers(0, length - side + 1)) for length in host.size)
    x, y = (int(random.integers(0, length - side + 1)) for length in guest.size)
    mask = Image.new("L", host.size)
    inner = FEATHER
    mask.paste(255, (left + inner, top + inner, left + side - inner, top + side - inner))
    mask = mask.filter(ImageFilter.GaussianBlur(FEATHER / 2))
    layer = Image.new("RGB", host.size)
    layer.paste(guest.crop((x, y, x + side, y + side)), (left, top))
    file = io.BytesIO()
    Image.composite(layer, host, mask).save(file, "JPEG", quality=int(random.integers(80, 93)))
    return Composite(file.getvalue(), (left, top, left + side, top + side), other.origin)


def composites(reals: Sequence[Item], others: Sequence[Item], count: int, seed: int) -> list[Composite]:
    """`count` of them; every origin of the others comes up as often, real images at random."""
    random = np.random.default_rng(seed)
    origins = sorted({item.origin for item in others})
    made: list[Composite] = []
    while len(made) < count:
        origin = origins[len(made) % len(origins)]
        other = random.choice([i for i in others if i.origin == origin])  # type: ignore[arg-type]
        real = random.choice([i for i in reals if i.origin != origin])  # type: ignore[arg-type]
        if one := composite(real, other, random):
            made.append(one)
    return made


Draw = Callable[[bytes], HeatMap]


def drawers() -> dict[str, Draw]:
    """The decision's map, and those of native crops and of the texture if they alone decided."""
    engine, package = Engine(backend="onnx", threads=1), load_package()
    backend = open_backend(package, "onnx", threads=1)
    size, head = package.manifest.view_size, Head.of(package)
    calibration = Calibration.from_dict(package.manifest.calibration)
    crops_alone = replace(calibration, both=(0.0, 1.0, 0.0), texture=(0.0, 0.0))
    texture = Texture.from_dict(package.manifest.texture or {})

    def decision(data: bytes) -> HeatMap:
        return engine.explain(engine.prepare(data))[1]

    def crops(data: bytes) -> HeatMap:
        pixels = decode(data).pixels
        views = extract_views(pixels, "thorough", size)
        logits, maps = backend.logits_and_maps(views.pixels)
        margins = logits[:, 1] - logits[:, 0]
        shape = pixels.shape[1], pixels.shape[0]
        return Mapper(head, crops_alone).draw(maps, margins, [views], [shape], [None])[0]

    def texture_alone(data: bytes) -> HeatMap:
        pixels = decode(data).pixels
        views = extract_views(pixels, "fast", size, crops=False)
        alone = replace(calibration, alone=(0.0, 0.0), texture=(1.0, 1.0))
        cells = np.zeros((1, 1, 1), np.float32)
        shape = pixels.shape[1], pixels.shape[0]
        return merge(cells, views, alone, shape, texture=texture.look(pixels))

    return {"decision": decision, "crops": crops, "texture": texture_alone}


def pointing(made: Sequence[Composite], draw: Draw) -> dict[str, Array]:
    """Hits of the map, of the centre and by chance, and the map's AUC for inside against outside;
    a row a composite."""
    rows: dict[str, list[float]] = {"map": [], "centre": [], "chance": [], "auc": []}
    for one in made:
        drawn = draw(one.data)
        left, top, right, bottom = one.box
        rows_, columns = drawn.values.shape
        y = (np.arange(rows_) + 0.5) * drawn.height / rows_
        x = (np.arange(columns) + 0.5) * drawn.width / columns
        inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))[None, :]
        seen = np.isfinite(drawn.values)
        row, column = np.unravel_index(np.where(seen, drawn.values, -np.inf).argmax(), seen.shape)
        rows["map"].append(float(inside[row, column]))
        rows["centre"].append(
            float(left <= drawn.width / 2 < right and top <= drawn.height / 2 < bottom)
        )
        rows["chance"].append(float(inside[seen].mean()))
        rows["auc"].append(_auc(drawn.values[seen & inside], drawn.values[seen & ~inside]))
    return {name: np.array(values) for name, values in rows.items()}


def _auc(high: Array, low: Array) -> float:
    """How often a place inside is above one outside; 0.5 where there is none of a kind."""
    if not high.size or not low.size:
        return 0.5
    order = np.sort(low)
    below = np.searchsorted(order, high, "left") + np.searchsorted(order, high, "right")
    return float(below.mean() / (2 * low.size))


def resampled(values: Array, origins: Sequence[str]) -> tuple[float, float, float]:
    """Mean and 95 % interval."""
    low, high = np.quantile(_means(values, origins, 0), (0.025, 0.975))
    return float(values.mean()), float(low), float(high)


def gap(
    one: Array, origins: Sequence[str], other: Array, other_origins: Sequence[str]
) -> tuple[float, float, float]:
    """Difference of two means and its 95 % interval."""
    drawn = _means(one, origins, 0) - _means(other, other_origins, 1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(one.mean() - other.mean()), float(low), float(high)


def _means(values: Array, origins: Sequence[str], seed: int, rounds: int = 1000) -> Array:
    """Of samples that draw whole origins."""
    names = np.asarray(origins)
    groups = [values[names == name] for name in np.unique(names)]
    random = np.random.default_rng(seed)
    drawn = (random.integers(0, len(groups), len(groups)) for _ in range(rounds))
    return np.array([np.concatenate([groups[i] for i in picked]).mean() for picked in drawn])


def randomised(network: SEResNet50, parts: Sequence[nn.Module], views: torch.Tensor) -> None:
    """Gives the parts fresh weights, and batch normalisation the statistics that go with them."""
    modules = [module for part in parts for module in part.modules()]
    for module in modules:
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            module.reset_parameters()
    if not any(isinstance(module, nn.BatchNorm2d) for module in modules):
        return
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        network.train()(views)
        network.eval()


def cells_of(network: SEResNet50, views: torch.Tensor) -> Array:
    """Local margins N×h×w, by autograd: gradient times activation plus what spreads evenly."""
    with torch.no_grad():
        maps = network.maps(views)
    maps.requires_grad_(True)
    logits = network.classify(maps)
    margins = logits[:, 1] - logits[:, 0]
    (gradient,) = torch.autograd.grad(margins.sum(), maps)
    cells: Array = (gradient * maps).sum(1).detach().numpy() * maps.shape[2] * maps.shape[3]
    return cells


def sanity(items: Sequence[Item], seeds: Sequence[int] = range(5)) -> dict[str, tuple[float, ...]]:
    """Which part is random → mean rank correlation, mean of its absolute values, and mean structural
    similarity with the model's maps."""
    from safetensors.torch import load

    package = load_package()
    size = package.manifest.view_size
    pixels = [extract_views(decode(i.path.read_bytes()).pixels, "fast", size).pixels[0] for i in items]
    views = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)

    def fresh() -> SEResNet50:
        network = SEResNet50(**package.manifest.architecture)
        network.load_state_dict(load(package.weights))
        return network.eval()

    right = cells_of(fresh(), views)
    shifted = [agreement(a, b) for a, b in zip(right, np.roll(right, 1, axis=0), strict=True)]
    found = {"nothing, of different images": tuple(np.mean(shifted, axis=0).tolist())}
    for name in ("head", "head and SE", "head to layer4", "head to stem"):
        scores = []
        for seed in seeds:
            torch.manual_seed(seed)
            network = fresh()
            parts: dict[str, list[nn.Module]] = {
                "head": [network.head],
                "head and SE": [network.head, network.se],
                "head to layer4": [network.head, network.se, network.layers[-1]],
                "head to stem": [network],
            }
            randomised(network, parts[name], views)
            pairs = zip(right, cells_of(network, views), strict=True)
            scores.append([agreement(a, b) for a, b in pairs])
        found[name] = tuple(np.mean(scores, axis=(0, 1)).tolist())
    return found


def agreement(one: Array, other: Array) -> tuple[float, float, float]:
    """Spearman's rank correlation of the cells, its absolute value, and structural similarity."""
    ranks = [np.argsort(np.argsort(cells.ravel())) for cells in (one, other)]
    rank = float(np.corrcoef(*ranks)[0, 1])
    return rank, abs(rank), similarity(one, other)


def similarity(one: Array, other: Array) -> float:
    """SSIM (Wang et al. 2004) of two maps drawn on 48×48 places, each brought to 0…1, windows of 8×8."""
    drawn = []
    for cells in (one, other):
        low, high = float(cells.min()), float(cells.max())
        unit = (cells - low) / max(high - low, 1e-9)
        image = Image.fromarray(unit.astype(np.float32))
        drawn.append(np.asarray(image.resize((48, 48), Image.Resampling.BILINEAR)))
    a, b = (m.reshape(6, 8, 6, 8).transpose(0, 2, 1, 3).reshape(36, 64) for m in drawn)
    covariance = (a * b).mean(1) - a.mean(1) * b.mean(1)
    first = (2 * a.mean(1) * b.mean(1) + 0.01**2) / (a.mean(1) ** 2 + b.mean(1) ** 2 + 0.01**2)
    second = (2 * covariance + 0.03**2) / (a.var(1) + b.var(1) + 0.03**2)
    return float((first * second).mean())


def sanity_figures(items: Sequence[Item]) -> Figures:
    figures = {}
    for part, values in sanity(items[:: len(items) // SANITY_IMAGES][:SANITY_IMAGES]).items():
        for kind, value in zip(("rank correlation", "the same, absolute", "SSIM"), values, strict=True):
            figures[f"maps with random weights ({part}): {kind}"] = at_most(value, 0.5)
    return figures


def pointing_figures(items: Sequence[Item], count: int) -> Figures:
    reals = [i for i in items if i.label == 0 and i.category in PHOTOGRAPHS]
    draw, figures, hits = drawers(), {}, {}
    for pasted, others in {"AI": [i for i in items if i.label], "real": reals}.items():
        made = composites(reals, others, count, seed=1)
        origins = [one.origin for one in made]
        for kind in draw:
            rows = pointing(made, draw[kind])
            hits[pasted, kind] = rows["map"], origins
            chance, centre = float(rows["chance"].mean()), float(rows["centre"].mean())
            name = f"{pasted} pasted, map of the {kind}"
            for column, title, least in (
                ("map", "hits", max(chance, centre)),
                ("auc", "AUC of inside against outside", 0.5),
            ):
                value, low, high = resampled(rows[column], origins)
                figures[f"{name}: {title}"] = above(value, least, (low, high))
        figures[f"{pasted} pasted: hits of the centre"] = untargeted(centre)
        figures[f"{pasted} pasted: hits by chance"] = untargeted(chance)
    for kind in draw:
        value, low, high = gap(*hits["AI", kind], *hits["real", kind])
        name = f"hits, AI less real pasted, map of the {kind}"
        figures[name] = above(value, 0, (low, high))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--full", action="store_true")
    full = parser.parse_args().full
    data = os.environ.get("AIDETECT_DATA")
    if not data or not Path(data, "devtest", "manifest.csv").is_file():
        print("nothing measured: AIDETECT_DATA names no folder with devtest/", file=sys.stderr)
        print_figures({})
        return
    torch.set_num_threads(1)
    items = read_manifest(Path(data, "devtest"))
    print_figures(sanity_figures(items) | pointing_figures(items, 400 if full else 60))


if __name__ == "__main__":
    main()
