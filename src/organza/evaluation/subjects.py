"""What can be judged: a run, a model, a GAN in memory, or any source of images; as uint8 images with their origin."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError, Shape
from organza.data import ImageStore, Progress, open_data, open_dataset
from organza.data.store import fingerprint
from organza.evaluation.results import translated
from organza.games import GAMES
from organza.hub import GAN, Translator, load, load_translator
from organza.training.distributed import dealt
from organza.training.run import Run

Subject = GAN | ImageStore | Tensor | np.ndarray | str | Path
LOSSY = (".jpg", ".jpeg", ".jfif")
MOST_OPENED = 500  # WebP files whose kind is looked at
FIRST_SEED = 1_000_000  # of the samples that are judged: none that a user looks at by default
AT_ONCE = 256


@dataclass(frozen=True)
class Images:
    """Samples of one side of a comparison: images uint8 [N, C, H, W] or points float32 [N, D]."""

    samples: Tensor
    labels: Tensor | None  # classes int64 [N], or attributes int64 [N, A]
    classes: tuple[str, ...]
    origin: dict[str, Any]  # for the receipt; no paths but the name
    lossy: bool = False

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def key(self) -> str:
        """Of the samples themselves: a source need not have a fingerprint, nor a GAN in memory a file of weights."""
        return fingerprint(self.samples.cpu(), None)


def is_model(subject: Subject) -> bool:
    """Whether a path is that of a run or a model, and not of images."""
    if isinstance(subject, GAN):
        return True
    if not isinstance(subject, (str, Path)):
        return False
    path = Path(subject).expanduser()
    inside = any((path / name).is_file() for name in ("model.safetensors", "model/model.safetensors"))
    return inside or path.name == "model.safetensors"


def place_of_data(subject: Subject) -> str:
    """Where a run found the data that it was trained on; "" for what is no run."""
    is_run = isinstance(subject, (str, Path)) and (Path(subject).expanduser() / "checkpoints").is_dir()
    return Run(Path(subject).expanduser()).config.data.source if is_run else ""  # type: ignore[arg-type]


def trained_on(subject: Subject, split: str, progress: Progress) -> ImageStore:
    """The data that a run was trained on, as it was prepared. Raises ConfigError where that is not known."""
    if isinstance(subject, (str, Path)) and (Path(subject).expanduser() / "checkpoints").is_dir():
        run = Path(subject).expanduser()
        config = Run(run).config
        if GAMES[config.game].translates:
            return translated(load_translator(run), run, progress)[1]
        return open_data(config.data, split=split, labelled=config.conditional, progress=progress)
    raise ConfigError("only a run knows its data; say what to compare with, such as --real mnist or --real FOLDER")


def open_subject(subject: Subject, device: str, progress: Progress) -> GAN | Images:
    """A GAN to draw from, or images. Raises as `organza.load` and `organza.open_dataset` do."""
    if isinstance(subject, GAN):
        return subject
    if is_model(subject):
        found = load(Path(subject).expanduser(), device)  # type: ignore[arg-type]
        return found if isinstance(found, GAN) else _results(found, Path(subject).expanduser(), progress)  # type: ignore[arg-type]
    return of_store(open_dataset(subject, progress=progress), subject)


def _results(translator: Translator, run: Path, progress: Progress) -> Images:
    """Of a translating run, for what its training did not see. Raises ConfigError for a model without its data."""
    if not (run / "checkpoints").is_dir():
        raise ConfigError(
            f"{run} translates images, and only a run knows which; type: organza translate IMAGES --model {run} --out "
            "made, and: organza evaluate made --real TARGETS"
        )
    samples, targets = translated(translator, run, progress)
    origin = {
        "kind": "translation", "name": translator.recipe, "samples": len(samples), "fingerprint": translator.sha256,
        "first_seed": None, "images_seen": translator.training.get("images"), "counterparts": targets.paired,
    }  # fmt: skip
    return Images(samples, targets.labels if translator.classes else None, translator.classes, origin)


def shape_of(opened: GAN | Images) -> Shape:
    """Of one sample."""
    return opened.shape if isinstance(opened, GAN) else tuple(opened.samples.shape[1:])


def open_real(source: Any, like: GAN | Images, split: str, progress: Progress) -> Images:
    """The real side; a source of images is brought to the size of a GAN's. Raises ConfigError where they differ."""
    store = source if isinstance(source, ImageStore) else open_dataset(source, split=split, progress=progress)
    wanted = shape_of(like)
    if store.shape == wanted:
        return of_store(store, source)
    sizes = "x".join(map(str, wanted)), "x".join(map(str, store.shape))
    alike = len(wanted) == len(store.shape) == 3 and wanted[0] == store.shape[0]
    if not alike or not isinstance(like, GAN):
        raise ConfigError(
            f"the samples are {sizes[0]} and {store.name} is {sizes[1]}; compare with data of the same kind, such as "
            "that of the training, or make sizes equal with: organza data convert"
        )
    progress.note(f"{store.name} is resized from {sizes[1]} to {sizes[0]}, the size of the samples")
    return of_store(open_dataset(store, resolution=(wanted[1], wanted[2]), progress=progress), source)


