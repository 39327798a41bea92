"""Training on several devices and hosts, started by `torchrun`: each process takes its part of a batch.

    torchrun --nproc-per-node 8 -m aidetect_training.cli train RECIPE …

makes the same steps as one device with as many `micro_batches`: a batch is cut into as many even parts
as there are processes, and gradients are averaged over them (DistributedDataParallel). Batch
normalisation is of each part; its running figures are those of the first process. Every process has
to see the same folders.
"""

import os
from collections.abc import Iterator
from itertools import islice

import torch
from lightning_fabric import Fabric
from torch.utils.data import Sampler

from aidetect import ConfigurationError

from .recipe import Precision, TrainRecipe


def computable(precision: Precision, device: str) -> Precision:
    """The precision; but `32-true` for `bf16-mixed` on a processor without bfloat16, where PyTorch would
    emulate it at a seventeenth of float32's speed (ResNet-50 on AVX2, 224 pixels)."""
    on_cpu = device == "cpu" or (device == "auto" and not torch.accelerator.is_available())
    return "32-true" if precision == "bf16-mixed" and on_cpu and not has_bfloat16() else precision


def has_bfloat16() -> bool:
    """Whether PyTorch has convolutions in bfloat16 for this processor."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def launch(device: str, recipe: TrainRecipe) -> Fabric:
    """The devices that `torchrun` gave this process and its fellows; without it the one named.

    Raises ConfigurationError where a batch cannot be cut into even parts.
    """
    precision = computable(recipe.precision, device)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if processes == 1:
        fabric = Fabric(accelerator=device, devices=1, precision=precision)
        if precision != recipe.precision:
            fabric.print("this processor has no bfloat16: trained in float32")
        return fabric
    for phase in recipe.phases:
        if phase.batch % processes:
            raise ConfigurationError(
                f"a batch of {phase.batch} cannot be cut into {processes} even parts. Change "
                "train.phases or the number of processes."
            )
    local = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
    fabric = Fabric(
        accelerator=device,
        devices=local,
        num_nodes=processes // local,
        strategy="ddp",
        precision=precision,
    )
    fabric.launch()
    return fabric


class Share(Sampler[list[tuple[int, int]]]):
    """One process's part of a sampler's draws, batch by batch: of every `batch` of them its even slice,
    of a smaller last batch about as much. Where that leaves nothing, it takes the batch's first draw, so
    that all processes make the same number of steps."""

    def __init__(self, draws: Sampler[tuple[int, int]], batch: int, rank: int, processes: int) -> None:
        self.draws, self.batch, self.rank, self.processes = draws, batch, rank, processes

    def __len__(self) -> int:
        return -(-len(self.draws) // self.batch)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        draws = iter(self.draws)
        while block := list(islice(draws, self.batch)):
            first, last = (len(block) * part // self.processes for part in (self.rank, self.rank + 1))
            yield block[first:last] or block[:1]


def any_of(fabric: Fabric, *flags: bool) -> list[bool]:
    """Each flag, set if any process has set it."""
    if fabric.world_size == 1:
        return list(flags)
    told = torch.tensor([float(flag) for flag in flags], device=fabric.device)
    summed = fabric.all_reduce(told, reduce_op="sum")
    return [bool(value) for value in summed]  # type: ignore[union-attr]
