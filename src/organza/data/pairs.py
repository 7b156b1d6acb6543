"""Data of translations: images to translate and images to translate them into, paired or not, as one `ImageStore`.

Understood are, in a folder or a zip:

- `trainA` and `trainB` (with `testA`, `testB`), as CycleGAN's sets; `train_A`, `train_B`; `train_label`, `train_img`;
- `A` and `B`, each with images or with `train` and `test`;
- images of both side by side, A left, B right, in `train`, `test` or loose, as pix2pix's sets;
- small copies and their large originals, in any of these ways but side by side: sides by a whole number larger;
- any set of images with `data.degrade`, which makes the sources of the images themselves (or `train` and `test`);
  with `data.window` and without a resolution, of any sizes (`organza.data.tiles`);

and, with `data.layout_classes`, label maps (`organza.data.layouts`) as one of two folders;

and the named set `emoji-pairs`: Noto's drawing of each emoji and Twemoji's. Paired files have the same name but for
the ending.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError, Data
from organza.data.cache import Decoded
from organza.data.catalogue import find, open_data, prepared
from organza.data.files import Scan, open_files, scan
from organza.data.layouts import Palette, open_layouts
from organza.data.listing import Listing
from organza.data.prepare import Preparation, preparation
from organza.data.progress import SILENT, Progress
from organza.data.rows import rows_of, taken
from organza.data.store import ImageStore, fingerprint
from organza.data.tiles import holding, open_tiles

HALVES = (("{}A", "{}B"), ("{}_A", "{}_B"), ("{}_label", "{}_img"), ("A/{}", "B/{}"), ("A", "B"))
TENTH = 10  # every tenth pair or image of a set of 100 or more without a test split is kept from training
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Side:
    """The images of one side, and the name of each without its ending."""

    images: Tensor
    names: tuple[str, ...]
    palette: Palette = ()  # of label maps

    def rows(self, names: Sequence[str]) -> Tensor:
        """Those with these names, in their order."""
        at = {name: i for i, name in enumerate(self.names)}
        return self.images[torch.tensor([at[name] for name in names])]


def open_pairs(data: Data, paired: bool, progress: Progress = SILENT) -> ImageStore:
    """Targets as `images`, what is translated into them as `sources`; `test` holds pairs kept from training.

    `paired` asks for counterparts. Raises ConfigError for data without the layout, without counterparts, or with sides
    that differ, and FileNotFoundError.
    """
    if data.degrade != "none":
        return _targets(data, progress)
    options = preparation(data.resolution, data.crop, data.channels)
    opened = find(data.source, "train", progress)
    if isinstance(opened, ImageStore):
        if opened.sources is None or data.layout_classes:
            raise ConfigError(f"'{data.source}' has one kind of image; {_ways(data.layout_classes > 0)}")
        named = replace(opened, catalogue=data.source)
        return _halved(_turned(prepared(named, options, progress), data))
    with ExitStack() as stack:
        stack.enter_context(opened)
        train = _split(opened, "train", data, options, paired, progress)
        test = _split(opened, "test", data, options, paired, progress)
    if train is None:
        for there, missing in ("AB", "BA"):
            if _stems(opened, there):
                raise _one_sided(opened, there, missing)
        raise ConfigError(f"{opened.where} has neither two folders nor images side by side; "
                          f"{_ways(data.layout_classes > 0)}")  # fmt: skip
    return replace(train, test=test) if test is not None else _halved(train)


def _targets(data: Data, progress: Progress) -> ImageStore:
    """Images of which the sources are made."""
    if data.window is not None and data.resolution is None:
        opened = find(data.source, "train", progress)
        if isinstance(opened, Listing):
            return _in_tiles(opened, data, data.window, progress)
    train = open_data(data, labelled=False, progress=progress)
    return _with_test(train, data, progress) if _has_test(data, progress) else _halved(train)


def open_domains(data: Data, progress: Progress = SILENT) -> ImageStore:
    """Images and their classes; `test` holds those that a folder keeps apart, or `data.heldout`. Raises ConfigError."""
    train = open_data(data, progress=progress)
    if train.test is not None or not _has_test(data, progress):
        return train
    return _with_test(train, data, progress)


def _with_test(train: ImageStore, data: Data, progress: Progress) -> ImageStore:
    """The store, and the images beside it that training does not see. Raises ConfigError for others than its own."""
    test = open_data(data, split="test", labelled=train.labels is not None, progress=progress)
    if test.classes != train.classes:
        raise ConfigError(
            f"{train.name} has the classes {', '.join(train.classes)} in train and {', '.join(test.classes) or 'none'} "
            "in test; give both the same folders"
        )
    if test.shape != train.shape:
        raise ConfigError(
            f"{train.name} has images of {_size(train.images)} in train and of {_size(test.images)} in test; add "
            f"--data.resolution {min(*train.shape[1:], *test.shape[1:])}"
        )
    return replace(train, test=test)


def _in_tiles(opened: Listing, data: Data, window: tuple[int, int], progress: Progress) -> ImageStore:
    """Tiles of pictures; pictures are kept from training and not tiles, which may show the same pixels."""
    preparation(None, data.crop, data.channels)
    with ExitStack() as stack:
        whole = train = holding(stack.enter_context(opened), window, progress)
        test = None
        if _has_test(data, progress):
            found = find(data.source, "test", progress)
            assert isinstance(found, Listing)
            test = holding(stack.enter_context(found), window, progress)
        elif len(whole) >= TENTH**2:
            kept = {whole.entries[i].name for i in tenth(len(whole)).nonzero().flatten().tolist()}
            train, test = whole.keep(lambda name: name not in kept), whole.keep(kept.__contains__)
        stores = [
            open_tiles(part, window, data.channels, progress).store(opened.name, opened.licence)
            for part in (train, test) if part is not None
        ]  # fmt: skip
    if stores[-1].shape[0] != stores[0].shape[0]:
        raise ConfigError(f"{opened.name} has other colours in train than in test; add --data.channels rgb")
    return replace(stores[0], test=stores[1] if test is not None else None)


def _has_test(data: Data, progress: Progress) -> bool:
    """Whether a folder or a file on this machine keeps images from training itself."""
    if not Path(data.source).expanduser().exists():
        return False
    try:
        find(data.source, "test", progress)
    except ConfigError:
        return False
    return True


def _ways(layouts: bool = False) -> str:
    if layouts:
        return "label maps are in a folder of their own: trainA with them and trainB with the pictures (or A and B)"
    return (
        "a translation takes a folder with trainA and trainB (or A and B, or images of both side by side), "
        "emoji-pairs; or add --data.degrade outline to make sources of the images themselves"
    )


def _turned(store: ImageStore, data: Data) -> ImageStore:
    """The store with the direction that is asked for."""
    if data.direction == "AtoB":
        return store
    assert store.sources is not None
    return replace(store, images=store.sources, sources=store.images, fingerprint=store.fingerprint[::-1])


def about_pairs(listing: Listing, found: Scan) -> str:
    """What of a source pairs, in words; "" for one without two kinds of image."""
    if (tops := two_folders(listing)) is not None:
        a, b = (_stems(listing, top) for top in tops)
        alone = [f"{len(some)} in {top} alone ({', '.join(sorted(some)[:SHOWN])})"
                 for some, top in ((a - b, tops[0]), (b - a, tops[1])) if some]  # fmt: skip
        return ", ".join([f"{len(a & b):,} of {tops[0]} and {tops[1]} by name", *alone])
    tops = {entry.name.split("/")[0] for entry in listing.entries if "/" in entry.name}
    if found.sizes and tops <= {"train"} and all(width == 2 * height for width, height in found.sizes):
        return f"{len(found.readable):,} images may be pairs side by side, A left and B right: twice as wide as tall"
    return ""


def must_pair(listing: Listing, data: Data, progress: Progress = SILENT) -> None:
    """Raise the ConfigError with which a translation would refuse two folders, or label maps."""
    tops = two_folders(listing)
    open_pairs(data, tops is None or bool(_stems(listing, tops[0]) & _stems(listing, tops[1])), progress)


def two_folders(listing: Listing) -> tuple[str, str] | None:
    """The folders of both kinds of image, one of which may be empty, None for another layout."""
    for halves in HALVES:
        one, two = (half.format("train") for half in halves)
        there = [bool(_stems(listing, top)) for top in (one, two)]
        if all(there) or (any(there) and halves != HALVES[-1]):
            return one, two
    return None


def _stems(listing: Listing, top: str) -> set[str]:
    names = (entry.name for entry in listing.entries if entry.name.startswith(f"{top}/"))
    return {_stem(name.removeprefix(f"{top}/")) for name in names}


def _split(
    listing: Listing, split: str, data: Data, options: Preparation, paired: bool, progress: Progress
) -> ImageStore | None:
    """The pairs of one split, None where there are none."""
    for halves in HALVES:
        tops = [half.format(split) for half in halves]
        a, b = (listing.keep(lambda name, top=top: name.startswith(f"{top}/")) for top in tops)
        if "{}" not in halves[0] and split != "train":
            continue
        if a.entries and b.entries:
            one, two = (
                _maps(part, top, data, options, progress) if data.layout_classes and way == data.direction
                else _side(part, top, options, progress)
                for part, top, way in zip((a, b), tops, ("AtoB", "BtoA"), strict=True)
            )  # fmt: skip
            return replace(_matched(listing, one, two, data, paired, progress), palette=one.palette or two.palette)
        if (a.entries or b.entries) and halves != HALVES[-1]:
            there, missing = tops if a.entries else tops[::-1]
            raise _one_sided(listing, there, missing)
    if data.layout_classes:
        return None
    return _side_by_side(listing, split, data, options, progress)


def _one_sided(listing: Listing, there: str, missing: str) -> ConfigError:
    away = f", or take {there} away, and every {TENTH}th image of 100 or more is kept" if "test" in there else ""
    return ConfigError(
        f"{listing.where} has {there} but no images in {missing}; put images of the other kind into {missing}{away}"
    )


def _side(listing: Listing, top: str, options: Preparation, progress: Progress) -> Side:
    decoded = open_files(replace(listing, about=None), options, progress)
    return Side(torch.from_numpy(decoded.images), tuple(_stem(name.removeprefix(f"{top}/")) for name in decoded.names))


def _maps(listing: Listing, top: str, data: Data, options: Preparation, progress: Progress) -> Side:
    found = open_layouts(listing, data.layout_classes, options, progress)
    return Side(found.maps, tuple(_stem(name.removeprefix(f"{top}/")) for name in found.names), found.palette)


def _matched(
    listing: Listing, one: Side, two: Side, data: Data, paired: bool, progress: Progress
) -> ImageStore:  # fmt: skip
    """Both sides, with counterparts in line where every name is on both; `paired` drops those without."""
    both = sorted(set(one.names) & set(two.names))
    alone = sorted(set(one.names) ^ set(two.names))
    twice = sorted(name for side in (one, two) for name, often in Counter(side.names).items() if often > 1)
    if paired and not both:
        raise ConfigError(
            f"{listing.where}: no image of A has a counterpart of the same name in B (A has {one.names[0]}, B "
            f"{two.names[0]}); rename them, or take a recipe that needs no pairs, such as cyclegan"
        )
    for names, what in ((alone, "no counterpart"), (twice, "another of their name, but for the ending,")):
        if paired and names:
            named = ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
            progress.note(f"{len(names)} images of {listing.where} have {what} and are left out ({named})")
    if both and not (paired or alone or twice):
        progress.note(f"A and B of {listing.where} have the same names and count as counterparts, to which scores "
                      "compare results; rename one side if they are none")  # fmt: skip
    if both and (paired or not (alone or twice)):
        return _store(listing.name, one.rows(both), two.rows(both), data, True, listing.licence, scaled=paired)
    for side, what in ((one, "A"), (two, "B")):
        if len(side.names) == 1:
            progress.note(f"{what} of {listing.where} is a single image, which tells little of its kind; give more")
    return _store(listing.name, one.images, two.images, data, False, listing.licence)


def _side_by_side(
    listing: Listing, split: str, data: Data, options: Preparation, progress: Progress
) -> ImageStore | None:
    tops = {entry.name.split("/")[0] for entry in listing.entries if "/" in entry.name}
    inside = listing.keep(lambda name: name.startswith(f"{split}/"))
    part = inside if inside.entries else listing.keep(lambda name: split == "train" and "/" not in name)
    if not part.entries or (not inside.entries and tops & {"train", "test"}):
        return None
    found = scan(part, progress)
    told = options.resolution is not None and options.resolution[0] != options.resolution[1]
    if not found.sizes or not (told or all(width == 2 * height for width, height in found.sizes)):
        return None
    height, width = options.resolution or min((h, w // 2) for w, h in found.sizes)
    wide = Preparation((height, 2 * width), "none", options.channels)
    decoded: Decoded = open_files(replace(part, about=None), wide, progress, found)
    left, right = np.split(decoded.images, 2, axis=3)
    return _store(listing.name, torch.from_numpy(left), torch.from_numpy(right), data, True, listing.licence)


def _store(
    name: str, a: Tensor, b: Tensor, data: Data, paired: bool, licence: str = "", scaled: bool = False
) -> ImageStore:
    sources, images = (a, b) if data.direction == "AtoB" else (b, a)
    scale = images.shape[2] // sources.shape[2] if scaled else 1
    if images.shape[2:] != (scale * sources.shape[2], scale * sources.shape[3]):
        side = min(*a.shape[2:], *b.shape[2:])
        whole = " (B may be a whole number of times as large as A)" if scaled and data.direction == "AtoB" else ""
        raise ConfigError(
            f"'{name}' has images of {_size(a)} in A and {_size(b)} in B{whole}; add --data.resolution {side}"
        )
    mark = fingerprint(images, None)[:8] + fingerprint(sources, None)[:8]
    return ImageStore(name, images, licence=licence, fingerprint=mark, sources=sources, paired=paired)


def _halved(store: ImageStore) -> ImageStore:
    """Nine tenths of each side to train with, the rest to look at; small sets are looked at where they are learned."""
    sources = store.images if store.sources is None else store.sources
    if min(len(store), len(sources)) < TENTH**2:
        return store
    train = _rows(store, kept=False)
    if store.sources is not None and not store.paired:  # runs of an older version, on all of them, do not go on
        train = replace(train, fingerprint=hashlib.sha256(f"{store.fingerprint} tenth".encode()).hexdigest()[:16])
    return replace(train, test=_rows(store, kept=True))


def _rows(store: ImageStore, kept: bool) -> ImageStore:
    """Those that are kept from training, or the others."""
    part = rows_of(store, tenth(len(store)) == kept)
    if store.sources is None:
        return part
    rows = tenth(len(store.sources)) == kept
    return replace(part, sources=taken(store.sources, rows, f"{store.fingerprint} sources"))


def tenth(count: int) -> Tensor:
    """Which of so many are kept from training, bool [count]."""
    return torch.arange(count) % TENTH == TENTH - 1


def _size(images: Tensor) -> str:
    return f"{images.shape[2]}x{images.shape[3]}"


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0]
