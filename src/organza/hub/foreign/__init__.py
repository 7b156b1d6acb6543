"""GANs of other projects, from their files to networks of the catalogue, without running anything of the files.

Read are StyleGAN2, ADA and StyleGAN3 pickles of NVIDIA's PyTorch code, StyleGAN2's of its TensorFlow code, the first
stage of StyleGAN-XL, R3GAN's pickles, rosinality's StyleGAN2 (also that of pSp and e4e) and Brock's BigGAN and
BigGAN-deep; of restorers, ESRGAN, Real-ESRGAN and SRGAN's generator, PyTorch's files and ncnn's; and of translators,
pix2pix, CycleGAN, CUT, pix2pixHD, SPADE, MUNIT, UNIT, StarGAN, its second version, AnimeGANv2 and LaMa. See
`organza.hub.unpickle` for how.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import organza
from organza.config import Shape
from organza.hub.contents import Contents, opened
from organza.hub.foreign import (
    biggan,
    ncnn,
    nearest,
    r3gan,
    restorers,
    rosinality,
    spade,
    stylegan,
    tensorflow,
    translators,
)
from organza.hub.foreign.parts import (
    LONGEST,
    OFFICIAL,
    UNKNOWN,
    Described,
    Network,
    Part,
    fitted,
    is_plain,
    is_state_dict,
    module,
    plain,
    state_dict,
)
from organza.hub.foreign.parts import opened as opened_module
from organza.hub.records import Record, printable
from organza.hub.tensors import number_of, tensor_of
from organza.training.checkpoint import DamagedError

__all__ = ["Foreign", "Network", "read"]

Result = TypeVar("Result")
READ = (
    "StyleGAN2, ADA, StyleGAN3, StyleGAN-XL's stem, R3GAN, rosinality's StyleGAN2, BigGAN, BigGAN-deep, ESRGAN, "
    "Real-ESRGAN, SRGAN, pix2pix, CycleGAN, CUT, pix2pixHD, SPADE, MUNIT, UNIT, StarGAN, StarGAN v2, AnimeGANv2 and "
    "LaMa"
)


@dataclass(frozen=True)
class Foreign:
    """A GAN or translator of another project. `generator` is the averaged one; one of the networks may be absent."""

    kind: str  # of the file, in words
    name: str  # of the GAN, as a recipe is called
    shape: Shape
    classes: int
    generator: Network | None
    discriminator: Network | None
    licence: str
    training: Mapping[str, Any] = field(default_factory=dict)  # what the file tells of it
    notes: tuple[str, ...] = ()
    sha256: str = ""  # of the file
    source: Shape = ()  # of the pictures that a translator takes

    @property
    def file(self) -> str:
        """The name of the file, its kind and its sha256, in words for a card."""
        return f"{self.training['source']} ({self.kind}, sha256 {self.sha256})"

    @property
    def origin(self) -> str:
        """Where the weights come from, in words for a card."""
        return (
            f"Organza did not train it: version {organza.__version__} converted it from {self.file}. "
            "What is said here of data and training is what that file tells."
        )


@dataclass
class _Found:
    """The networks of a file before they are built."""

    kind: str
    name: str
    generator: Described | None
    discriminator: Described | None
    licence: str
    training: dict[str, Any] = field(default_factory=dict)


def read(path: str | Path) -> Foreign:
    """The networks in a file of another project.

    Raises FileNotFoundError, and DamagedError (a ValueError) for a file that is hostile, damaged or of another kind,
    and for networks that the catalogue has not. Nothing of the file is executed or imported.
    """
    path, notes = Path(path), list[str]()
    if ncnn.is_model(path):
        path = path.with_suffix(".bin")
        found = _guarded(path, lambda: _restorer(*ncnn.restorer(path), ncnn.LICENCE))
    else:
        contents = opened(path)
        contents.must_be_harmless()
        found = _guarded(path, lambda: _recognised(contents, notes))
        if found.generator is not None and found.generator.model.options.get("vae"):
            _read_encoder(found, found.generator, spade.beside(path), notes)
    generator = _guarded(path, lambda: found.generator and fitted(found.generator, "generator", notes))
    judge = _optional(lambda: found.discriminator and fitted(found.discriminator, "discriminator", notes), notes)
    main = found.generator or found.discriminator
    if main is None or (generator is None and judge is None):
        raise DamagedError(f"{path} holds no network that can be used: {'; '.join(notes)}")
    training = {"source": path.name} | found.training
    return Foreign(
        found.kind, found.name, main.shape, main.classes, generator, judge, found.licence, training, tuple(notes),
        hashlib.sha256(path.read_bytes()).hexdigest(), main.source,
    )  # fmt: skip


def _recognised(contents: Contents, notes: list[str]) -> _Found:
    value = contents.value
    if tensorflow.is_tuple(value):
        return _tensorflow(contents, notes)
    if isinstance(value, dict) and isinstance(value.get("G_ema"), Record):
        return _official(contents, notes)
    if isinstance(value, dict) and is_state_dict(value.get("g_ema")):
        return _rosinality(contents, notes)
    if decoder := rosinality.decoder_in(value):
        notes.append("its encoder is left out; organza project finds the code of a picture")
        return _of_rosinality("StyleGAN2 of a pSp or e4e encoder's file", decoder, contents, notes)
    if (inner := restorers.inside(value)) is not None:
        tensors = state_dict(inner, contents.budget)
        return _restorer(*restorers.generator(tensors), UNKNOWN)
    if (known := translators.recognised(value, contents.budget, notes)) is not None:
        return _translator(known)
    if is_state_dict(value):
        return _plain(contents, notes)
    raise DamagedError(f"none of the GANs that are read ({READ}); it holds {_what(value)}")


def _restorer(kind: str, made: Described, licence: str) -> _Found:
    """A network that changes pictures."""
    return _Found(kind, made.model.name, made, None, licence)


def _translator(known: translators.Known) -> _Found:
    """A network that translates pictures, or its discriminator."""
    made, judge = (None, known.made) if known.judges else (known.made, None)
    return _Found(known.kind, known.name, made, judge, known.licence)


def _read_encoder(found: _Found, made: Described, path: Path, notes: list[str]) -> None:
    """The encoder of a SPADE that begins with noise joins it; where there is none that fits, a note says so."""
    if not path.is_file():
        notes.append(f"styles come from noise, of --seed; its encoder, {path.name} beside it, would read them")
        return
    try:
        contents = opened(path)
        contents.must_be_harmless()
        encoder = translators.flat(contents.value, contents.budget)
        found.generator = _guarded(path, lambda: spade.with_encoder(made, encoder))
    except DamagedError as problem:
        notes.append(f"no encoder, and styles come from noise, of --seed: {problem}")
        return
    found.kind += f" with its encoder, {path.name}"
    found.training["encoder"] = f"{path.name}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _official(contents: Contents, notes: list[str]) -> _Found:
    """A snapshot of NVIDIA's PyTorch code, {G, D, G_ema, augment_pipe, training_set_kwargs}, or of R3GAN's, like it."""
    value = contents.value
    part = module(value["G_ema"], contents.tensor)
    about = _data_of(value.get("training_set_kwargs"))
    progress = value.get("progress")
    seen = progress.get("cur_nimg") if isinstance(progress, dict) else value.get("cur_nimg")
    if isinstance(images := number_of(seen), int):
        about["images"] = images
    if "cur_nimg" in value or r3gan.is_generator(part.tensors):
        return _r3gan(contents, part, about, notes)
    made = stylegan.generator(part, notes)
    judge = _optional(lambda: _official_judge(contents), notes)
    return _Found(f"{_generation(made)} of NVIDIA's PyTorch code", _name(made), made, judge, OFFICIAL, about)


def _r3gan(contents: Contents, part: Part, about: dict[str, Any], notes: list[str]) -> _Found:
    """A snapshot of R3GAN's code, {G, D, G_ema, training_set_kwargs, cur_nimg, …}."""
    made, record = r3gan.generator(part), contents.value.get("D")
    judge = _optional(lambda: record and r3gan.discriminator(module(record, contents.tensor)), notes)
    notes.append("its tensors were recognised by order and shape, not by name; look at a few samples")
    return _Found("R3GAN of its authors' code", "r3gan", made, judge, r3gan.LICENCE, about)


