"""Batches of the one store: shuffled without end, drawn on the device, equal for any number of processes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from organza.config import ConfigError, Data
from organza.data.degrade import degradation
from organza.data.layouts import planes
from organza.data.store import ImageStore
from organza.draws import Draws, keys
from organza.games import GAMES
from organza.games.latent import Batch


class Order:
    """One permutation of `count` rows after another; the row at any position is decided by the seed alone."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def rows(self, first: int, size: int) -> Tensor:
        """`size` rows from position `first` on, int64."""
        taken = []
        while size:
            epoch, start = divmod(first, self.count)
            part = self._permutation(epoch)[start : start + size]
            taken.append(part)
            first, size = first + len(part), size - len(part)
        return torch.cat(taken) if len(taken) > 1 else taken[0]

    def _permutation(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            order = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._epoch, self._order = epoch, torch.randperm(self.count, generator=order)
        return self._order


class Batches:
    """Endless batches whose every row is decided by the seed and its global position.

    The order is one permutation of the data after another, so that its whole state is the number of samples drawn.
    With several processes each draws the random numbers of the whole batch and keeps its share: together they see
    what one would see. Rows are dealt out like cards, so that each has whole groups of `minibatch_deviation`.
    """

    def __init__(
        self, store: ImageStore, size: int, z_dim: int, device: torch.device, *, seed: int, data: Data | None = None,
        labels: bool = False, game: str = "latent", rank: int = 0, world: int = 1,
    ) -> None:  # fmt: skip
        self.size, self.z_dim, self.device, self.seed = size, z_dim, device, seed
        self.data, self.kind = data or Data(), GAMES[game]
        self.images, self.scale = _near(store.images, device), store.scale
        self.labels = _near(store.labels, device) if labels and store.labels is not None else None
        self.sources = None if store.sources is None else _near(store.sources, device)
        self.share = slice(rank, size, world)
        self.noise = torch.Generator(device).manual_seed(seed)
        self.drawn = 0
        self.order = Order(len(self.images), seed)
        others = self.images if self.sources is None else self.sources
        self.others = Order(len(others), seed + 1)  # of what is translated, where nothing pairs it

    def next(self) -> Batch:
        """The next batch, this process's rows of it."""
        names = keys(self.seed, self.drawn, self.share, self.device)
        rows = self.order.rows(self.drawn, self.size)[self.share]
        z = torch.randn(self.size, self.z_dim, generator=self.noise, device=self.device)[self.share]
        mix = torch.rand(self.size, generator=self.noise, device=self.device)[self.share]
        batch = Batch(
            to_range(self._take(self.images, rows)), None if self.labels is None else self._take(self.labels, rows),
            z, mix, names,
        )  # fmt: skip
        batch = self._with_source(batch, rows) if self.kind.translates else batch
        self.drawn += self.size
        return self._moved(batch)

    def _with_source(self, batch: Batch, rows: Tensor) -> Batch:
        """The batch with what is translated: the counterparts, or others."""
        if self.data.degrade != "none":
            return batch  # made of the targets when these are cut and mirrored
        if not self.kind.paired:
            rows = self.others.rows(self.drawn, self.size)[self.share]
        source = as_source(self._take(self.images if self.sources is None else self.sources, rows), self.data)
        labels = self._take(self.labels, rows) if self.kind.domains and self.labels is not None else None
        return replace(batch, source=source, source_labels=labels)

    def _moved(self, batch: Batch) -> Batch:
        """Cut out and mirrored; a counterpart goes along, other sources go their own way."""
        real, source, draws = batch.real, batch.source, batch.draws
        if (window := self.data.window) is not None:
            real = windows(real, window, draws.other("window"), self.scale)
            size = window[0] // self.scale, window[1] // self.scale
            source = source if source is None else windows(source, size, self._own(draws.other("window")))
        if self.data.flip:
            mirrored = torch.rand(self.size, generator=self.noise, device=self.device)[self.share] < 0.5
            real = torch.where(mirrored.view(-1, 1, 1, 1), real.flip(-1), real)
            if source is not None:
                other = mirrored if self.kind.paired else draws.uniform("mirrored") < 0.5
                source = torch.where(other.view(-1, 1, 1, 1), source.flip(-1), source)
        if self.data.degrade != "none":
            source = degradation(self.data.degrade).make(real, draws)
        if self.kind.both_ways:
            assert source is not None
            real, source = torch.cat([real, source], 1), torch.cat([source, real], 1)
        return replace(batch, real=real, source=source)

    def _own(self, draws: Draws) -> Draws:
        return draws if self.kind.paired else draws.other("source")

    def state(self) -> dict[str, Tensor | int]:
        """What `restore` needs to go on with the very next batch."""
        return {"drawn": self.drawn, "noise": self.noise.get_state()}

    def restore(self, state: dict[str, Tensor | int]) -> None:
        """Go on where `state` was taken. Raises ConfigError for the random numbers of another kind of device."""
        assert isinstance(state["drawn"], int)
        assert isinstance(state["noise"], Tensor)
        self.drawn = state["drawn"]
        try:
            self.noise.set_state(state["noise"])
        except (RuntimeError, TypeError):
            raise ConfigError(
                f"this run was trained on another kind of device than {self.device}, whose random numbers cannot go on "
                "here; resume it there with --device"
            ) from None

    def _take(self, values: Tensor, rows: Tensor) -> Tensor:
        return values.index_select(0, rows.to(values.device)).to(self.device, non_blocking=True)


def windows(images: Tensor, size: tuple[int, int], draws: Draws, grid: int = 1) -> Tensor:
    """A part of each image [B, C, H, W], of `size` (height, width), at a random place of those that `grid` divides."""
    places = draws.uniform("place", 2)
    top = (places[:, 0] * ((images.shape[2] - size[0]) // grid + 1)).long() * grid
    left = (places[:, 1] * ((images.shape[3] - size[1]) // grid + 1)).long() * grid
    down = (top[:, None] + torch.arange(size[0], device=images.device))[:, :, None]
    right = (left[:, None] + torch.arange(size[1], device=images.device))[:, None]
    rows = torch.arange(len(images), device=images.device).view(-1, 1, 1)
    return images.permute(0, 2, 3, 1)[rows, down, right].permute(0, 3, 1, 2)


def middle(images: Tensor, size: tuple[int, int] | None, grid: int = 1) -> Tensor:
    """The part of `size` (height, width) in the middle of each image [B, C, H, W], on a place that `grid` divides.

    All of it for None.
    """
    if size is None:
        return images
    top, left = ((whole - part) // (2 * grid) * grid for whole, part in zip(images.shape[2:], size, strict=True))
    return images[:, :, top : top + size[0], left : left + size[1]]


def of_source(size: tuple[int, int] | None, scale: int) -> tuple[int, int] | None:
    """What of a window is seen in copies whose sides are `scale` times smaller."""
    return None if size is None else (size[0] // scale, size[1] // scale)


def as_source(values: Tensor, data: Data) -> Tensor:
    """What is translated, as the store has it -> as a network takes it: planes of label maps, or images in [-1, 1]."""
    return planes(values, data.layout_classes) if data.layout_classes else to_range(values)


def to_range(images: Tensor) -> Tensor:
    """uint8 [0, 255] or uint16 [0, 65535] images -> float32 in [-1, 1], channels last; floats and points stay."""
    if images.dim() == 4 and images.is_floating_point():
        images = images.float()
    elif images.dim() == 4:
        half = 127.5 if images.dtype == torch.uint8 else 32767.5
        images = images.float().div_(half).sub_(1)
    return images.contiguous(memory_format=torch.channels_last) if images.dim() == 4 else images


def to_bytes(images: Tensor) -> Tensor:
    """Images in [-1, 1] -> uint8, clamp(127.5 x + 128, 0, 255) truncated, as the StyleGAN family writes them."""
    return images.float().mul(127.5).add(128).clamp(0, 255).to(torch.uint8).contiguous()


def _near(values: Tensor, device: torch.device) -> Tensor:
    """On the device where it fits easily (a fifth of the free memory), so that batches are gathered there."""
    if device.type != "cuda":
        return values
    free, _ = torch.cuda.mem_get_info(device)
    return values.to(device) if values.nbytes < free / 5 else values
