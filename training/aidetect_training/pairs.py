"""Aligned pairs: real tiles beside what small autoencoders, trained here on such tiles, make of them.

Content, size and codec of both are the same, so that only the generator's trace tells them apart
(AlignedForensics, Dual Data Alignment). Real generators end in a decoder, whose upsampling leaves most
of that trace; so there is one autoencoder for each way to enlarge (nearest neighbour and convolution,
transposed convolution, pixel shuffle) and for each factor, 4 and 8. Its reconstructions stand as AI.
"""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from aidetect import ConfigurationError

from .data import Item, open_tile

Decoder = Literal["nearest", "transposed", "shuffle"]
FACTORS = (4, 8)
WIDTH = 32
LATENT = {4: 4, 8: 16}
"""Channels of the code: a twelfth of the pixels' numbers at either factor."""

CROP = 64
COLUMNS = ("path", "label", "generator", "source", "origin", "category")


class Autoencoder(nn.Module):
    """N×3×H×W in 0…1, sides multiples of `factor` → the same shape, through a code of 1/`factor` the
    sides."""

    def __init__(self, decoder: Decoder, factor: int) -> None:
        super().__init__()
        halvings = factor.bit_length() - 1
        widths = [WIDTH * 2 ** min(step, 1) for step in range(halvings)]
        down: list[nn.Module] = [nn.Conv2d(3, WIDTH, 3, padding=1)]
        before = WIDTH
        for width in widths:
            down += [nn.SiLU(), nn.Conv2d(before, width, 4, stride=2, padding=1)]
            before = width
        self.encoder = nn.Sequential(*down, nn.SiLU(), nn.Conv2d(before, LATENT[factor], 3, padding=1))
        up: list[nn.Module] = [nn.Conv2d(LATENT[factor], before, 3, padding=1)]
        for width in reversed(widths):
            up += [nn.SiLU(), *_enlarge(decoder, before, width)]
            before = width
        self.decoder = nn.Sequential(*up, nn.SiLU(), nn.Conv2d(before, 3, 3, padding=1))

    def forward(self, pixels: Tensor) -> Tensor:
        made: Tensor = self.decoder(self.encoder(pixels))
        return made


def _enlarge(decoder: Decoder, before: int, after: int) -> list[nn.Module]:
    """Layers that double the sides."""
    match decoder:
        case "nearest":
            return [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1)]
        case "transposed":
            return [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
        case "shuffle":
            return [nn.Conv2d(before, 4 * after, 3, padding=1), nn.PixelShuffle(2)]


@dataclass(frozen=True, slots=True)
class PairOptions:
    """`images`: real tiles that are taken, shared out between the autoencoders; `steps` of `batch`
    crops of 64 pixels train each of these. `quality`: the JPEG in which both of a pair are written."""

    images: int = 1200
    steps: int = 1500
    batch: int = 16
    learning_rate: float = 2e-3
    quality: int = 92
    seed: int = 0


def make_pairs(
    items: Sequence[Item], out: Path, options: PairOptions, device: str = "cpu"
) -> dict[str, float]:
    """Writes pairs of the real tiles among `items` into `out`, with a manifest; returns each
    autoencoder's mean peak signal-to-noise ratio in dB.

    All are trained on all real tiles; give none of a validation origin. A tile is cut to sides that are
    multiples of 8. The same seed gives the same pairs on one machine. Raises ConfigurationError for
    fewer real tiles than autoencoders, and where one is smaller than a crop or cannot be read.
    """
    kinds = list(product(get_args(Decoder), FACTORS))
    real = [item for item in items if item.label == 0]
    if len(real) < len(kinds):
        raise ConfigurationError(
            f"there are {len(real)} real tiles for {len(kinds)} autoencoders. Give more."
        )
    rng = random.Random(options.seed)
    chosen = rng.sample(real, min(options.images, len(real)))
    out.mkdir(parents=True, exist_ok=True)
    ratios = {}
    with open(out / "manifest.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        for number, (decoder, factor) in enumerate(kinds):
            name = f"autoencoder-{decoder}-{factor}"
            model = _trained(decoder, factor, real, options, rng, device, name)
            found = []
            for place in range(number, len(chosen), len(kinds)):
                tile = _cut(chosen[place])
                made = _reconstructed(model, tile, device)
                error = np.mean((np.asarray(tile, np.float32) - np.asarray(made, np.float32)) ** 2)
                found.append(10 * np.log10(255**2 / max(float(error), 1e-3)))
                for label, image in enumerate((tile, made)):
                    path = Path(("real", "ai")[label]) / f"{place:05}.jpg"
                    (out / path).parent.mkdir(exist_ok=True)
                    image.save(out / path, "JPEG", quality=options.quality)
                    table.writerow(_row(chosen[place], path, label, name))
            ratios[name] = float(np.mean(found))
    return ratios


def _trained(
    decoder: Decoder,
    factor: int,
    real: Sequence[Item],
    options: PairOptions,
    rng: random.Random,
    device: str,
    name: str,
) -> Autoencoder:
    """Least mean absolute error on random crops, under one cosine."""
    torch.manual_seed(options.seed)
    model = Autoencoder(decoder, factor).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    for _ in tqdm(range(options.steps), desc=name, unit="step"):
        crops = np.stack([_crop(rng.choice(real), rng) for _ in range(options.batch)])
        pixels = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2) / 255
        loss = functional.l1_loss(model(pixels), pixels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def _crop(item: Item, rng: random.Random) -> np.ndarray:
    tile = _cut(item)
    left, top = rng.randint(0, tile.width - CROP), rng.randint(0, tile.height - CROP)
    return np.asarray(tile.crop((left, top, left + CROP, top + CROP)))


def _cut(item: Item) -> Image.Image:
    try:
        with open_tile(item, CROP) as tile:
            width, height = (side - side % max(FACTORS) for side in tile.size)
            return tile.convert("RGB").crop((0, 0, width, height))
    except OSError as error:
        raise ConfigurationError(f"{item.path} cannot be read: {error}. Remove it.") from None


def _reconstructed(model: Autoencoder, tile: Image.Image, device: str) -> Image.Image:
    pixels = torch.from_numpy(np.array(tile)).to(device).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        made = model(pixels)[0].clamp(0, 1).permute(1, 2, 0) * 255
    return Image.fromarray(made.round().to(torch.uint8).cpu().numpy())


def _row(item: Item, path: Path, label: int, name: str) -> dict[str, str]:
    return {
        "path": path.as_posix(),
        "label": str(label),
        "generator": name if label else "",
        "source": item.source,
        "origin": item.origin,
        "category": item.category,
    }
