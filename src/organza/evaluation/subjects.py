"""What can be judged: a run, a model, a GAN in memory, or any source of images; as uint8 images with their origin."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError, Shape
from organza.data import ImageStore, Progress, open_data, open_dataset
from organza.data.arrays import PICKLES
from organza.data.catalogue import holds_run
from organza.data.files import MixedSizesError
from organza.data.store import fingerprint
from organza.evaluation.finite import broken_rows, must_be_finite
from organza.evaluation.lossy import lossy
from organza.evaluation.names import names_of
from organza.evaluation.results import translated
from organza.games import GAMES
from organza.hub import GAN, Translator, load, load_translator
from organza.hub.loading import is_foreign
from organza.training.checkpoint import DamagedError
from organza.training.distributed import dealt
from organza.training.run import Run

Subject = GAN | ImageStore | Tensor | np.ndarray | str | Path
FIRST_SEED = 1_000_000  # of the samples that are judged: none that a user looks at by default
AT_ONCE = 256
USUAL = 10_000  # samples of a GAN, and reals of metrics that look at pairs; published FIDs take 50 000 samples


@dataclass(frozen=True)
class Images:
    """Samples of one side of a comparison: images uint8 [N, C, H, W] or points float32 [N, D]."""

    samples: Tensor
    labels: Tensor | None  # classes int64 [N], or attributes int64 [N, A]
    classes: tuple[str, ...]
    origin: dict[str, Any]  # for the receipt; no paths but the name
    lossy: bool = False
    names: tuple[str, ...] = ()  # of the files of a folder that is compared with another

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def told(self) -> str:
        """The name of the source with its split."""
        return " ".join(filter(None, (self.origin["name"], self.origin.get("split"))))

    @cached_property
    def key(self) -> str:
        """Of the samples themselves: a source need not have a fingerprint, nor a GAN in memory a file of weights."""
        return fingerprint(self.samples.cpu(), None)


def is_model(subject: Subject) -> bool:
    """Whether a path is that of a run or a model, and not of images; a file such as a .pt may be either."""
    if isinstance(subject, GAN):
        return True
    if not isinstance(subject, (str, Path)):
        return False
    path = Path(subject).expanduser()
    inside = any((path / name).is_file() for name in ("model.safetensors", "model/model.safetensors"))
    return inside or _is_run(path) or path.name == "model.safetensors" or path.suffix.lower() in PICKLES


def _is_run(subject: Subject) -> bool:
    """Whether a path is that of a run, perhaps without a model yet."""
    return isinstance(subject, (str, Path)) and holds_run(Path(subject).expanduser())


def place_of_data(subject: Subject) -> str:
    """Where a run found the data that it was trained on; "" for what is no run."""
    return Run(Path(subject).expanduser()).config.data.source if _is_run(subject) else ""  # type: ignore[arg-type]


def trained_on(subject: Subject, split: str, progress: Progress) -> ImageStore:
    """The data that a run was trained on, as it was prepared. Raises ConfigError where that is not known."""
    if _is_run(subject):
        run = Path(subject).expanduser()  # type: ignore[arg-type]
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
        return _of_model(Path(subject).expanduser(), device, progress)  # type: ignore[arg-type]
    if str(subject).startswith("hf:"):
        return _of_hub(str(subject), device, progress)
    try:
        side = of_store(_dataset(subject, "train", None, progress), subject)
    except ConfigError:
        if (found := _weights_at(subject, device, progress)) is None:
            raise
        return found
    return replace(side, names=names_of(subject, "train", len(side)))


def _of_model(path: Path, device: str, progress: Progress) -> GAN | Images:
    found = load(path, device)
    return found if isinstance(found, GAN) else _results(found, path, progress)


def _of_hub(name: str, device: str, progress: Progress) -> GAN | Images:
    """The model, or where there is none the data set: one name may be both, in two places of the hub.

    Raises FileNotFoundError for neither, and as both do.
    """
    try:
        return _of_model(Path(name), device, progress)
    except FileNotFoundError as no_model:
        if "@" in name:  # a revision, which only models are asked for by
            raise
        try:
            return of_store(_dataset(name, "train", None, progress), name)
        except (ConfigError, FileNotFoundError) as no_data:
            raise FileNotFoundError(
                f"{name} is no model ({no_model}), and no data set ({no_data}); type hf:ORG/NAME of one of them, "
                "or give a folder"
            ) from None


def _weights_at(subject: Subject, device: str, progress: Progress) -> GAN | Images | None:
    """What a file of another project makes, if what is no data is one; zips are of images."""
    path = Path(subject).expanduser() if isinstance(subject, (str, Path)) else Path()
    if path.suffix.lower() == ".zip" or not is_foreign(path):
        return None
    try:
        return _of_model(path, device, progress)
    except DamagedError:
        return None


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
        "first_seed": 0 if translator.draws else None, "images_seen": translator.training.get("images"),
        "counterparts": targets.paired,
    }  # fmt: skip
    return Images(samples, targets.labels if translator.classes else None, translator.classes, origin)


def count_of(opened: GAN | Images, samples: int) -> int:
    """How many of so many samples there are. Raises ConfigError for none."""
    if not isinstance(samples, int) or samples < 1:
        raise ConfigError(f"samples is {samples!r}; it takes 1 or more, usually {USUAL}")
    return samples if isinstance(opened, GAN) else min(samples, len(opened))


def must_be_file(out: str | Path | None) -> None:
    """Raise ConfigError for a receipt in the place of a folder."""
    if out is not None and Path(out).is_dir():
        raise ConfigError(f"out is '{out}', a folder; give a file, such as {Path(out) / 'evaluation.json'}")


def must_truncate(opened: Sequence[GAN | Images], truncation: float | None) -> None:
    """Raise ConfigError for truncation where all are images, which are as they are."""
    if truncation is not None and not any(isinstance(side, GAN) for side in opened):
        raise ConfigError(
            f"truncation is {truncation}, but images are judged as they are; leave it out, or judge a model"
        )


def shape_of(opened: GAN | Images) -> Shape:
    """Of one sample."""
    return opened.shape if isinstance(opened, GAN) else tuple(opened.samples.shape[1:])


def open_reals(fake: Subject, real: Any, opened: GAN | Images, split: str, progress: Progress) -> Images:
    """`real`, else what the run `fake` was trained on. Raises ConfigError."""
    kept = open_real(trained_on(fake, split, progress) if real is None else real, opened, split, progress)
    if real is None or isinstance(real, ImageStore):  # decoded already: its files tell
        kept = replace(kept, lossy=kept.lossy or lossy(place_of_data(fake)))
    translated = isinstance(opened, Images) and opened.origin["kind"] == "translation"
    named = isinstance(real, (str, Path)) or (real is None and not translated)
    return replace(kept, origin=kept.origin | {"split": split if named else ""})


def open_real(source: Any, like: GAN | Images, split: str, progress: Progress) -> Images:
    """The real side; a source of images is brought to the size of a GAN's. Raises ConfigError where they differ."""
    wanted = shape_of(like)
    store = source if isinstance(source, ImageStore) else _dataset(source, split, wanted, progress)
    if store.shape == wanted:
        side = of_store(store, source)
        return side if isinstance(like, GAN) else replace(side, names=names_of(source, split, len(side)))
    sizes = "x".join(map(str, wanted)), "x".join(map(str, store.shape))
    alike = len(wanted) == len(store.shape) == 3 and wanted[0] == store.shape[0]
    if not alike or not isinstance(like, GAN):
        raise ConfigError(
            f"the samples are {sizes[0]} and {store.name} is {sizes[1]}; compare with data of the same kind, such as "
            "that of the training, or make sizes equal with: organza data convert"
        )
    progress.note(f"{store.name} is resized from {sizes[1]} to {sizes[0]}, the size of the samples")
    return of_store(open_dataset(store, resolution=(wanted[1], wanted[2]), progress=progress), source)


