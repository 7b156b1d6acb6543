"""Batches of the one store: shuffled without end, drawn on the device, equal for any number of processes."""

from __future__ import annotations

import torch
from torch import Tensor

from organza.config import ConfigError
from organza.data.store import ImageStore
from organza.draws import keys
from organza.games.latent import Batch


class Batches:
    """Endless batches whose every row is decided by the seed and its global position.

    The order is one permutation of the data after another, so that its whole state is the number of samples drawn.
    With several processes each draws the random numbers of the whole batch and keeps its share: two processes see
    what one would see.
    """

    def __init__(
        self, store: ImageStore, size: int, z_dim: int, device: torch.device, *, seed: int, flip: bool = False,
        labels: bool = False, rank: int = 0, world: int = 1,
    ) -> None:  # fmt: skip
        self.size, self.z_dim, self.device, self.seed, self.flip = size, z_dim, device, seed, flip
        self.images = _near(store.images, device)
        self.labels = _near(store.labels, device) if labels and store.labels is not None else None
        self.share = slice(rank * size // world, (rank + 1) * size // world)
        self.noise = torch.Generator(device).manual_seed(seed)
        self.drawn = 0
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)

    def next(self) -> Batch:
        """The next batch, this process's rows of it."""
        names = keys(self.seed, self.drawn, self.share, self.device)
        rows = self._rows()[self.share]
        z = torch.randn(self.size, self.z_dim, generator=self.noise, device=self.device)[self.share]
        mix = torch.rand(self.size, generator=self.noise, device=self.device)[self.share]
        real = to_range(self._take(self.images, rows))
        if self.flip:
            mirrored = torch.rand(self.size, generator=self.noise, device=self.device)[self.share] < 0.5
            real = torch.where(mirrored.view(-1, 1, 1, 1), real.flip(-1), real)
        labels = None if self.labels is None else self._take(self.labels, rows)
        return Batch(real, labels, z, mix, names)

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

    def _rows(self) -> Tensor:
        count, taken = len(self.images), []
        wanted = self.size
        while wanted:
            epoch, start = divmod(self.drawn, count)
            part = self._permutation(epoch, count)[start : start + wanted]
            taken.append(part)
            wanted -= len(part)
            self.drawn += len(part)
        return torch.cat(taken) if len(taken) > 1 else taken[0]

    def _permutation(self, epoch: int, count: int) -> Tensor:
        if epoch != self._epoch:
            order = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
            self._epoch, self._order = epoch, torch.randperm(count, generator=order)
        return self._order

    def _take(self, values: Tensor, rows: Tensor) -> Tensor:
        return values.index_select(0, rows.to(values.device)).to(self.device, non_blocking=True)


def to_range(images: Tensor) -> Tensor:
    """uint8 [0, 255] or uint16 [0, 65535] images -> float32 in [-1, 1], channels last; points stay as they are."""
    if images.dim() == 4 and images.dtype != torch.float32:
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
