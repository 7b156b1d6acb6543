"""A GAN to use: the averaged generator with what sampling needs to know, saved without code and loaded without data."""

from __future__ import annotations

import hashlib
import json
import operator
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from organza.config import Codes, ConfigError, Model, Shape, closest, coerce, to_dict
from organza.draws import keys_of
from organza.latent.drawing import Drawing, Look
from organza.latent.sampling import every_class, generate, latents, must_be_seeds
from organza.latent.space import LatentSpace
from organza.layers.spectral import without_spectral_norm
from organza.layers.style import Noise
from organza.models import NO_CODES, build
from organza.training.batches import to_bytes
from organza.training.checkpoint import DamagedError, checksum, is_pickle, refuse_pickle
from organza.training.precision import pick_device
from organza.training.run import write_json, write_text

if TYPE_CHECKING:
    from organza.hub.foreign import Foreign

FORMAT = 1
FILES = ("model.safetensors", "config.json")
LARGEST = 65_536  # of the numbers that describe a network; a hostile file could else fill memory and time

Labels = int | str | Sequence[int | str] | Tensor | None
"""Numbers or names, one for all samples or one for each."""


@dataclass(frozen=True)
class GAN:
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

    def save_pretrained(self, folder: str | Path, *, licence: str, **more: Any) -> Path:
        """Write a folder to publish: weights, description and a complete card; see `organza.hub.pretrained`."""
        from organza.hub.pretrained import save_pretrained

        return save_pretrained(self, folder, licence=licence, **more)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None, device: str = "cpu") -> GAN:
        """The GAN in a folder, or in the repository `org/name` of the hub; see `organza.hub.pretrained`."""
        from organza.hub.pretrained import from_pretrained

        return from_pretrained(name, revision=revision, device=device)

    def push_to_hub(self, name: str, *, licence: str, **more: Any) -> str:
        """Publish as `org/name` on the hub, private unless `private=False`; see `organza.hub.pretrained`."""
        from organza.hub.pretrained import push_to_hub

        return push_to_hub(self, name, licence=licence, **more)

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
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "model.partial"
    write_weights(partial, without_spectral_norm(gan.generator).state_dict())
    about = {
        "format": FORMAT,
        "recipe": gan.recipe,
        "generator": to_dict(gan.model),
        "shape": list(gan.shape),
        "classes": list(gan.classes),
        "codes": to_dict(gan.codes),
        "range": [-1, 1] if len(gan.shape) == 3 else None,
        "training": dict(gan.training),
    } | ({"licence": gan.licence} if gan.licence else {})
    write_json(folder / "config.json", about)
    partial.replace(folder / "model.safetensors")
    write_text(folder / "README.md", card)


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Tensors as safetensors with their checksum. Raises OSError and leaves nothing when the disk is full."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    try:
        save_file(tensors, path, metadata={"format": "pt", "checksum": str(checksum(tensors))})
    except SafetensorError as problem:  # how safetensors reports a full disk
        path.unlink(missing_ok=True)
        raise OSError(str(problem)) from problem


def load(path: str | Path, device: str = "cpu") -> GAN:
    """The GAN in a run folder, an exported folder or a repository of the hub; no data is needed, and no code is run.

    `hf:ORG/NAME`, or `hf:ORG/NAME@REVISION`, is the hub's. A file of another project is read as
    `organza.hub.foreign.read` does, without running anything of it. Raises FileNotFoundError where there is none,
    ValueError for a refused file or a damaged one, and ConfigError for a device that is not there.
    """
    place = pick_device(device)
    if str(path).startswith("hf:"):
        from organza.hub.pretrained import fetched  # which needs this file

        path = fetched(str(path).removeprefix("hf:"))
    given = Path(path)
    if given.is_file():
        if given.name not in FILES and is_pickle(given):
            return from_foreign(given, place)
        refuse_pickle(given)
        if given.name not in FILES:
            raise DamagedError(f"{given} alone is no GAN; give a run folder, or a folder with {' and '.join(FILES)}")
        given = given.parent
    folder = given / "model" if (given / "model" / "config.json").is_file() else given
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(_missing(given))
    try:
        about = json.loads((folder / "config.json").read_text())
        return _open(about, folder / "model.safetensors", place)
    except DamagedError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as problem:
        raise DamagedError(f"{folder / 'config.json'} does not describe a GAN of Organza: {problem!r}") from None


