"""Random numbers that belong to a sample and not to the order in which they are drawn.

Row i of every draw is a function of `keys[i]` and of the name of the draw alone, as in counter-based generators (Salmon
et al., 2011, doi:10.1145/2063384.2063405). One process, two processes and micro-batches therefore see the same numbers,
a resumed run needs no state for them, and both players may ask twice and get the same.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

# The two multipliers of MurmurHash3's 64-bit finaliser, as signed numbers; a bijection with full avalanche.
FIRST, SECOND = 0xFF51AFD7ED558CCD - 2**64, 0xC4CEB9FE1A85EC53 - 2**64
STRIDE = 0x9E3779B97F4A7C15 - 2**64  # 2^64 / golden ratio: neighbours lie far apart


@dataclass(frozen=True)
class Draws:
    """Named random numbers for the samples with `keys`, int64 [B]; the same name gives the same numbers."""

    keys: Tensor

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Float32 in [0, 1), [B, *shape]."""
        return (self._bits(name, math.prod(shape)) >> 40 & 0xFFFFFF).float().mul(2**-24).view(-1, *shape)

    def normal(self, name: str, *shape: int) -> Tensor:
        """Float32 standard normal [B, *shape], by Box and Muller (1958, doi:10.1214/aoms/1177706645)."""
        radius = (-2 * (1 - self.uniform(f"{name}/radius", *shape)).log()).sqrt()  # 1 - u is never zero
        return radius * (2 * math.pi * self.uniform(f"{name}/angle", *shape)).cos()

    def below(self, name: str, limit: int, *shape: int) -> Tensor:
        """Int64 from 0 to limit - 1, [B, *shape]."""
        return (self.uniform(name, *shape) * limit).long().clamp_(max=limit - 1)

    def within(self, rows: slice) -> Draws:
        """The draws of some of the samples."""
        return Draws(self.keys[rows])

    def other(self, name: str) -> Draws:
        """Draws for the same samples that share no number with these."""
        return Draws(_mixed(self.keys + number_of(name)))

    def _bits(self, name: str, count: int) -> Tensor:
        rows = _mixed(self.keys ^ number_of(name) << 32)
        columns = torch.arange(1, count + 1, device=self.keys.device) * STRIDE
        return _mixed(rows[:, None] + columns)


def number_of(name: str) -> int:
    """Below 2^32, always the same for the same name; to torch.compile it is a constant."""
    return zlib.crc32(name.encode())


def keys(seed: int, first: int, rows: slice, device: torch.device) -> Tensor:
    """Keys int64 of some `rows` of a batch that begins with sample number `first` of the run with this seed."""
    numbers = torch.arange(first + rows.start, first + rows.stop, rows.step or 1, device=device)
    return _mixed(numbers * STRIDE + seed)


def _mixed(x: Tensor) -> Tensor:
    """The finaliser; `>>` keeps the sign of an int64, so that the upper bits are cut off by hand."""
    x = (x ^ x >> 33 & 0x7FFFFFFF) * FIRST
    x = (x ^ x >> 33 & 0x7FFFFFFF) * SECOND
    return x ^ x >> 33 & 0x7FFFFFFF


def keys_of(rows: Tensor) -> Tensor:
    """Keys int64 [B] of the bits of float32 rows [B, D]: equal noise has equal keys, in whatever batch it stands."""
    bits = rows.detach().float().contiguous().view(torch.int32).long()
    places = torch.arange(1, rows.shape[1] + 1, device=rows.device) * STRIDE
    return _mixed(_mixed(bits ^ places).sum(1))
