"""Where the numbers live: the device and the precision of the forward passes, each with the reason for the choice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from organza.config import ConfigError


def pick_device(name: str | torch.device) -> torch.device:
    """`auto` is the fastest device there is. Raises ConfigError for a device that this machine lacks."""
    name = str(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = name.split(":")[0]
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    try:
        device = torch.device(name)
    except RuntimeError:  # cuda:first
        device = None
    if kind not in present or device is None:
        raise ConfigError(f"device is '{name}'; it takes auto, cpu, cuda or mps")
    if not present[kind] or (kind == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise ConfigError(
            f"device is '{name}', which this torch ({torch.__version__}) does not find; type --device auto"
        )
    return device


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is in the hardware, not emulated."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def pick_precision(name: str, device: torch.device) -> tuple[torch.dtype, str]:
    """The type of the forward passes and the reason. Raises ConfigError when bfloat16 was asked for and is missing."""
    native = computes_in_bfloat16(device)
    if name == "bfloat16" and not native:
        raise ConfigError(f"precision is bfloat16, which {device} does not compute in; type --precision auto")
    if name == "float32":
        return torch.float32, "as configured"
    if native:
        return torch.bfloat16, "in hardware"
    return torch.float32, f"no bfloat16 on {device}"


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """The context of a forward pass in `dtype`."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


def without_autocast(kind: str) -> AbstractContextManager:
    """The context of what must be computed in its own precision, on devices of this kind (cpu, cuda).

    Where no autocast is on there is nothing to turn off, and nothing that `torch.export` would have to keep.
    """
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


@contextmanager
def full_precision() -> Iterator[None]:
    """The context of what is measured: float32 in float32. TF32 and the like change scores in the third digit.

    Autocast is off, too; settings come back afterwards.
    """
    backends: Any = torch.backends
    places = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "ieee"
    try:
        with torch.autocast("cuda", enabled=False), torch.autocast("cpu", enabled=False):
            yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.fp32_precision = value
