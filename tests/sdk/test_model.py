from itertools import product

import pytest
import torch
from torch import nn

from aidetect._model import IMAGENET_MEAN, IMAGENET_STD, SEResNet50, median_3x3


@pytest.fixture(scope="module", autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def pixels(count: int = 2, height: int = 48, width: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def test_the_papers_network_has_25_084_610_parameters() -> None:
    """23,508,032 of ResNet-50 without classifier, 526,464 of the SE block, 1,050,114 of the head."""
    with torch.device("meta"):
        network = SEResNet50()

    def size(part: nn.Module) -> int:
        return sum(parameter.numel() for parameter in part.parameters())

    assert size(network.stem) + size(network.layers) == 23_508_032
    assert size(network.se) == 2048 * 128 + 128 + 128 * 2048 + 2048 == 526_464
    assert size(network.head) == 2048 * 512 + 512 + 512 * 2 + 2 == 1_050_114
    assert size(network) == 25_084_610


def test_the_papers_shapes() -> None:
    with torch.device("meta"):
        network = SEResNet50().eval()
        assert network.maps(torch.empty(1, 3, 224, 224)).shape == (1, 2048, 7, 7)
        assert network(torch.empty(1, 3, 224, 224)).shape == (1, 2)
    assert [type(layer) for layer in network.head] == [nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert network.head[2].p == 0.3


@pytest.mark.parametrize(
    ("options", "maps"),
    [
        ({}, (2048, 2, 1)),
        ({"front_end": "residual"}, (2048, 2, 1)),
        ({"front_end": "rgb+residual"}, (2048, 2, 1)),
        ({"stem_stride": 1}, (2048, 3, 2)),
        ({"stem_pool": False}, (2048, 3, 2)),
        ({"stem_stride": 1, "stem_pool": False}, (2048, 6, 4)),
        ({"stages": 3}, (1024, 3, 2)),
        ({"stages": 2}, (512, 6, 4)),
        ({"pooling": "mean+deviation"}, (2048, 2, 1)),
        ({"front_end": "rgb+residual", "stages": 2, "pooling": "mean+deviation"}, (512, 6, 4)),
    ],
    ids=str,
)
def test_the_shapes_of_each_option(options: dict[str, object], maps: tuple[int, ...]) -> None:
    network = SEResNet50(**options).eval()  # type: ignore[arg-type]
    with torch.inference_mode():
        assert network.maps(pixels()).shape == (2, *maps)
        logits = network(pixels())
    assert logits.shape == (2, 2) and logits.isfinite().all()
    assert network.head[0].in_features == maps[0] * (2 if "pooling" in options else 1)


@pytest.mark.parametrize(
    "options",
    [
        {"front_end": "yuv"},
        {"stem_stride": 3},
        {"stem_stride": 0},
        {"stages": 1},
        {"stages": 5},
        {"pooling": "max"},
        {"dropout": 1.5},
    ],
    ids=str,
)
def test_an_option_that_is_not_there_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        SEResNet50(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (9, 13)])
def test_the_median_is_what_a_sort_finds(size: tuple[int, int]) -> None:
    x = torch.rand(3, 2, *size)
    padded = nn.functional.pad(x, (1, 1, 1, 1), mode="replicate")
    height, width = size
    shifted = [padded[..., i : i + height, j : j + width] for i, j in product(range(3), range(3))]
    assert torch.equal(median_3x3(x), torch.stack(shifted).sort(0).values[4])


def test_the_median_of_every_order_of_zeros_and_ones() -> None:
    """By the zero-one principle, a network that is right on these 512 is right on all numbers."""
    bits = torch.tensor(list(product((0.0, 1.0), repeat=9))).view(512, 1, 3, 3)
    assert torch.equal(median_3x3(bits)[:, 0, 1, 1], bits.flatten(1).sort(1).values[:, 4])


@pytest.mark.parametrize("front_end", ["rgb", "residual", "rgb+residual"])
def test_uint8_and_float_inputs_agree(front_end: str) -> None:
    network = SEResNet50(front_end=front_end, stages=2).eval()  # type: ignore[arg-type]
    x = pixels()
    with torch.inference_mode():
        assert torch.equal(network(x), network(x.float()))


def test_the_front_ends() -> None:
    x = pixels()
    rgb = SEResNet50(stages=2).front(x)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(rgb, (x / 255 - mean) / std)
    residual = SEResNet50(front_end="residual", stages=2).front(x)
    torch.testing.assert_close(residual, (x / 255 - median_3x3(x / 255)) * 10)
    both = SEResNet50(front_end="rgb+residual", stages=2).front(x)
    assert torch.equal(both, torch.cat((rgb, residual), 1))
    flat = torch.full((1, 3, 8, 8), 77, dtype=torch.uint8)
    assert not SEResNet50(front_end="residual", stages=2).front(flat).any()


def test_the_gate_scales_each_channel_by_its_own_factor_between_0_and_1() -> None:
    block = SEResNet50(stages=2).se
    maps = torch.rand(2, 512, 4, 4) + 0.5
    factors = block(maps) / maps
    assert (factors > 0).all() and (factors < 1).all()
    torch.testing.assert_close(factors, factors[:, :, :1, :1].expand_as(factors))
    assert factors[0, :, 0, 0].std() > 0


def test_pooled_deviation_by_hand() -> None:
    network = SEResNet50(stages=2, pooling="mean+deviation").eval()
    seen: list[torch.Tensor] = []
    network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(pixels())
        maps = network.maps(pixels())
    torch.testing.assert_close(seen[0][:, :512], maps.mean((2, 3)))
    wanted = (maps.var((2, 3), unbiased=False) + 1e-6).sqrt()
    torch.testing.assert_close(seen[0][:, 512:], wanted, rtol=1e-3, atol=1e-3)


def test_an_image_is_judged_alone_whatever_its_batch() -> None:
    network = SEResNet50(stages=2).eval()
    x = pixels(4)
    with torch.inference_mode():
        torch.testing.assert_close(network(x)[2:3], network(x[2:3]), rtol=1e-4, atol=1e-5)
