"""Networks without numbers, for their names and shapes: no memory, and no time for drawing what nobody sees."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

DRAWN = (
    "normal_", "uniform_", "trunc_normal_", "kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_",
)  # fmt: skip


@contextmanager
def planning() -> Iterator[None]:
    """What is built within lies on the device `meta`."""
    with torch.device("meta"), _Still(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layers without elements
        yield


class _Still(TorchFunctionMode):
    """There torch finds out in Python how to draw, and goes the 15 power iterations of each new spectral norm."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name, first = getattr(func, "__name__", ""), args[0] if args else kwargs.get("tensor")
        if isinstance(first, torch.Tensor) and first.is_meta:
            if name in DRAWN:
                return first
            if func is torch.mv or func is torch.vdot:
                return first.new_empty(first.shape[:-1])
            if func is F.normalize:
                out = kwargs.get("out")
                return torch.empty_like(first) if out is None else out
        return func(*args, **kwargs)
