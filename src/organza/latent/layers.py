"""What every layer of a generator makes of one sample: its strongest maps, and their spectrum.

Which modules are layers is found by watching one pass, for any network: a module is opened if maps of two or more sizes
other than that of its input are made within it (a synthesis, a sequence of blocks), and is a layer otherwise (a block,
a convolution). Of a network without maps, the hidden units behind each matrix are shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from organza.data.progress import SILENT, Progress
from organza.latent.editing import noise_of
from organza.latent.space import LatentSpace
from organza.metrics.spectrum import radial_spectrum
from organza.training.batches import to_bytes

if TYPE_CHECKING:
    from organza.hub import GAN

CHANNELS = 8  # that are kept of each layer
FLAT = 1e-6  # deviation below which a map, or the units of a layer, say nothing
BATCH = 64

Size = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer's activations for one sample."""

    name: str  # as in `named_modules`
    shape: tuple[int, ...]  # (C, H, W), or (N,) of units
    mean: float
    std: float
    silent: int  # maps that are constant; units that are 0
    strongest: tuple[int, ...]  # the numbers of the maps with the largest deviation
    maps: Tensor  # those, float32 [K, H, W]; or all the units [N]
    frequencies: tuple[float, ...]  # in cycles per pixel; none of units and of maps below 4 pixels
    power: tuple[float, ...]  # the mean over all maps around each frequency


@dataclass
class Call:
    """A module that was called: what it was given and what it made."""

    name: str
    module: nn.Module
    given: Size | None  # of the first maps among its inputs
    made: Tensor | None = None
    inside: list[Call] = field(default_factory=list)

    @property
    def size(self) -> Size | None:
        """Of the maps that it made."""
        return _size(self.made)

    def within(self) -> Iterator[Call]:
        """All calls below, in their order."""
        for call in self.inside:
            yield call
            yield from call.within()


@torch.no_grad()
def layer_view(
    gan: GAN, codes: Tensor, labels: Tensor | None = None, channels: int = CHANNELS, noise: Sequence[Tensor] = ()
) -> tuple[list[Layer], Tensor]:
    """The layers of one sample, codes [1, layers, width] with its label [1], and the sample, uint8 [C, H, W] or [D].

    Of each layer the `channels` strongest maps are kept; `noise` are the maps of a projection.
    """
    latent = LatentSpace(gan.generator)
    with recorded(_drawing(latent)) as root:
        sample = latent.draw(codes, labels, noise_of(gan, noise))[0]
    found = [_layer(call, channels) for call in chosen(root)]
    return found, to_bytes(sample) if sample.dim() == 3 else sample


def first_layer(gan: GAN, z: Tensor, progress: Progress = SILENT) -> Tensor:
    """Noise [N, z_dim] -> the activations of the first layer [N, D], float32; the classes in turn."""
    latent = LatentSpace(gan.generator)
    labels, codes, found = gan.label_numbers(None, len(z)), latent.codes(z), list[Tensor]()
    with recorded(_drawing(latent)) as root:
        latent.draw(codes[:1], None if labels is None else labels[:1])

    def keep(module: nn.Module, inputs: Any, made: Any) -> None:
        tensor = _first(made if isinstance(made, tuple) else (made,), any_shape=True)
        assert tensor is not None
        found.append(tensor.flatten(1).float().cpu())

    with chosen(root)[0].module.register_forward_hook(keep):  # the others' activations of so many would fill memory
        for at in range(0, len(z), BATCH):
            part = slice(at, at + BATCH)
            latent.draw(codes[part], None if labels is None else labels[part])
            progress.step("looking at the first layer", min(at + BATCH, len(z)), len(z))
    return torch.cat(found)


@contextmanager
def recorded(network: nn.Module) -> Iterator[Call]:
    """The calls of a pass, as a tree; what was made is kept until it is forgotten."""
    root = Call("", network, None)
    stack, handles = [root], []

    def enter(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            call = Call(name, module, _size(_first(inputs)))
            stack[-1].inside.append(call)
            stack.append(call)

        return hook

    def leave(module: nn.Module, inputs: tuple[Any, ...], made: Any) -> None:
        tensor = _first(made if isinstance(made, tuple) else (made,), any_shape=True)
        passed_on = any(tensor is given for given in inputs)
        stack.pop().made = None if passed_on else tensor

    for name, module in network.named_modules():
        if module is not network:
            handles += [module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave)]
    try:
        yield root
    finally:
        for handle in handles:
            handle.remove()


def chosen(root: Call) -> list[Call]:
    """The calls that are layers, in their order."""
    return list(_with_maps(root)) or _units(root)


def _with_maps(call: Call) -> Iterator[Call]:
    for part in call.inside:
        sizes = {inner.size for inner in part.within()} - {None}
        if len(sizes - {part.given}) > 1 or (part.size is None and sizes):
            yield from _with_maps(part)
        elif part.size is not None:
            yield part


def _units(root: Call) -> list[Call]:
    """Of each matrix the last that is made before the next one: behind its norm and its nonlinearity."""
    found: list[Call] = []
    for call in root.within():
        if call.inside or call.made is None:
            continue
        if found and getattr(getattr(call.module, "weight", None), "ndim", 0) != 2:
            found.pop()
        found.append(call)
    return found


def _layer(call: Call, channels: int) -> Layer:
    assert call.made is not None
    values = call.made[0].float().cpu()
    mean, std = float(values.mean()), float(values.std(correction=0))
    if values.dim() == 1:
        return Layer(call.name, tuple(values.shape), mean, std, int((values.abs() <= FLAT).sum()), (), values, (), ())
    deviations = values.flatten(1).std(1, correction=0)
    strongest = deviations.argsort(descending=True, stable=True)[:channels]
    spectrum = radial_spectrum(values[None]) if min(values.shape[1:]) >= 4 else (torch.empty(0), torch.empty(0))
    return Layer(
        call.name, tuple(values.shape), mean, std, int((deviations <= FLAT).sum()), tuple(strongest.tolist()),
        values[strongest], tuple(spectrum[0].tolist()), tuple(spectrum[1].tolist()),
    )  # fmt: skip


def _drawing(latent: LatentSpace) -> nn.Module:
    made: Any = latent.generator
    return made.synthesis if latent.has_w else made


def _first(values: tuple[Any, ...], any_shape: bool = False) -> Tensor | None:
    return next((v for v in values if isinstance(v, Tensor) and (any_shape or v.dim() == 4)), None)


def _size(tensor: Tensor | None) -> Size | None:
    return tuple(tensor.shape[2:]) if tensor is not None and tensor.dim() == 4 else None
