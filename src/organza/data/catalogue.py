"""What a source is: a name, a folder, a zip, an array file, a hub id or an array; and how each is opened."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError, Data, closest
from organza.data.arrays import SUFFIXES, from_arrays, is_array_file, open_array, open_idx_folder
from organza.data.attributes import joined
from organza.data.embedded import list_emoji, open_mnist
from organza.data.files import open_files
from organza.data.listing import Listing, list_folder, list_zip
from organza.data.prepare import Preparation, preparation, prepare
from organza.data.progress import SILENT, Progress
from organza.data.public import CELEBA_NUMBERS, list_celeba, open_cifar, open_fashion_mnist, open_svhn
from organza.data.rows import held_back
from organza.data.store import ImageStore, chosen, fingerprint
from organza.data.synthetic import open_grid, open_ring, open_spiral, open_stacked_mnist

Source = str | Path | Tensor | np.ndarray | ImageStore
Opened = ImageStore | Listing
"""Samples, or the files that hold them."""


@dataclass(frozen=True)
class Dataset:
    """A named set: a line about it, its splits, how one is opened, whether the package has it and it is of points."""

    about: str
    splits: tuple[str, ...]
    open: Callable[[str, Progress], Opened]
    embedded: bool = True
    points: bool = False


def _emoji_pairs(progress: Progress) -> ImageStore:
    """Twemoji's drawings, with Noto's as what is translated into them."""
    a, b = (
        open_files(listing, Preparation(), progress).store(listing.name, listing.licence)
        for listing in (list_emoji("noto"), list_emoji("twemoji"))
    )
    licence, mark = f"A: {a.licence}; B: {b.licence}", b.fingerprint[:8] + a.fingerprint[:8]
    return replace(b, name="emoji-pairs", licence=licence, fingerprint=mark, sources=a.images, paired=True)


DATASETS: dict[str, Dataset] = {
    "mnist": Dataset("handwritten digits, 28x28 grey, 10 classes", ("train", "test"), lambda s, _: open_mnist(s)),
    "emoji": Dataset("3 786 Noto emoji, 64x64 RGB, captions", ("train",), lambda s, _: list_emoji("noto")),
    "emoji-twemoji": Dataset("the same emoji by Twemoji", ("train",), lambda s, _: list_emoji("twemoji")),
    "emoji-pairs": Dataset("both drawings of each emoji, for translations", ("train",), lambda _, p: _emoji_pairs(p)),
    "ring": Dataset("8 Gaussians on a circle, 2-D points", ("train", "test"), lambda s, _: open_ring(s), points=True),
    "grid": Dataset("25 Gaussians on a lattice, 2-D points", ("train", "test"), lambda s, _: open_grid(s), points=True),
    "spiral": Dataset("a spiral, 2-D points", ("train", "test"), lambda s, _: open_spiral(s), points=True),
    "stacked-mnist": Dataset("three digits as RGB, 1000 modes", ("train", "test"), lambda s, _: open_stacked_mnist(s)),
    "fashion-mnist": Dataset("clothes, 28x28 grey, 10 classes; fetched", ("train", "test"), open_fashion_mnist, False),
    "cifar10": Dataset(
        "photos, 32x32 RGB, 10 classes; fetched", ("train", "test"), partial(open_cifar, "cifar10"), False
    ),
    "cifar100": Dataset("the same, 100 classes; fetched", ("train", "test"), partial(open_cifar, "cifar100"), False),
    "svhn": Dataset("house numbers, 32x32 RGB, 10 classes; fetched", ("train", "test", "extra"), open_svhn, False),
    "celeba": Dataset(
        "faces, 178x218 RGB; you place its zip", tuple(CELEBA_NUMBERS), lambda s, _: list_celeba(s), False
    ),
}


def open_dataset(
    source: Source,
    *,
    split: str = "train",
    resolution: int | tuple[int, int] | None = None,
    crop: str = "none",
    channels: str = "keep",
    attributes: Sequence[str] | None = (),
    progress: Progress = SILENT,
) -> ImageStore:
    """The samples of any source as one store: uint8 [N, C, H, W] (uint16, float32 where it is), or points [N, D].

    `source` is a name of `DATASETS`, a folder or zip of images, a .npy, .npz, .pt, .safetensors, IDX or CSV file,
    `hf:org/name`, a tensor, an array or a store. `resolution` is one side or (height, width), met by stretching or
    by `crop="center"`; `channels` is keep, grey, rgb or rgba. `attributes` are those to take of a table that
    lies with the images (`organza.data.attributes`); without names all are, unless the images have classes, and with
    None the table is left alone.

    Raises FileNotFoundError for a path that is not there and ConfigError for all other mistakes of the user.
    """
    options = preparation(resolution, crop, channels)
    opened = find(source, split, progress)
    if isinstance(opened, ImageStore):
        store = prepared(opened, options, progress)
    else:
        with opened:
            listing = opened if attributes is None else joined(opened, progress, asked=bool(attributes))
            store = open_files(listing, options, progress).store(opened.name, opened.licence)
    store = chosen(store, attributes or ())
    if isinstance(source, str) and source in DATASETS:
        store = replace(store, catalogue=source)
    if store.images.ndim == 4 and store.images.dtype == torch.float32 and store.images.min() >= 0:
        progress.note(f"{store.name} has float images without negative values; if black is 0, give them as x * 2 - 1")
    return store


def open_data(
    data: Data, *, split: str = "train", labelled: bool = True, progress: Progress = SILENT
) -> ImageStore:  # fmt: skip
    """`open_dataset` with the fields of a configuration; a table of attributes is read where labels are wanted.

    Of a configuration that holds samples back from training, `split` test are these. Raises as `open_dataset`.
    """
    store = open_dataset(
        data.source,
        split="train" if data.heldout else split,
        resolution=data.resolution,
        crop=data.crop,
        channels=data.channels,
        attributes=data.attributes if labelled or data.attributes else None,
        progress=progress,
    )
    if not data.heldout:
        return store
    store = held_back(store, data.heldout)
    return store.test if split == "test" and store.test is not None else store


def find(source: Source, split: str, progress: Progress) -> Opened:
    """The unprepared samples, or the list of image files that hold them. Raises as `open_dataset`."""
    if isinstance(source, ImageStore):
        return source
    if isinstance(source, (Tensor, np.ndarray)):
        return from_arrays(source, None, "array", "the array")
    if isinstance(source, str) and source in DATASETS:
        return _named(source, split, progress)
    if isinstance(source, str) and source.startswith("hf:"):
        from organza.data.hf import list_hub

        return list_hub(source.removeprefix("hf:"), split)
    if not isinstance(source, (str, Path)):
        raise ConfigError(f"data is a {type(source).__name__}; it takes a name, a path, a tensor or an array")
    return _at(source, split)


def prepared(store: ImageStore, options: Preparation, progress: Progress) -> ImageStore:
    """A copy with `options` applied and a new fingerprint; the store itself where they change nothing."""
    images = prepare(store.images, options, store.name, progress)
    if images is store.images:
        return store
    mark = fingerprint(images, store.labels)
    if store.sources is None:
        return replace(store, images=images, fingerprint=mark)
    sources = prepare(store.sources, options, store.name, progress)
    return replace(store, images=images, sources=sources, fingerprint=mark[:8] + fingerprint(sources, None)[:8])


def _named(name: str, split: str, progress: Progress) -> Opened:
    dataset = DATASETS[name]
    if split not in dataset.splits:
        raise ConfigError(f"{name} has no split '{split}'; it has {', '.join(dataset.splits)}")
    return dataset.open(split, progress)


def holds_run(path: Path) -> bool:
    """Whether a folder is that of a training, perhaps without a model yet; a folder of a model alone is none."""
    return (path / "checkpoints").is_dir() and (path / "config.json").is_file()


def _at(source: str | Path, split: str) -> Opened:
    path = Path(source).expanduser()
    if path.is_dir():
        if holds_run(path):
            raise ConfigError(
                f"{source} is a run, and its pictures are no data; give images, such as those that it "
                f"learned from, or make some: organza sample {shlex.quote(str(source))} -n 1000 --out made"
            )
        return open_idx_folder(path, split, path.resolve().name) or list_folder(path, split)
    if not path.exists():
        raise _absent(source)
    if path.suffix.lower() == ".zip":
        return list_zip(path, split)
    if not is_array_file(path):
        raise ConfigError(
            f"{source} is a file of no known kind; data takes a folder or .zip of images, {', '.join(SUFFIXES)} or IDX"
        )
    if split != "train" and path.suffix.lower() != ".npz":
        raise ConfigError(f"{source} has no split '{split}': it is one file; leave out split, or give the other file")
    return open_array(path, split)


def _absent(source: str | Path) -> Exception:
    names = ", ".join(DATASETS)
    text = str(source)
    if isinstance(source, Path) or "/" in text or "\\" in text or Path(text).suffix:
        return FileNotFoundError(f"no file or folder '{text}' (looked in {Path.cwd()}); check the path")
    hint = closest(text, DATASETS).split("; allowed")[0]
    return ConfigError(
        f"data '{text}' is neither a name nor an existing path{hint or ';'} names: {names}; "
        "else give a folder, a zip, an array file or hf:org/name"
    )
