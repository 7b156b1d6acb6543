"""What to say when memory runs out: how much the run needs, and what would fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from organza.config import Config
from organza.data.cache import available_memory
from organza.data.store import ImageStore
from organza.training.plan import in_bytes, peak_memory

ROOM = 0.7  # of the memory that a run may plan with; kernels and the allocator take the rest
_SIGNS = ("can't allocate memory", "not enough memory", "out of memory")  # in the words of torch on each device


@contextmanager
def memory_explained(config: Config, store: ImageStore, device: torch.device) -> Iterator[None]:
    """Turn every way to run out of memory into a MemoryError that says what to type."""
    try:
        yield
    except (MemoryError, RuntimeError) as problem:
        if not is_out_of_memory(problem):
            raise
        raise MemoryError(advice(config, store, device)) from problem


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether that is what an error says, in the words of any device."""
    return isinstance(problem, MemoryError) or any(sign in str(problem).lower() for sign in _SIGNS)


def advice(config: Config, store: ImageStore, device: torch.device) -> str:
    """The estimate, the memory that there is, and the smallest change that fits."""
    fixed, each = _costs(config, store)
    room = _room(device)
    need = fixed + each * config.batch / config.accumulate
    told = (
        f"out of memory on {device}: a step with batch {config.batch} needs about {in_bytes(need)} of the "
        f"{in_bytes(room)} that are free; "
    )
    fits = int((ROOM * room - fixed) / each)
    if fits < 1:
        return told + "narrower networks may fit, such as --generator.model.width 16 --discriminator.model.width 16"
    parts = next((p for p in range(2, config.batch + 1) if config.batch % p == 0 and config.batch / p <= fits), 0)
    unshared = " --share_fakes false" if config.share_fakes else ""
    accumulate = f"--accumulate {parts}{unshared} (the same batch in {parts} parts) or " if parts else ""
    return f"{told}type {accumulate}--batch {min(_power_of_two(fits), max(config.batch // 2, 1))}"


def _costs(config: Config, store: ImageStore) -> tuple[float, float]:
    """Bytes of a step that are there for any batch, and bytes for each sample of a micro-batch."""
    four, eight = (
        peak_memory(dataclasses.replace(config, batch=batch, accumulate=1), store) for batch in (4, 8)
    )  # fmt: skip
    each = max((eight - four) / 4, 1.0)
    return max(four - 4 * each, 0.0), each


def _room(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return available_memory()


def _power_of_two(count: int) -> int:
    return 1 << (count.bit_length() - 1)
