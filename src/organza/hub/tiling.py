"""Pictures of any size through a network, in tiles that fit the memory.

The pictures and the result stay in host memory; a tile at a time goes through the network. A tile is a core with
`overlap` pixels more on each side, which the network sees and whose results are thrown away, but for a ramp around the
border of two cores, half of `overlap` wide, where the results of both are blended linearly. So the result is that of
the whole picture where 3/4 of `overlap` reach as far as the network looks (18 pixels for SRVGGNetCompact of 16 layers,
whose receptive field is 37), and differs by little where it looks further, as RRDBNet does. Sides that the network
cannot take are filled by reflection, and the result is cut back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode, UnsupportedFakeTensorException

from organza.config import ConfigError
from organza.data.cache import available_memory
from organza.training.allocator import keep_freed_memory
from organza.training.batches import to_range
from organza.training.memory import is_out_of_memory
from organza.training.plan import LivingStorages, in_bytes
from organza.training.precision import computes_in_bfloat16

OVERLAP = 24  # pixels
SMALLEST = 32  # tile that is tried when memory runs out
UNASKED = 1 << 20  # pixels at once, up to which memory is not looked at
KERNELS = 3  # times what tensors take: at most so much was seen, as kernels copy (CycleGAN's on a CPU)
LEAST = 8  # side of what a network sees; smaller pictures are filled by reflection
Function = Callable[[Tensor], Tensor]
Told = Callable[[int, int], None]
Note = Callable[[str], None]


def tiled(
    function: Function, images: Tensor, *, scale: float = 1, channels: int | None = None, tile: int | None = None,
    overlap: int | None = None, multiple: int = 1, least: tuple[int, int] = (LEAST, LEAST), told: Told | None = None,
    note: Note | None = None,
) -> Tensor:  # fmt: skip
    """Images [N, C, H, W] uint8, uint16 or float in [-1, 1] -> [N, `channels`, scale H, scale W] of the same type.

    `function` maps float32 [N, C, h, w] in [-1, 1], h and w divided by `multiple`, to [N, `channels`, scale h, scale w]
    (`channels` are C unless given), and `least` pixels or more. `tile` is the side of a core, None the whole picture;
    `overlap` (24) are the pixels beside it. The tile is halved until a network on a CPU has the memory for it, and
    again, from the beginning, whenever memory runs out: `note` hears of it, and `told(done, total)` of every tile.
    Raises ConfigError for other types and for a tile or an overlap that is none, and MemoryError where even the
    smallest tile does not fit.
    """
    if images.dtype not in (torch.uint8, torch.uint16) and not images.is_floating_point():
        raise ConfigError(f"images are {images.dtype}; they may be uint8, uint16 or floats in [-1, 1]")
    for name, value, lowest in (("tile", tile, 1), ("overlap", overlap, 0)):
        if value is not None and value < lowest:
            raise ConfigError(f"{name} is {value}; it takes {lowest} or more")
    source, ratio = images.detach().cpu().numpy(), Fraction(scale).limit_denominator(64)
    multiple, longest = math.lcm(multiple, ratio.denominator), max(images.shape[2:])
    job = _Job(function, ratio, channels or images.shape[1], multiple, OVERLAP if overlap is None else overlap, least)
    side = _fitting(job, source, min(tile or longest, longest), note)
    while True:
        try:
            return torch.from_numpy(_rows(job, source, side, told or _silent))
        except (MemoryError, RuntimeError) as problem:
            if not is_out_of_memory(problem):
                raise
            side = _smaller(side, problem, note)


class Runner:
    """A network as the function that `tiled` takes: on its device, in half precision where that is asked for.

    Half is float16 on a GPU and bfloat16 on a CPU that has it; once a result is not finite (as of some GPUs without
    tensor cores), it goes on in float32 and `note` says so. Raises ConfigError for a CPU without bfloat16, and, when
    called, ValueError for numbers that are not finite in float32 either.
    """

    def __init__(self, network: Function, device: torch.device, half: bool = False, note: Note | None = None) -> None:
        self.network, self.device, self.note = network, device, note
        self.half = _half_of(device) if half else None
        if device.type == "cpu":  # a third of the time is else that of the system, which maps every layer's result anew
            keep_freed_memory()

    def __call__(self, images: Tensor) -> Tensor:
        """Float32 [N, C, h, w] -> float32 [N, K, h', w'], on the device."""
        images = images.to(self.device, memory_format=torch.channels_last)
        made = self.made(images)
        if self.half is not None and not bool(made.sum().isfinite()):
            if self.note:
                self.note(f"{self.half} is not enough for this network on {self.device}: going on in float32")
            self.half = None
            made = self.made(images)
        if not bool(made.sum().isfinite()):  # in one pass over what may be large
            raise ValueError("the network gives numbers that are not finite; its weights may be damaged")
        return made

    def made(self, images: Tensor) -> Tensor:
        """Float32, finite or not."""
        context: AbstractContextManager = nullcontext()
        if self.half is not None:
            context = torch.autocast(self.device.type, self.half)
        with context:
            return self.network(images).float()


@dataclass(frozen=True)
class Span:
    """A tile along one side, in pixels of the source: from where to where."""

    core: tuple[int, int]
    reach: tuple[int, int]  # the core with the ramps, where it has neighbours
    seen: tuple[int, int]  # by the network


def spans(length: int, tile: int, overlap: int, multiple: int, least: int = LEAST) -> list[Span]:
    """Tiles along a side of `length` pixels, nearly equal, whose beginnings and ends `multiple` divides.

    Each sees `least` pixels or more, the last one perhaps more than there are.
    """
    least = math.ceil(max(least, LEAST) / multiple) * multiple
    whole = max(math.ceil(length / multiple) * multiple, least)
    step = math.ceil(math.ceil(length / math.ceil(length / tile)) / multiple) * multiple
    borders = [*range(0, length, step), length]
    cores = list(itertools.pairwise(borders))
    ramp, beside = min(overlap // 4, (cores[-1][1] - cores[-1][0]) // 2), math.ceil(overlap / multiple) * multiple
    found = []
    for first, last in cores:
        end = min(last + beside, whole) if last < length else whole
        begin = max(min(first - beside, end - least), 0)
        reach = first - ramp if first else 0, last + ramp if last < length else length
        found.append(Span((first, last), reach, (begin, max(end, begin + least))))
    return found


def mirrored(first: int, last: int, length: int) -> np.ndarray:
    """The places from `first` to `last` of a row of `length` that is reflected without end, its ends not doubled."""
    if length == 1:
        return np.zeros(last - first, np.int64)
    place = np.arange(first, last) % (2 * length - 2)
    return np.minimum(place, 2 * length - 2 - place)


@dataclass(frozen=True)
class _Job:
    function: Function
    scale: Fraction
    channels: int
    multiple: int
    overlap: int
    least: tuple[int, int]

    def scaled(self, pixels: int) -> int:
        """A place of the source in the result."""
        return math.ceil(pixels * self.scale)

    @torch.inference_mode()
    def run(self, pixels: np.ndarray) -> np.ndarray:
        """[N, C, h, w] -> float32 [N, K, scale h, scale w], about in [-1, 1]."""
        return self.function(to_range(torch.from_numpy(np.ascontiguousarray(pixels)))).float().cpu().numpy()

    def ends(self, span: Span) -> tuple[int, int, int]:
        """In the result: where the reach begins and ends, and where begins what the network has made."""
        return self.scaled(span.reach[0]), self.scaled(span.reach[1]), self.scaled(span.seen[0])

    def weights(self, span: Span) -> np.ndarray:
        """Over the reach: one, and at its ends ramps that add to one with those of the neighbours."""
        first, last, _ = self.ends(span)
        weights = np.ones(last - first, np.float32)
        if before := self.scaled(2 * span.core[0] - span.reach[0]) - first:
            weights[:before] = (np.arange(before) + 0.5) / before
        if after := last - self.scaled(2 * span.core[1] - span.reach[1]):
            weights[len(weights) - after :] = ((np.arange(after) + 0.5) / after)[::-1]
        return weights


def _rows(job: _Job, source: np.ndarray, tile: int, told: Told) -> np.ndarray:
    """Rows of tiles from the top; a row is finished as soon as nothing below reaches it."""
    sides = zip(source.shape[2:], job.least, strict=True)
    rows, columns = (spans(side, tile, job.overlap, job.multiple, least) for side, least in sides)
    height, width = (job.scaled(side) for side in source.shape[2:])
    result = np.empty((len(source), job.channels, height, width), source.dtype)
    below = np.zeros((len(source), job.channels, 0, width), np.float32)  # the share of the row above in this one
    for i, row in enumerate(rows):
        first, last, _ = job.ends(row)
        end = job.ends(rows[i + 1])[0] if i + 1 < len(rows) else last
        band = _band(job, source, row, columns, lambda j, i=i: told(i * len(columns) + j + 1, len(rows) * len(columns)))
        band *= job.weights(row)[:, None]
        band[:, :, : below.shape[2]] += below
        below = band[:, :, end - first :].copy()
        result[:, :, first:end] = _as(band[:, :, : end - first], source.dtype)
    return result


def _band(job: _Job, source: np.ndarray, row: Span, columns: list[Span], told: Callable[[int], None]) -> np.ndarray:
    """A row of tiles over its reach, blended from left to right."""
    top, bottom, above = job.ends(row)
    band = np.zeros((len(source), job.channels, bottom - top, job.scaled(source.shape[3])), np.float32)
    for j, column in enumerate(columns):
        left, right, before = job.ends(column)
        made = job.run(_seen(source, row, column))[:, :, top - above : bottom - above, left - before : right - before]
        band[..., left:right] += made * job.weights(column) if len(columns) > 1 else made
        told(j)
    return band


def _seen(source: np.ndarray, row: Span, column: Span) -> np.ndarray:
    """A part of the pictures, reflected where it is beyond their borders."""
    for axis, (first, last) in ((2, row.seen), (3, column.seen)):
        if last > source.shape[axis]:
            source = np.take(source, mirrored(first, last, source.shape[axis]), axis)
        else:
            source = source[:, :, first:last] if axis == 2 else source[..., first:last]
    return source


def _as(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """[-1, 1] -> the range of the type, rounded, in the place of the values; floats as they are."""
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype, copy=False)
    most = np.float32(np.iinfo(dtype).max)
    values *= most / 2
    values += most / 2 + np.float32(0.5)
    return values.clip(0, most, out=values).astype(dtype)


def _fitting(job: _Job, source: np.ndarray, side: int, note: Note | None) -> int:
    """The tile, halved until a CPU has the memory that the network needs: there a system kills where others refuse."""
    run, first = job.function, side
    seen = [min(side, length) for length in source.shape[2:]]
    if not isinstance(run, Runner) or run.device.type != "cpu" or len(source) * math.prod(seen) < UNASKED:
        return side
    room = available_memory()
    while side // 2 >= SMALLEST and _need(job, run, source, side) > room:
        side //= 2
    if note and side < first:
        note(f"{in_bytes(room)} of memory are free: going through in tiles of {side} pixels")
    return side


def _need(job: _Job, run: Runner, source: np.ndarray, tile: int) -> float:
    """Bytes that a tile of this side takes at the peak, found without computing; 0 where values decide it."""
    seen = (min(tile + 2 * job.overlap, length) for length in source.shape[2:])
    sides = [math.ceil(max(pair) / job.multiple) * job.multiple for pair in zip(seen, job.least, strict=True)]
    try:
        with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True), LivingStorages() as living:
            made = run.made(torch.zeros(*source.shape[:2], *sides))
        return KERNELS * living.peak + 2 * made.nbytes
    except (RuntimeError, UnsupportedFakeTensorException):
        return 0.0


def _smaller(side: int, problem: BaseException, note: Note | None) -> int:
    """Half of a tile that did not fit. Raises MemoryError where it would be too small."""
    if side // 2 < SMALLEST:
        raise MemoryError(
            f"out of memory with tiles of {side} pixels; close other programs, or take --device cpu or a smaller model"
        ) from problem
    if note:
        note(f"out of memory: going on with tiles of {side // 2} pixels")
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return side // 2


def _silent(done: int, total: int) -> None:
    pass


def _half_of(device: torch.device) -> torch.dtype:
    if device.type != "cpu":
        return torch.float16
    if not computes_in_bfloat16(device):
        raise ConfigError("half precision is slower than float32 on this CPU, which has no bfloat16; leave it out")
    return torch.bfloat16
