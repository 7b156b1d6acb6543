"""Which image files a folder or a zip holds, and their labels and captions."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from organza.config import ConfigError
from organza.data.attributes import TableFile, tables_above, tables_in

_SUFFIXES = "avif bmp gif jfif jp2 jpeg jpg pbm pgm png pnm ppm tga tif tiff webp"
EXTENSIONS = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())
_SPLITS = frozenset(("train", "training", "test", "testing", "val", "valid", "validation", "extra"))
_STYLEGAN_FOLDER = re.compile(r"\d{5}")  # 00000/img00000000.png: thousands, not classes
_LARGEST_LABEL = 100_000


@dataclass(frozen=True)
class Entry:
    """One image file."""

    name: str  # its path in the source, with /
    stamp: str  # changes when its content does: size and time, or size and checksum


@dataclass(frozen=True)
class Listing:
    """The image files of one source in order, and how to read them from any thread; a context that closes it."""

    name: str
    where: str  # for messages
    entries: tuple[Entry, ...]
    open: Callable[[int], IO[bytes]]  # by position in `entries`
    about: Mapping[str, Any] | None = None  # the content of dataset.json: labels, classes, captions
    licence: str = ""
    extensions: Mapping[str, int] = field(default_factory=dict)  # of all files seen
    close: Callable[[], None] = lambda: None
    tables: tuple[TableFile, ...] = ()  # which may tell attributes of the images

    def __len__(self) -> int:
        return len(self.entries)

    def keep(self, wanted: Callable[[str], bool]) -> Listing:
        """The part whose names are wanted, which has this listing's files open."""
        kept = [i for i, entry in enumerate(self.entries) if wanted(entry.name)]
        return replace(self, entries=tuple(self.entries[i] for i in kept), open=lambda i: self.open(kept[i]))

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    @property
    def key(self) -> str:
        """Names, stamps, labels and captions as one hash."""
        facts = [[entry.name, entry.stamp] for entry in self.entries]
        return hashlib.sha256(json.dumps([facts, self.about]).encode()).hexdigest()[:32]


def list_folder(folder: Path, split: str) -> Listing:
    """All images below a folder. Raises ConfigError if there are none or the split is not there."""
    found = _walk(folder)
    about_file = folder / "dataset.json"
    about = _about(about_file.read_bytes(), str(about_file)) if about_file.is_file() else None
    names = _of_split([name for name in found if _is_image(name)], split, str(folder))

    def stamp(name: str) -> str:
        facts = found[name].stat()
        return f"{facts.st_size} {facts.st_mtime_ns}"

    entries = tuple(Entry(name, stamp(name)) for name in names)
    return _filled(
        Listing(
            folder.resolve().name,
            str(folder),
            entries,
            lambda i: found[entries[i].name].open("rb"),
            about,
            extensions=_extensions(found),
            tables=(*tables_in({n: p.read_bytes for n, p in found.items()}, str(folder)), *tables_above(folder)),
        )
    )


def list_zip(path: Path | IO[bytes], split: str, name: str = "") -> Listing:
    """All images in a zip. Raises ConfigError if it is damaged or encrypted, has no images or not the split."""
    where = name or str(path)
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as problem:
        raise ConfigError(f"{where} is not a zip, or is damaged ({problem}); make or fetch it again") from None
    members = {info.filename: info for info in archive.infolist() if not info.is_dir()}
    if any(info.flag_bits & 1 for info in members.values()):
        raise ConfigError(f"{where} is encrypted; unpack it and give the folder")
    about = _about(archive.read("dataset.json"), f"{where}/dataset.json") if "dataset.json" in members else None
    beside = tables_above(path) if isinstance(path, Path) else ()
    names = _of_split([member for member in sorted(members) if _is_image(member)], split, where)
    entries = tuple(Entry(member, f"{members[member].file_size} {members[member].CRC:08x}") for member in names)
    return _filled(
        Listing(
            name or Path(where).stem,
            where,
            entries,
            lambda i: archive.open(entries[i].name),
            about,
            extensions=_extensions(members),
            close=archive.close,
            tables=(*tables_in({name: partial(archive.read, name) for name in members}, where), *beside),
        )
    )


def labels_of(listing: Listing) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """int64 labels [N] and class names, from dataset.json or from class folders; (None, ()) without either.

    Where dataset.json has a list of zeros and ones for each image, labels are attributes [N, A] of these names.
    """
    if listing.about is not None:
        return _given_labels(listing, listing.about)
    names = [entry.name.split("/") for entry in listing.entries]
    while len({parts[0] for parts in names}) == 1 and all(len(parts) > 2 for parts in names):
        names = [parts[1:] for parts in names]  # one folder around all the others says nothing
    tops = [parts[0] for parts in names]
    classes = sorted(set(tops))
    unlabelled = len(classes) < 2 or any(len(parts) < 2 for parts in names)
    if unlabelled or all(_STYLEGAN_FOLDER.fullmatch(top) for top in classes):
        return None, ()
    number = {name: i for i, name in enumerate(classes)}
    return np.array([number[top] for top in tops], np.int64), tuple(classes)


