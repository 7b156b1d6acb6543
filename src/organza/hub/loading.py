"""`organza.load`: what a run, a folder, a repository of the hub or a file of another project holds, ready to use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from organza.config import ConfigError
from organza.hub import gan as latent
from organza.hub import translator as images
from organza.hub.folder import FILES, description, holding
from organza.hub.gan import GAN
from organza.hub.translator import Translator
from organza.models import build, translator
from organza.training.checkpoint import DamagedError, is_pickle, refuse_pickle
from organza.training.precision import pick_device

if TYPE_CHECKING:
    from organza.hub.foreign import Foreign


def load(path: str | Path, device: str = "cpu") -> GAN | Translator:
    """The GAN in a run folder, an exported folder or a repository of the hub; no data is needed, and no code is run.

    A GAN that starts from noise is a `GAN`, one that starts from images a `Translator`. `hf:ORG/NAME`, or
    `hf:ORG/NAME@REVISION`, is the hub's. A file of another project is read as `organza.hub.foreign.read` does, without
    running anything of it. Raises FileNotFoundError where there is none, ValueError for a refused file or a damaged
    one, and ConfigError for a device that is not there.
    """
    place = pick_device(device)
    if str(path).startswith("hf:"):
        from organza.hub.pretrained import fetched  # which needs this file

        path = fetched(str(path).removeprefix("hf:"))
    given = Path(path)
    if given.is_file():
        if is_foreign(given):
            return from_foreign(given, place)
        refuse_pickle(given)
        if given.name not in FILES:
            raise DamagedError(f"{given} alone is no GAN; give a run folder, or a folder with {' and '.join(FILES)}")
        given = given.parent
    folder = given / "model" if (given / "model" / "config.json").is_file() else given
    if not all((folder / name).is_file() for name in FILES):
        raise FileNotFoundError(_missing(given))
    try:
        about = description(folder)
        return (images if about.get("kind") == images.KIND else latent).of_folder(about, folder, place)
    except DamagedError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as problem:
        raise DamagedError(f"{folder / 'config.json'} does not describe a GAN of Organza: {problem!r}") from None


def is_foreign(path: Path) -> bool:
    """Whether `load` takes a path for that of a file of another project."""
    return path.is_file() and path.name not in FILES and (is_pickle(path) or path.suffix in (".param", ".safetensors"))


def load_gan(path: str | Path, device: str = "cpu") -> GAN:
    """As `load`, of a GAN that starts from noise. Raises ConfigError for one that translates images."""
    found = load(path, device)
    if isinstance(found, Translator):
        raise ConfigError(f"{path} translates images; type: organza translate PICTURES --model {path}")
    return found


def load_translator(path: str | Path, device: str = "cpu") -> Translator:
    """As `load`, of a GAN that translates images. Raises ConfigError for one that starts from noise."""
    found = load(path, device)
    if isinstance(found, GAN):
        raise ConfigError(f"{path} starts from noise and translates no images; type: organza sample {path}")
    return found


LOADERS: dict[type, Callable[..., Any]] = {GAN: load_gan, Translator: load_translator}
"""Of each kind of model: path, device -> the model."""


def from_foreign(path: Path, device: torch.device | None = None) -> GAN | Translator:
    """The averaged generator in a file of another project. Raises DamagedError for a file without one."""
    from organza.hub.foreign import read

    found = read(path)
    if found.generator is None:
        raise DamagedError(
            f"{path} holds a discriminator and no generator; training may start from it: organza train --start {path}"
        )
    return made_of(found, device)


def made_of(found: Foreign, device: torch.device | None = None) -> GAN | Translator:
    """The GAN or translator of a foreign file's generator, which knows its origin and the licence of the file."""
    assert found.generator is not None
    model, classes = found.generator.model, tuple(str(number) for number in range(found.classes))
    if found.source:
        make = lambda: translator(model, found.source, found.shape, found.classes)  # noqa: E731
    else:
        make = lambda: build(model, "generator", found.shape, found.classes)  # noqa: E731
    generator = holding(make, found.generator.tensors).eval().requires_grad_(False).to(device or "cpu")
    training = {**found.training, "file": found.file, "origin": found.origin, "source_licence": found.licence}
    about = (classes, found.name, training, found.sha256)
    if found.source:
        both = bool(getattr(generator, "two_way", False))  # then pictures of A and of B lie side by side
        source, shape = ((of, *found.shape[1:]) for of in generator.channels) if both else (found.source, found.shape)  # type: ignore[union-attr]
        degrade = "hole" if model.name == "lama" else "none"
        return Translator(
            generator, model, source, shape, *about, licence=found.licence, degrade=degrade, both_ways=both
        )
    return GAN(generator, model, found.shape, *about, licence=found.licence)


def _missing(given: Path) -> str:
    if (given / "checkpoints").is_dir():
        return f"{given} has no model/ yet; it is written with the first checkpoint"
    return f"{given} holds no GAN (a run folder, or a folder with model.safetensors and config.json)"