def _official_judge(contents: Contents) -> Described | None:
    record = contents.value.get("D")
    if record is None:
        return None
    if (name := opened_module(record)[0]) != "Discriminator":
        raise DamagedError(f"its discriminator of the class {name} is none of StyleGAN2's")
    return stylegan.discriminator(module(record, contents.tensor))


def _tensorflow(contents: Contents, notes: list[str]) -> _Found:
    """(G, D, Gs) of StyleGAN2's TensorFlow code."""
    _, judge, averaged = contents.value
    made = stylegan.generator(tensorflow.generator(averaged, contents.budget), notes)
    other = _optional(lambda: stylegan.discriminator(tensorflow.discriminator(judge, contents.budget)), notes)
    return _Found("StyleGAN2 of NVIDIA's TensorFlow code", _name(made), made, other, OFFICIAL)


def _rosinality(contents: Contents, notes: list[str]) -> _Found:
    """{g_ema, latent_avg, g, d, …} of rosinality's code."""
    told = contents.value["g_ema"]
    if not rosinality.is_generator(name.removeprefix("module.") for name in map(str, told)):
        raise DamagedError("its g_ema is no StyleGAN2 of rosinality's code")
    return _of_rosinality("StyleGAN2 of rosinality's code", told, contents, notes)


def _of_rosinality(kind: str, told: Mapping[Any, Any], contents: Contents, notes: list[str]) -> _Found:
    """A generator of rosinality's names, with the mean w and the discriminator that may lie beside it."""
    value, budget = contents.value, contents.budget
    average = None if value.get("latent_avg") is None else tensor_of(value["latent_avg"], budget)
    made = stylegan.generator(rosinality.generator(state_dict(told, budget), average), notes)
    judge = _optional(lambda: _rosinality_judge(value, contents), notes)
    return _Found(kind, "stylegan2", made, judge, UNKNOWN)