def captions_of(listing: Listing) -> tuple[str, ...]:
    """One caption for each image, from dataset.json, or none. Raises ConfigError if some are missing."""
    given = _by_name((listing.about or {}).get("captions"), listing, "captions")
    return tuple(str(given[entry.name]) for entry in listing.entries) if given else ()


def _given_labels(listing: Listing, about: Mapping[str, Any]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    given = _by_name(about.get("labels"), listing, "labels")
    if not given:
        return None, ()
    values = [given[entry.name] for entry in listing.entries]
    if isinstance(values[0], list):
        return _given_attributes(listing, values, tuple(map(str, about.get("classes") or ())))
    whole = all(isinstance(value, int) and 0 <= value < _LARGEST_LABEL for value in values)
    if not whole:
        raise ConfigError(
            f"the labels in {listing.where}/dataset.json must be whole numbers from 0, one for each image; "
            f'the first is {values[0]!r}; write the class number, or "labels": null for none'
        )
    count = max(values) + 1
    classes = tuple(map(str, about.get("classes") or range(count)))
    if len(classes) < count:
        raise ConfigError(
            f"{listing.where}/dataset.json has {len(classes)} classes, but the label {count - 1}; name {count} classes"
        )
    return np.array(values, np.int64), classes


def _given_attributes(
    listing: Listing, values: list[Any], names: tuple[str, ...]
) -> tuple[np.ndarray, tuple[str, ...]]:
    fits = (isinstance(row, list) and len(row) == len(names) and {0, 1}.issuperset(row) for row in values)
    bad = next((row for row, fit in zip(values, fits, strict=True) if not fit or not names), None)
    if bad is not None:
        raise ConfigError(
            f"the labels in {listing.where}/dataset.json are lists, so each takes 0 or 1 for each of {len(names)} "
            f"classes, which are attributes; one is {bad!r}"
        )
    return np.array(values, np.int64), names


def _by_name(given: Any, listing: Listing, what: str) -> Mapping[str, Any]:
    if not given:
        return {}
    try:
        pairs = dict(given)  # StyleGAN writes [[name, label], …]; an object is understood too
    except (TypeError, ValueError):
        raise ConfigError(f'{listing.where}/dataset.json: "{what}" must be [["file", value], …]') from None
    missing = [entry.name for entry in listing.entries if entry.name not in pairs]
    if missing:
        raise ConfigError(
            f"{listing.where}/dataset.json has no {what} for {len(missing)} of {len(listing)} images, "
            f'such as {missing[0]}; add them, or write "{what}": null'
        )
    return pairs


def _about(data: bytes, where: str) -> Mapping[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as problem:
        raise ConfigError(f"{where} is not JSON: {problem}; mend or remove it") from None
    if not isinstance(content, dict):
        raise ConfigError(f'{where} holds a {type(content).__name__}; it takes {{"labels": [["file", 0], …]}}')
    return content


def _walk(folder: Path) -> dict[str, Path]:
    """Every file below, by its path with /, sorted; hidden ones left out, linked folders followed once."""
    found, seen = {}, set()
    for top, inner, files in os.walk(folder, followlinks=True):
        facts = Path(top).stat()
        if (facts.st_dev, facts.st_ino) in seen:
            inner.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        inner[:] = [name for name in inner if not name.startswith((".", "__MACOSX"))]
        found |= {(Path(top) / name).relative_to(folder).as_posix(): Path(top) / name for name in files}
    return dict(sorted(found.items()))


def _of_split(names: list[str], split: str, where: str) -> list[str]:
    """The images of a split, where the top folders are named train, test and so on; else all of them."""
    tops = {name.split("/")[0] for name in names if "/" in name}
    divided = bool(tops) and tops <= _SPLITS and all("/" in name for name in names)
    wanted = {top for top in tops if top == split or top.startswith(split[:3])}  # val finds validation
    if divided and wanted:
        return [name for name in names if name.split("/")[0] in wanted]
    if divided or split != "train":
        has = ", ".join(sorted(tops)) if divided else "no folders named train and test, so all of it is 'train'"
        raise ConfigError(f"{where} has no split '{split}'; it has {has}")
    return names


def _filled(listing: Listing) -> Listing:
    if listing.entries:
        return listing
    seen = ", ".join(f"{kind} ({count})" for kind, count in Counter(listing.extensions).most_common(8))
    raise ConfigError(
        f"{listing.where} has no images; {f'it has {seen}' if seen else 'it is empty'}; "
        f"images end in {', '.join(sorted(EXTENSIONS))}"
    )


def _is_image(name: str) -> bool:
    parts = name.split("/")
    hidden = any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in parts)
    return not hidden and Path(name).suffix.lower() in EXTENSIONS


def _extensions(names: Mapping[str, Any]) -> Mapping[str, int]:
    return Counter(Path(name).suffix.lower() or "no extension" for name in names)