def from_foreign(path: Path, device: torch.device | None = None) -> GAN:
    """The averaged generator in a file of another project. Raises DamagedError for a file without one."""
    from organza.hub.foreign import read

    found = read(path)
    if found.generator is None:
        raise DamagedError(
            f"{path} holds a discriminator and no generator; training may start from it: organza train --start {path}"
        )
    return made_of(found, device)


def made_of(found: Foreign, device: torch.device | None = None) -> GAN:
    """The GAN of a foreign file's generator."""
    assert found.generator is not None
    model, classes = found.generator.model, tuple(str(number) for number in range(found.classes))
    with torch.random.fork_rng(devices=[]):
        generator = build(model, "generator", found.shape, found.classes)
    generator.load_state_dict(found.generator.tensors)
    generator.eval().requires_grad_(False).to(device or "cpu")
    return GAN(generator, model, found.shape, classes, found.name, found.training, found.sha256, licence=found.licence)


def _open(about: dict[str, Any], weights: Path, device: torch.device) -> GAN:
    if about["format"] != FORMAT:
        raise DamagedError(f"{weights.parent} has format {about['format']}; this version of Organza reads {FORMAT}")
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in about["generator"].items() if key != "name"}
    model, shape, classes = (
        Model(name=about["generator"]["name"], options=options),
        tuple(about["shape"]),
        about["classes"],
    )
    codes = coerce(about["codes"], Codes, "codes")
    _must_be_sane([about["generator"], about["shape"], about["codes"]])
    if not all(type(side) is int and side > 0 for side in shape):
        raise DamagedError(f"no sample has the shape {shape}")
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers without elements
            planned = build(model, "generator", shape, len(classes), codes)
        tensors = _whole(weights)
        _must_fit(planned, tensors)  # before any memory is taken for it
        generator = build(model, "generator", shape, len(classes), codes)
        generator.load_state_dict(tensors)
    except (ConfigError, RuntimeError, SafetensorError) as problem:
        raise DamagedError(f"{weights.parent} cannot be loaded: {problem}") from None
    generator.eval().requires_grad_(False).to(device)
    return GAN(
        generator,
        model,
        shape,
        tuple(classes),
        about["recipe"],
        about["training"],
        hashlib.sha256(weights.read_bytes()).hexdigest(),
        codes,
        str(about.get("licence", "")),
    )


def _whole(weights: Path) -> dict[str, Tensor]:
    with safe_open(weights, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if (file.metadata() or {}).get("checksum") != str(checksum(tensors)):
            raise DamagedError(f"{weights} is damaged: its checksum does not match")
    return tensors


def _must_be_sane(values: Any) -> None:
    """Raise DamagedError for numbers that no network has."""
    for value in values.values() if isinstance(values, dict) else values:
        if isinstance(value, (dict, list)):
            _must_be_sane(value)
        elif isinstance(value, (int, float)) and not abs(value) <= LARGEST:
            raise DamagedError(f"a network with the number {value} in its description is not built")


def _must_fit(planned: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Raise DamagedError when the weights have other names or shapes than the network that is described."""
    wanted = {name: tuple(tensor.shape) for name, tensor in planned.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if differing := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        raise DamagedError(
            f"config.json describes other weights than model.safetensors holds: {', '.join(differing[:5])}"
        )


def _missing(given: Path) -> str:
    if (given / "checkpoints").is_dir():
        return f"{given} has no model/ yet; it is written with the first checkpoint"
    return f"{given} holds no GAN (a run folder, or a folder with model.safetensors and config.json)"
