"""A GAN that starts from images: the averaged generator with what translating needs to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, Model, Shape, closest, to_dict
from organza.data.degrade import use_of
from organza.data.layouts import Palette, beyond, planes
from organza.hub.folder import classes_in, described, filled, shape_in, write_folder
from organza.hub.published import Published
from organza.hub.tiling import Function, Note, Runner, Told, tiled
from organza.latent.sampling import latents
from organza.layers.fourier import FourierUnit
from organza.models import translator
from organza.models.both_ways import two_way
from organza.training.batches import to_bytes, to_range

KIND = "translator"
OF_ALL = (nn.InstanceNorm2d, nn.GroupNorm, FourierUnit)  # layers that take statistics of all pixels, or their spectrum
OF_TILES = (
    "this network looks at the whole picture, and tiles differ from it in tone: where memory allows, take larger tiles "
    "or type --tile 0, the whole picture at once"
)

Label = int | str | Sequence[int | str] | None
"""The class of results by number or name, or their attributes: names with commas between them, or a list."""


@dataclass(frozen=True)
class Translator(Published):
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
    layout_classes: int = 0  # of the label maps that it translates; 0: images
    palette: Palette = ()  # of the files of these maps
    attributes: bool = False  # whether classes are attributes, of which a result can have several

    @property
    def scale(self) -> float:
        """How much longer the sides of a result are."""
        return self.shape[1] / self.source[1]

    @property
    def use(self) -> str:
        """The verb of the command line and its arguments."""
        return use_of(self.degrade, self.scale)

    @property
    def multiple(self) -> int:
        """What both sides of an input divide by; others are padded by their mirror image and cut again."""
        return int(self.generator.multiple)  # type: ignore[arg-type]

    @property
    def draws(self) -> bool:
        """Whether it takes noise, which is of the seed."""
        return int(self.generator.z_dim) > 0  # type: ignore[arg-type]

    @property
    def least(self) -> int:
        """The side below which the network fails: at its narrowest place norms and mirrors need a neighbour."""
        return int(getattr(self.generator, "least", self.multiple))

    def translate(
        self, images: Tensor, *, seed: int = 0, label: Label = None, reverse: bool = False, batch: int = 16,
        style: Tensor | None = None, tile: int | None = None, overlap: int | None = None, half: bool = False,
        told: Told | None = None, note: Note | None = None,
    ) -> Tensor:  # fmt: skip
        """Images [N, C, H, W], uint8, uint16 or float32 in [-1, 1], of any sides -> results of the same type.

        `seed` decides the noise of a translator that has some, or `style` [K, H', W'], an image of what results shall
        look like, where styles are read from images; `label` is the class that results, and `style`, shall have, and
        `reverse` takes the way from B to A where both were learned. Where classes are attributes, `label` names all
        that results shall have, as `"Blond_Hair,Young"` or a list of names; they have none of the others. Pictures
        larger than `tile` are made in tiles that see `overlap` pixels more on each side; by default those that a
        network names as its own, as restorers do, and else whole. `half` computes in half precision. `told` and `note`
        are those of `organza.hub.tiling.tiled`. A translator of label maps takes them as numbers of classes, uint8
        [N, 1, H, W] (255: unknown), as well as their planes. Raises ConfigError for other channels, for an unknown
        label, for a style that is not read and for a way that was not learned, and else as `tiled` and `Runner` there.
        """
        if self.layout_classes and images.dtype == torch.uint8 and images.shape[1:2] == (1,):
            if (wrong := beyond(images.cpu().numpy(), self.layout_classes)) is not None:
                raise ConfigError(f"a label map has class {wrong}; it takes 0 to {self.layout_classes - 1}, or 255")
            return to_bytes(self.translate(
                planes(images, self.layout_classes), seed=seed, label=label, batch=batch, style=style, tile=tile,
                overlap=overlap, half=half, told=told, note=note,
            ))  # fmt: skip
        self.must_take(images, reverse)
        images = self._of_the_only_size(images, note)
        chosen, device = self._label(label), next(self.generator.parameters()).device
        tile = tile or getattr(self.generator, "tile", None)
        parts = images.split(batch if tile is None or 4 * batch * images[0, 0].numel() <= tile**2 else 1)
        made = self._function(seed, chosen, reverse) if style is None else self._in_style(style, chosen, reverse)
        run = Runner(self._telling(made, images.shape[2:], note), device, half, note)
        (_, *seen), (channels, *_) = (self.shape, self.source) if reverse else (self.source, self.shape)
        least = min(self.least, seen[0]), min(self.least, seen[1])
        done = [
            tiled(run, part, scale=self.scale, channels=channels, tile=tile, overlap=overlap, multiple=self.multiple,
                  least=least, told=_share(told, i, len(parts)), note=note)
            for i, part in enumerate(parts)
        ]  # fmt: skip
        return torch.cat(done) if len(done) > 1 else done[0]

    def must_take(self, images: Tensor, reverse: bool = False) -> None:
        """Raise ConfigError for images that this translator cannot take."""
        wanted = (self.shape if reverse else self.source)[0]
        if images.dim() != 4 or images.shape[1] != wanted or 0 in images.shape:
            raise ConfigError(f"this translator takes images [N, {wanted}, H, W], not {tuple(images.shape)}")
        if reverse and not self.both_ways:
            raise ConfigError(f"'{self.recipe}' has learned one way only; leave out reverse")

    def _of_the_only_size(self, images: Tensor, note: Note | None) -> Tensor:
        """The images, resized to the nearest pixels where the generator makes one size alone."""
        only = getattr(self.generator, "only_size", None)
        if only is None or tuple(images.shape[2:]) == only:
            return images
        if note is not None:
            given, made = ("x".join(map(str, size)) for size in (images.shape[2:], only))
            note(f"{given} pixels are resized to {made}, the only size that it makes")
        rows, columns = (
            torch.arange(side, device=images.device) * had // side
            for side, had in zip(only, images.shape[2:], strict=True)
        )
        return images[:, :, rows][:, :, :, columns]

    def _telling(self, made: Function, sides: Sequence[int], note: Note | None) -> Function:
        """`made`, which tells once of tiles where the network looks at the whole picture."""
        of_all = self.model.name == "deepfill" or any(isinstance(layer, OF_ALL) for layer in self.generator.modules())
        heard = note is None or not of_all

        def told(x: Tensor) -> Tensor:
            nonlocal heard
            if not heard and (x.shape[2] < sides[0] or x.shape[3] < sides[1]):
                note(OF_TILES)  # type: ignore[misc]
                heard = True
            return made(x)

        return told

    def _function(self, seed: int, label: Tensor | None, reverse: bool) -> Callable[[Tensor], Tensor]:
        """The generator with its noise and label: images on its device -> results there."""
        noise, one_way = latents([seed], int(self.generator.z_dim)), getattr(self.generator, "one_way", None)  # type: ignore[arg-type]

        def made(x: Tensor) -> Tensor:
            z = noise.expand(len(x), -1).to(x.device)
            labels = None if label is None else label.to(x.device).expand(len(x), *label.shape)
            return self.generator(x, z, labels) if one_way is None else one_way(x, z, reverse)

        return made

    def _in_style(self, style: Tensor, label: Tensor | None, reverse: bool) -> Callable[[Tensor], Tensor]:
        """The generator in the style of an image, which is resized to what training saw."""
        network, wanted = self.generator, self.source if reverse else self.shape
        if not getattr(network, "styled", False):
            raise ConfigError(
                f"'{self.recipe or self.model.name}' reads no styles from images; leave out style, or take "
                "seed where it has noise (munit, stargan-v2 and spade with an encoder read them)"
            )
        known = style.dtype in (torch.uint8, torch.uint16) or style.is_floating_point()
        if style.dim() != 3 or style.shape[0] != wanted[0] or 0 in style.shape or not known:
            raise ConfigError(
                f"a style is an image [{wanted[0]}, H, W], uint8, uint16 or floats in [-1, 1], not "
                f"{tuple(style.shape)} {style.dtype}"
            )
        like = to_range(style[None]).to(next(network.parameters()).device)
        like = F.interpolate(like, wanted[1:], mode="bilinear", antialias=True, align_corners=False)
        way: dict[str, Any] = {"reverse": reverse} if self.both_ways else {}

        def labels(x: Tensor) -> Tensor | None:
            return None if label is None else label.to(x.device).expand(len(x), *label.shape)

        with torch.no_grad():
            found = network.style_of(like, labels(like), **way)  # type: ignore[operator]
        return lambda x: network.in_style(x, found.expand(len(x), -1).to(x.dtype), labels(x), **way)  # type: ignore[operator]

    def _label(self, label: Label) -> Tensor | None:
        """The class, int64 [], or the attributes, int64 [A], that results shall have."""
        if not self.classes:
            if label is not None:
                raise ConfigError(f"'{self.recipe}' knows no classes; leave out label")
            return None
        if label is None:
            what, some = ("attributes", "none or some of ") if self.attributes else ("class", "")
            raise ConfigError(f"say which {what} results shall have; label takes {some}{', '.join(self.classes)}")
        if not self.attributes:
            return torch.tensor(self._number(label))
        words = label.split(",") if isinstance(label, str) else [label] if isinstance(label, int) else label
        found = torch.zeros(len(self.classes), dtype=torch.long)
        for word in words:
            if (name := str(word).strip()) not in ("", "none"):
                found[self._number(name)] = 1
        return found

    def _number(self, label: int | str | Sequence[int | str]) -> int:
        word = str(label)
        if word in self.classes:
            return self.classes.index(word)
        if not word.isdecimal() or int(word) >= len(self.classes):
            raise ConfigError(f"no {'attribute' if self.attributes else 'label'} '{word}'{closest(word, self.classes)}")
        return int(word)


def save(found: Translator, folder: Path, card: str) -> None:
    """Write model.safetensors, config.json and README.md, each replaced in one step."""
    about = {
        "kind": KIND, "recipe": found.recipe, "generator": to_dict(found.model), "source": list(found.source),
        "shape": list(found.shape), "classes": list(found.classes), "range": [-1, 1], "degrade": found.degrade,
        "both_ways": found.both_ways, "layout_classes": found.layout_classes,
        "palette": [list(colour) for colour in found.palette], "attributes": found.attributes,
        "training": dict(found.training),
    } | ({"licence": found.licence} if found.licence else {})  # fmt: skip
    write_folder(folder, found.generator, about, card)


def of_folder(about: Mapping[str, Any], folder: Path, device: torch.device) -> Translator:
    """The translator that a folder holds and `about` describes. Raises DamagedError."""
    model, source, shape = described(about), shape_in(about["source"]), shape_in(about["shape"])
    classes, both = classes_in(about), bool(about["both_ways"])
    make = two_way if both else translator
    generator, sha256 = filled(lambda: make(model, source, shape, len(classes)), folder, device)
    return Translator(
        generator, model, source, shape, classes, about["recipe"], about["training"], sha256,
        str(about.get("licence", "")), str(about["degrade"]), both, int(about.get("layout_classes", 0)),
        tuple((r, g, b) for r, g, b in about.get("palette", ())), bool(about.get("attributes", False)),
    )  # fmt: skip


def _share(told: Told | None, number: int, parts: int) -> Told | None:
    """Progress of one of several equal parts."""
    return told and (lambda done, total: told(number * total + done, parts * total))
