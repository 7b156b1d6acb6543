"""Several processes under `torchrun`: who we are, and the few things that they tell each other."""

from __future__ import annotations

import gc
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")
_alone = False


@contextmanager
def process_group(device: torch.device) -> Iterator[torch.device]:
    """Join the group of `torchrun`, if there is one: NCCL on CUDA, gloo elsewhere; gives this process's device."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1 or dist.is_initialized():
        yield device
        return
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    # Process 0 may draw, score and write for minutes on a slow machine while the others wait.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(minutes=10))
    try:
        yield device
    finally:
        dist.destroy_process_group()
        # The trainer's cycles would keep gloo's threads alive: one that lets go of its last tensor while the
        # interpreter ends aborts the whole process.
        gc.collect()


@contextmanager
def alone() -> Iterator[None]:
    """Within it this process is the only one: for work on copies that the others know nothing of."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def rank() -> int:
    """Number of this process, 0 without torchrun."""
    return dist.get_rank() if dist.is_initialized() and not _alone else 0


def world() -> int:
    """Number of processes, 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() and not _alone else 1


def wrap(turn: nn.Module, partly: bool = False) -> nn.Module:
    """`DistributedDataParallel` around one player's turn: one forward, one backward, gradients averaged.

    `partly` says that some parameters may take no part in a turn.
    """
    if world() == 1:
        return turn
    # Buffers (batch-norm statistics) stay local: their broadcast would change a tensor between two forward passes.
    newer = "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
    local: dict[str, Any] = {"forward_sync_buffers" if newer else "broadcast_buffers": False}
    return DistributedDataParallel(turn, **local, find_unused_parameters=partly)


def synchronised(model: nn.Module, device: torch.device) -> nn.Module:
    """Batch norm over all processes, where torch has it (CUDA)."""
    return nn.SyncBatchNorm.convert_sync_batchnorm(model) if world() > 1 and device.type == "cuda" else model


def shared_choice(text: str) -> str:
    """The text of process 0, in every process."""
    if world() == 1:
        return text
    told = [text]
    dist.broadcast_object_list(told)
    return told[0]


def any_process(flag: bool, device: torch.device) -> bool:
    """True in every process as soon as it is true in one; every process must ask."""
    if world() == 1:
        return flag
    told = torch.tensor(int(flag), device=device)
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return bool(told.item())


def mean(value: Tensor) -> Tensor:
    """The average over all processes; every process must ask."""
    if world() > 1:
        dist.all_reduce(value)
        value = value / world()
    return value


def mean_of_all(value: Tensor) -> Tensor:
    """The average over all processes, through which gradients flow."""
    return all_reduce(value) / world() if world() > 1 else value


def dealt(count: int, compute: Callable[[int], T]) -> list[T]:
    """`compute(i)` for every i below `count`, dealt out to the processes; the whole list in each of them."""
    found: list[T] = []
    for start in range(0, count, world()):
        own = start + rank()
        told = [compute(own) if own < count else None] * world()
        if world() > 1:
            dist.all_gather_object(told, told[0])
        found += told[: count - start]  # type: ignore[arg-type]
    return found


def of_all_processes(state: Tensor) -> Tensor:
    """One row for each process."""
    if world() == 1:
        return state[None]
    rows = [torch.empty_like(state) for _ in range(world())]
    dist.all_gather(rows, state)
    return torch.stack(rows)