def _rosinality_judge(value: dict[str, Any], contents: Contents) -> Described | None:
    if not is_state_dict(value.get("d")):
        return None
    return stylegan.discriminator(rosinality.discriminator(state_dict(value["d"], contents.budget)))


def _plain(contents: Contents, notes: list[str]) -> _Found:
    """Tensors by name alone."""
    tensors = state_dict(contents.value, contents.budget)
    if biggan.is_generator(tensors):
        made = biggan.generator(tensors, notes)
        return _Found(f"{_big(made)}, Brock's PyTorch code", made.model.name, made, None, UNKNOWN)
    if biggan.is_discriminator(tensors):
        judge = biggan.discriminator(tensors)
        return _Found(f"{_big(judge)}'s discriminator, Brock's PyTorch code", judge.model.name, None, judge, UNKNOWN)
    if rosinality.is_generator(tensors):
        made = stylegan.generator(rosinality.generator(tensors, None), notes)
        return _Found("StyleGAN2 of rosinality's code", "stylegan2", made, None, UNKNOWN)
    if {"mapping.fc0.weight", "mapping.w_avg"} <= tensors.keys():
        made = stylegan.generator(Part("Generator", tensors), notes)
        return _Found(f"{_generation(made)}'s state dict", _name(made), made, None, OFFICIAL)
    near = nearest.words(tensors)
    raise DamagedError(f"none of the GANs that are read ({READ}){near}; it holds {_what(contents.value)}")


def _data_of(told: Any) -> dict[str, Any]:
    """The name of the data, without its path, and what else is told of it."""
    if not isinstance(told, dict):
        return {}
    path = told.get("path")  # of nested lists the text has no end
    place = re.split(r"[/\\]", path if isinstance(path, str) else "")[-1][:LONGEST]
    about = {
        key: plain(told[key])
        for key in ("resolution", "use_labels", "max_size", "xflip")
        if is_plain(number_of(told.get(key, [[]])))
    }
    return {"data": {"name": re.sub(r"\.\w+$", "", place) or "unknown"} | about}


def _generation(made: Described) -> str:
    if made.model.options.get("class_averages"):
        return "StyleGAN-XL (its first stage)"
    return "StyleGAN3" if made.model.name == "stylegan3" else "StyleGAN2"


def _name(made: Described) -> str:
    if made.model.name != "stylegan3":
        return made.model.name
    return "stylegan3-r" if made.model.options["kernel"] == 1 else "stylegan3-t"


def _big(made: Described) -> str:
    return "BigGAN-deep" if made.model.name == "biggan-deep" else "BigGAN"


def _what(value: Any) -> str:
    """A few words on what a file holds."""
    if isinstance(value, Record):
        return f"an object {value.name}" if value.name else "the result of a call"
    if not isinstance(value, dict):
        return f"a {type(value).__name__}"
    keys = [f"{key!s:.40}" for key in list(value)[:4]]
    return f"{len(value)} entries ({', '.join(keys)}{', …' if len(value) > len(keys) else ''})"


def _optional(make: Callable[[], Result], notes: list[str]) -> Result | None:
    """A discriminator that cannot be used is left out, and a note says so."""
    try:
        return _guarded(None, make)
    except DamagedError as problem:
        notes.append(f"no discriminator: {problem}")
        return None


def _guarded(path: Path | None, make: Callable[[], Result]) -> Result:
    """What a file of another form than expected raises becomes one error that names the file."""
    place = f"{path}: " if path else ""
    try:
        return make()
    except DamagedError as problem:
        raise DamagedError(f"{place}{printable(str(problem))}") from None
    except KeyError as problem:
        raise DamagedError(f"{place}it lacks {printable(str(problem))}") from None
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as problem:
        raise DamagedError(f"{place}it has another form than such files have ({problem!r:.200})") from None