def _dataset(source: Any, split: str, wanted: Shape | None, progress: Progress) -> ImageStore:
    """As `open_dataset`; files of several sizes are told how to become one, `wanted` where it is known."""
    try:
        return open_dataset(source, split=split, progress=progress)
    except MixedSizesError as problem:
        side = ",".join(map(str, wanted[1:])) if wanted else problem.side
        raise ConfigError(
            f"{problem.told}; a comparison takes one size; type: organza data convert {shlex.quote(str(source))} "
            f"--resolution {side} --crop center --out same-size.zip, and give same-size.zip"
        ) from None


def of_store(store: ImageStore, source: Any = "") -> Images:
    """A source as one side."""
    origin = {
        "kind": "data", "name": Path(store.name).name, "catalogue": store.catalogue, "samples": len(store),
        "fingerprint": store.fingerprint, "split": "", "first_seed": None,
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
        "split": "",
        "first_seed": None,
    }
    return Images(torch.empty(0, *shape_of(like), dtype=torch.uint8), None, (), origin)


def draw(opened: GAN | Images, count: int, seed: int, truncation: float | None, progress: Progress) -> Images:
    """`count` samples of a GAN from seed `seed` on, its classes in turn; of images at most so many.

    Several processes share the work, and each has all samples then. Raises ConfigError for samples that are not finite.
    """
    if isinstance(opened, Images):
        return first(opened, count)
    labels = opened.label_numbers(None, count)

    def part(number: int) -> tuple[Tensor, int]:
        """The samples of one part of the work, and how many of them are broken."""
        start, stop = number * AT_ONCE, min((number + 1) * AT_ONCE, count)
        chosen = None if labels is None else labels[start:stop]
        with broken_rows(opened.generator) as broken:
            made = opened.sample(seeds=range(seed + start, seed + stop), labels=chosen, truncation=truncation)
        progress.step("sampling", stop, count)
        return made, sum(broken)

    parts = dealt(-(-count // AT_ONCE), part)
    must_be_finite(sum(broken for _, broken in parts), count, opened.recipe)
    origin = {
        "kind": "gan", "name": opened.recipe, "samples": count, "fingerprint": opened.sha256 or "in memory",
        "first_seed": seed, "truncation": truncation, "images_seen": opened.training.get("images"),
    }  # fmt: skip
    return Images(torch.cat([made for made, _ in parts]), labels, opened.classes, origin)


def first(side: Images, count: int) -> Images:
    """At most `count` samples, spread over the whole. Raises ConfigError for none."""
    if count < 1:
        raise ConfigError(f"real_samples is {count}; it takes 1 or more, or leave it out for all")
    if len(side) <= count:
        return side
    rows = torch.linspace(0, len(side) - 1, count).long()
    labels = None if side.labels is None else side.labels[rows]
    names = tuple(side.names[row] for row in rows.tolist()) if side.names else ()
    origin = side.origin | {"samples": count}
    return replace(side, samples=side.samples[rows], labels=labels, names=names, origin=origin)


def _as_bytes(store: ImageStore) -> Tensor:
    """Images as they would be saved in 8 bits; points as they are."""
    if store.images.dim() != 4 or store.images.dtype == torch.uint8:
        return store.images
    from organza.training.batches import to_bytes, to_range

    parts = [to_bytes(to_range(part) if part.dtype != torch.float32 else part) for part in store.images.split(AT_ONCE)]
    return torch.cat(parts)
