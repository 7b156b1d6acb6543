"""A GAN to use: the averaged generator with what sampling needs to know, saved without code and loaded without data."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from organza.config import Codes, Model, Shape, closest, coerce, to_dict
from organza.draws import keys_of
from organza.hub.folder import classes_in, described, filled, must_be_sane, shape_in, write_folder
from organza.hub.published import Published
from organza.latent.drawing import Drawing, Look
from organza.latent.sampling import every_class, generate, latents, must_be_seeds
from organza.latent.space import LatentSpace
from organza.layers.style import Noise
from organza.models import NO_CODES, build
from organza.training.batches import to_bytes

Labels = int | str | Sequence[int | str] | Tensor | None
"""Numbers or names, one for all samples or one for each."""


@dataclass(frozen=True)
class GAN(Published):
    """A generator in evaluation mode and its description."""

    generator: nn.Module
    model: Model
    shape: Shape  # of one sample
    classes: tuple[str, ...] = ()  # names of the labels; empty for an unconditional GAN
    recipe: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)  # images seen, data, scores
    sha256: str = ""  # of the weights file
    codes: Codes = NO_CODES  # of an InfoGAN
    licence: str = ""  # of the weights, where they come from elsewhere

    @property
    def z_dim(self) -> int:
        """Length of one latent."""
        return int(self.generator.z_dim)  # type: ignore[arg-type]

    def sample(
        self, n: int | None = None, seed: int = 0, *, seeds: Sequence[int] | None = None, labels: Labels = None,
        truncation: float | None = None, cutoff: int | None = None, noise: Noise | None = None,
        translate: tuple[float, float] | None = None, rotate: float | None = None, batch: int = 256,
    ) -> Tensor:  # fmt: skip
        """`n` samples: images uint8 [n, C, H, W], or points float32 [n, D]. Sample i comes from seed `seed` + i alone.

        `labels` are numbers or names, one for all or one for each; without them a conditional GAN goes through its
        classes in turn. The settings from `truncation` on are those of `organza.latent.drawing.Drawing`. Raises
        ValueError for an unknown label, for labels of an unconditional GAN, for no samples and as `Drawing` does.
        """
        seeds = must_be_seeds(seeds if seeds is not None else range(seed, seed + (64 if n is None else n)))
        chosen = self.label_numbers(labels, len(seeds))
        drawing = self.drawing(truncation=truncation, cutoff=cutoff, noise=noise, translate=translate, rotate=rotate)
        z = latents(seeds, self.z_dim, drawing.cut)
        if drawing.is_plain:
            made = generate(self.generator, z, chosen, batch)
            return to_bytes(made) if made.dim() == 4 else made
        parts = [slice(start, start + batch) for start in range(0, len(seeds), batch)]
        return torch.cat([_drawn(drawing, z[part], None if chosen is None else chosen[part]) for part in parts])

    def drawing(self, **look: Unpack[Look]) -> Drawing:
        """How samples are drawn with these settings. Raises ValueError for those that this generator has not."""
        return Drawing(LatentSpace(self.generator), self.shape, **look)

    def label_numbers(self, labels: Labels, count: int) -> Tensor | None:
        """Labels by number or name -> int64 [count]. Raises ValueError as `sample` does."""
        if labels is None:
            return every_class(count, len(self.classes))
        if not self.classes:
            raise ValueError(f"this GAN ({self.recipe}) is unconditional: it takes no labels")
        wanted = (
            list(labels) if isinstance(labels, (Sequence, Tensor)) and not isinstance(labels, str) else [labels] * count
        )
        if len(wanted) != count:
            raise ValueError(f"{len(wanted)} labels for {count} samples; give one for all, or one for each")
        return torch.tensor([self._label(label) for label in wanted])

    def _label(self, label: int | str | Tensor) -> int:
        if label in self.classes:
            return self.classes.index(str(label))
        number = int(label) if isinstance(label, str) and label.isdecimal() else -1
        if not isinstance(label, str):
            with suppress(TypeError):  # a broken number
                number = operator.index(label)
        if not 0 <= number < len(self.classes):
            raise ValueError(f"no label '{label}'{closest(str(label), self.classes)}")
        return number


def _drawn(drawing: Drawing, z: Tensor, labels: Tensor | None) -> Tensor:
    """Random noise is that of z, as in training: a sample's own, in whatever batch it stands."""
    return drawing.draw(drawing.codes(z, labels), labels, keys_of(z))


def save(gan: GAN, folder: Path, card: str) -> None:
    """Write model.safetensors, config.json and README.md, each replaced in one step."""
    about = {
        "recipe": gan.recipe,
        "generator": to_dict(gan.model),
        "shape": list(gan.shape),
        "classes": list(gan.classes),
        "codes": to_dict(gan.codes),
        "range": [-1, 1] if len(gan.shape) == 3 else None,
        "training": dict(gan.training),
    } | ({"licence": gan.licence} if gan.licence else {})
    write_folder(folder, gan.generator, about, card)


def of_folder(about: Mapping[str, Any], folder: Path, device: torch.device) -> GAN:
    """The GAN that a folder holds and `about` describes. Raises DamagedError."""
    model, shape, classes = described(about), shape_in(about["shape"]), classes_in(about)
    must_be_sane(about["codes"])
    codes = coerce(about["codes"], Codes, "codes")
    generator, sha256 = filled(lambda: build(model, "generator", shape, len(classes), codes), folder, device)
    licence = str(about.get("licence", ""))
    return GAN(generator, model, shape, classes, about["recipe"], about["training"], sha256, codes, licence)
