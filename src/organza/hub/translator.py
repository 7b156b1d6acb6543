"""A GAN that starts from images: the averaged generator with what translating needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from organza.config import ConfigError, Model, Shape, closest, to_dict
from organza.hub.folder import described, filled, shape_in, write_folder
from organza.latent.sampling import latents
from organza.models import translator
from organza.models.both_ways import two_way
from organza.training.batches import to_bytes, to_range

KIND = "translator"


@dataclass(frozen=True)
class Translator:
    """A translating generator in evaluation mode and its description."""

    generator: nn.Module
    model: Model
    source: Shape  # of what it was trained to translate: its channels are fixed, its sides are free
    shape: Shape  # of what it made of these
    classes: tuple[str, ...] = ()
    recipe: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    licence: str = ""
    degrade: str = "none"  # how sources were made of the images themselves
    both_ways: bool = False

    @property
    def scale(self) -> float:
        """How much longer the sides of a result are."""
        return self.shape[1] / self.source[1]

    @property
    def multiple(self) -> int:
        """What both sides of an input divide by; others are padded by their mirror image and cut again."""
        return int(self.generator.multiple)  # type: ignore[arg-type]

    def translate(
        self, images: Tensor, *, seed: int = 0, label: int | str | None = None, reverse: bool = False, batch: int = 16
    ) -> Tensor:
        """Images [N, C, H, W], uint8, uint16 or float32 in [-1, 1], of any sides -> results of the same type.

        `seed` decides the noise of a translator that has some, `label` the class that results shall have, and
        `reverse` takes the way from B to A where both were learned. Raises ConfigError for other channels, for an
        unknown label and for a way that was not learned.
        """
        self.must_take(images, reverse)
        number = self._label(label)
        parts = [self._translated(part, seed, number, reverse) for part in images.split(batch)]
        return torch.cat(parts)

    def must_take(self, images: Tensor, reverse: bool = False) -> None:
        """Raise ConfigError for images that this translator cannot take."""
        wanted = (self.shape if reverse else self.source)[0]
        if images.dim() != 4 or images.shape[1] != wanted or 0 in images.shape:
            raise ConfigError(f"this translator takes images [N, {wanted}, H, W], not {tuple(images.shape)}")
        if reverse and not self.both_ways:
            raise ConfigError(f"'{self.recipe}' has learned one way only; leave out reverse")

    @torch.no_grad()
    def _translated(self, images: Tensor, seed: int, label: int | None, reverse: bool) -> Tensor:
        device = next(self.generator.parameters()).device
        x, (height, width) = padded(to_range(images.to(device)), self.multiple), images.shape[2:]
        z = latents([seed], int(self.generator.z_dim)).expand(len(x), -1).to(device)  # type: ignore[arg-type]
        labels = None if label is None else torch.full((len(x),), label, device=device)
        one_way = getattr(self.generator, "one_way", None)
        made = self.generator(x, z, labels) if one_way is None else one_way(x, z, reverse)
        sides = round(height * self.scale), round(width * self.scale)
        return like(made[:, :, : sides[0], : sides[1]].float().cpu(), images.dtype)

    def _label(self, label: int | str | None) -> int | None:
        if not self.classes:
            if label is not None:
                raise ConfigError(f"'{self.recipe}' knows no classes; leave out label")
            return None
        if label is None:
            raise ConfigError(f"say which class results shall have; label takes {', '.join(self.classes)}")
        if str(label) in self.classes:
            return self.classes.index(str(label))
        if not str(label).isdecimal() or int(label) >= len(self.classes):
            raise ConfigError(f"no label '{label}'{closest(str(label), self.classes)}")
        return int(label)


def save(found: Translator, folder: Path, card: str) -> None:
    """Write model.safetensors, config.json and README.md, each replaced in one step."""
    about = {
        "kind": KIND, "recipe": found.recipe, "generator": to_dict(found.model), "source": list(found.source),
        "shape": list(found.shape), "classes": list(found.classes), "range": [-1, 1], "degrade": found.degrade,
        "both_ways": found.both_ways, "training": dict(found.training),
    } | ({"licence": found.licence} if found.licence else {})  # fmt: skip
    write_folder(folder, found.generator, about, card)


def of_folder(about: Mapping[str, Any], folder: Path, device: torch.device) -> Translator:
    """The translator that a folder holds and `about` describes. Raises DamagedError."""
    model, source, shape = described(about), shape_in(about["source"]), shape_in(about["shape"])
    classes, both = tuple(about["classes"]), bool(about["both_ways"])
    make = two_way if both else translator
    generator, sha256 = filled(lambda: make(model, source, shape, len(classes)), folder, device)
    return Translator(
        generator, model, source, shape, classes, about["recipe"], about["training"], sha256,
        str(about.get("licence", "")), str(about["degrade"]), both,
    )  # fmt: skip


def padded(images: Tensor, multiple: int) -> Tensor:
    """Images [N, C, H, W] with their mirror image added below and to the right, so that `multiple` divides both sides.

    A side too short to be mirrored so far is mirrored again and again.
    """
    for axis in (2, 3):
        wanted = -(-images.shape[axis] // multiple) * multiple
        places = torch.arange(wanted, device=images.device) % (2 * images.shape[axis])
        images = images.index_select(axis, torch.minimum(places, 2 * images.shape[axis] - 1 - places))
    return images.contiguous(memory_format=torch.channels_last)


def like(results: Tensor, dtype: torch.dtype) -> Tensor:
    """Results in [-1, 1] as uint8, uint16 or float32."""
    if dtype == torch.uint8:
        return to_bytes(results)
    if dtype == torch.uint16:
        return results.mul(32767.5).add(32768).clamp(0, 65535).to(torch.int32).to(torch.uint16)
    return results