def of_store(store: ImageStore, source: Any = "") -> Images:
    """A source as one side."""
    origin = {
        "kind": "data", "name": Path(store.name).name, "catalogue": store.catalogue, "samples": len(store),
        "fingerprint": store.fingerprint, "first_seed": None,
    }  # fmt: skip
    return Images(_as_bytes(store), store.labels, store.classes, origin, lossy(source))


def nothing(like: GAN | Images) -> Images:
    """The real side of metrics that ask the generator alone."""
    origin = {
        "kind": "nothing",
        "name": "nothing",
        "catalogue": "",
        "samples": 0,
        "fingerprint": "",
        "first_seed": None,
    }
    return Images(torch.empty(0, *shape_of(like), dtype=torch.uint8), None, (), origin)


def draw(opened: GAN | Images, count: int, seed: int, truncation: float | None, progress: Progress) -> Images:
    """`count` samples of a GAN from seed `seed` on, its classes in turn; of images at most so many.

    Several processes share the work, and each has all samples then.
    """
    if isinstance(opened, Images):
        return first(opened, count)
    labels = opened.label_numbers(None, count)

    def part(number: int) -> Tensor:
        """The samples of one part of the work."""
        start, stop = number * AT_ONCE, min((number + 1) * AT_ONCE, count)
        chosen = None if labels is None else labels[start:stop]
        made = opened.sample(seeds=range(seed + start, seed + stop), labels=chosen, truncation=truncation)
        progress.step("sampling", stop, count)
        return made

    origin = {
        "kind": "gan", "name": opened.recipe, "samples": count, "fingerprint": opened.sha256 or "in memory",
        "first_seed": seed, "truncation": truncation, "images_seen": opened.training.get("images"),
    }  # fmt: skip
    return Images(torch.cat(dealt(-(-count // AT_ONCE), part)), labels, opened.classes, origin)


def first(side: Images, count: int) -> Images:
    """At most `count` samples, spread over the whole."""
    if len(side) <= count:
        return side
    rows = torch.linspace(0, len(side) - 1, count).long()
    labels = None if side.labels is None else side.labels[rows]
    return replace(side, samples=side.samples[rows], labels=labels, origin=side.origin | {"samples": count})


def lossy(source: Any) -> bool:
    """Whether a folder or a zip holds pictures in a format that loses details, which distances see.

    WebP may be either, which the file itself tells; of many, some hundreds are opened.
    """
    if not isinstance(source, (str, Path)):
        return False
    path = Path(source).expanduser()
    if path.is_dir():
        return _any_lossy({str(file): partial(file.open, "rb") for file in path.rglob("*") if file.is_file()})
    if path.suffix.lower() == ".zip" and path.is_file():
        with zipfile.ZipFile(path) as archive:
            return _any_lossy({name: partial(archive.open, name) for name in archive.namelist()})
    return False


def _any_lossy(files: Mapping[str, Callable[..., Any]]) -> bool:
    """Of files by name, each with what opens it."""
    if any(name.lower().endswith(LOSSY) for name in files):
        return True
    webp = sorted(name for name in files if name.lower().endswith(".webp"))
    for name in webp[:: len(webp) // MOST_OPENED + 1]:
        with files[name]() as file:
            if is_lossy_webp(file):
                return True
    return False


def is_lossy_webp(file: IO[bytes]) -> bool:
    """Whether the first picture of a WebP file is of VP8 and not of VP8L, which is lossless; False for other files.

    A RIFF file is a header of 12 bytes and parts: a name of four bytes, a length, and so many bytes, padded to an even
    number (RFC 9649). A frame of an animation (ANMF) has 16 bytes, then parts of its own.
    """
    if file.read(12)[8:] != b"WEBP":
        return False
    while len(head := file.read(8)) == 8:
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8 "
        file.seek(16 if name == b"ANMF" else length + length % 2, 1)
    return False


def _as_bytes(store: ImageStore) -> Tensor:
    """Images as they would be saved in 8 bits; points as they are."""
    if store.images.dim() != 4 or store.images.dtype == torch.uint8:
        return store.images
    from organza.training.batches import to_bytes, to_range

    parts = [to_bytes(to_range(part) if part.dtype != torch.float32 else part) for part in store.images.split(AT_ONCE)]
    return torch.cat(parts)
