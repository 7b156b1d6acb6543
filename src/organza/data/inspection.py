"""Look at data before training: what is in it, what is wrong with it, and what it looks like."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError, Data, closest
from organza.data.attributes import Match, matched
from organza.data.cache import Decoded
from organza.data.catalogue import Source, find, open_dataset, prepared
from organza.data.files import Scan, open_files, scan
from organza.data.listing import Listing, labels_of
from organza.data.pairs import about_pairs, must_pair, two_folders
from organza.data.pixels import decode, strict_pillow
from organza.data.prepare import in_pieces, preparation
from organza.data.progress import SILENT, Progress
from organza.data.store import ImageStore, counts
from organza.data.tiles import holding, open_tiles

FLIP = "flip"  # what `Data.flip` does; the other words are those of organza.augment
_COLOURS = {1: "grey", 3: "rgb", 4: "rgba"}
_ROWS = 4096  # samples whose float copy is in memory at once


@dataclass(frozen=True)
class DataReport:
    """What `check` finds. All fields are plain values: `to_dict` is JSON."""

    name: str
    count: int  # samples that training would see, or readable files where it would refuse
    shape: tuple[int, ...] = ()  # of one sample: (C, H, W) or (D,)
    dtype: str = ""
    sizes: dict[str, int] = field(default_factory=dict)  # "width x height" of the source's images
    modes: dict[str, int] = field(default_factory=dict)  # Pillow's names: L, RGB, RGBA, P, CMYK, I;16, …
    turned: int = 0  # files that EXIF rotates; they are opened upright
    corrupt: dict[str, str] = field(default_factory=dict)  # file and reason; training leaves them out
    small: tuple[str, ...] = ()  # files that do not hold the window; training leaves them out
    duplicates: tuple[tuple[str, ...], ...] = ()  # groups with equal pixels
    classes: dict[str, int] = field(default_factory=dict)  # samples of each
    attributes: dict[str, int] = field(default_factory=dict)  # samples that have each
    table: str = ""  # that tells them
    without_row: tuple[str, ...] = ()  # images that it does not tell of; training leaves them out
    without_image: tuple[str, ...] = ()  # files of its rows that are not there
    captions: int = 0
    mean: tuple[float, ...] = ()  # per channel, integers as 0..1; floats and points as they are
    std: tuple[float, ...] = ()
    pairs: str = ""  # what of two kinds of image pairs, for translations
    fingerprint: str = ""
    licence: str = ""
    problem: str = ""  # why training would refuse the data, and what to type

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check(
    source: Source,
    *,
    split: str = "train",
    resolution: int | tuple[int, int] | None = None,
    crop: str = "none",
    channels: str = "keep",
    window: tuple[int, int] | None = None,
    layout_classes: int = 0,
    progress: Progress = SILENT,
) -> DataReport:
    """Everything worth knowing of a source, as `open_dataset` would open it, and two kinds of image as translations do.

    `window` (height, width) and `layout_classes` are the fields of `Data`: files are cut into tiles, and those of a
    folder are label maps. Mixed sizes and the like are a `problem` of the report, not an exception. Raises as
    `open_dataset` for a source that is not there or holds no images.
    """
    options = preparation(resolution, crop, channels)
    opened = find(source, split, progress)
    if isinstance(opened, ImageStore):
        return _of_store(prepared(opened, options, progress), opened, progress)
    data = replace(Data(source=str(source)), resolution=options.resolution, crop=crop, channels=channels)
    with opened:
        return _of_files(opened, replace(data, window=window, layout_classes=layout_classes), progress)


def preview(
    source: Source,
    out: str | Path,
    n: int = 64,
    *,
    augment: Sequence[str] = (),
    probability: float = 1.0,
    split: str = "train",
    resolution: int | tuple[int, int] | None = None,
    crop: str = "none",
    channels: str = "keep",
    progress: Progress = SILENT,
) -> Path:
    """Write a PNG of `n` samples drawn with a fixed seed, as training sees them.

    `augment` takes `flip`, which mirrors half, and the words of `organza.augment`, which strike with `probability`.
    Raises ConfigError for unknown words, for n below 1, for a probability that is not in [0, 1] or that nothing reads,
    and as `open_dataset`.
    """
    from organza.report.grid import picture, save_png

    policy = _policy(augment, probability)
    if n < 1:
        raise ConfigError(f"n is {n}; it takes 1 or more")
    store = open_dataset(source, split=split, resolution=resolution, crop=crop, channels=channels, progress=progress)
    random = np.random.RandomState(0)
    samples = store.images[torch.from_numpy(random.permutation(len(store))[:n])]
    if augment and samples.ndim != 4:
        raise ConfigError(f"{store.name} holds points, which cannot be mirrored or moved; leave out augment")
    if FLIP in augment:
        samples = _flipped(samples, random)
    if policy:
        samples = _augmented(samples, policy, probability)
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(picture(samples), path)
    return path


def _of_store(store: ImageStore, origin: ImageStore, progress: Progress) -> DataReport:
    if origin.images.ndim == 2:
        return DataReport(**_samples(store, _numbered(store), progress))
    channels, height, width = origin.images.shape[1:]
    pairs = "" if store.sources is None else f"{len(store):,} of both kinds"
    mode = f"{_COLOURS.get(channels, f'{channels} channels')} {_dtype(origin.images)}"
    return DataReport(
        sizes={f"{width}x{height}": len(origin)},
        modes={mode: len(origin)},
        pairs=pairs,
        **_samples(store, _numbered(store), progress),
    )


def _of_files(listing: Listing, data: Data, progress: Progress) -> DataReport:
    found = scan(listing, progress)
    facts: dict[str, Any] = {
        "pairs": about_pairs(listing, found),
        "sizes": {f"{width}x{height}": count for (width, height), count in found.sizes.most_common()},
        "modes": dict(Counter(header.mode for header in found.readable).most_common()),
        "turned": sum(header.turned for header in found.readable),
    }
    try:
        told = matched(listing)
        facts |= _of_table(told)
        if told is not None:
            listing, found = told.listing, scan(told.listing, progress) if told.without_row else found
        decoded, small = _decoded(listing, found, data, progress)
    except ConfigError as problem:
        why = _refusal(listing, data, progress) if data.layout_classes or two_folders(listing) else str(problem)
        return DataReport(**facts, **_refused(listing, found, progress), problem=why)
    store = decoded.store(listing.name, listing.licence)
    broken = {listing.entries[i].name: why for i, why in found.reasons.items()}
    facts |= {"corrupt": broken | dict(decoded.skipped), "small": small}
    return DataReport(**facts | _samples(store, decoded.names, progress), problem=_refusal(listing, data, progress))


def _decoded(listing: Listing, found: Scan, data: Data, progress: Progress) -> tuple[Decoded, tuple[str, ...]]:
    """All images, or their tiles, and the files that are too small for tiles."""
    if data.window is None or data.resolution is not None or two_folders(listing):
        return open_files(listing, preparation(data.resolution, data.crop, data.channels), progress, found), ()
    large = holding(listing, data.window, progress)
    left = {entry.name for i, entry in enumerate(listing.entries) if i not in found.reasons}
    small = left - {entry.name for entry in large.entries}
    return open_tiles(large, data.window, data.channels, progress), tuple(sorted(small))


def _refusal(listing: Listing, data: Data, progress: Progress) -> str:
    """Why a translation would refuse two folders or label maps, "" where it would not, and for other layouts."""
    if not data.layout_classes and two_folders(listing) is None:
        return ""
    try:
        must_pair(listing, data, progress)
    except ConfigError as problem:
        return str(problem)
    return ""


def _of_table(told: Match | None) -> dict[str, Any]:
    if told is None:
        return {}
    return {"table": told.table.where, "without_row": told.without_row, "without_image": told.without_image}


def _samples(store: ImageStore, names: Sequence[str], progress: Progress) -> dict[str, Any]:
    mean, std = _moments(store.images)
    return {
        "name": store.name,
        "count": len(store),
        "shape": store.shape,
        "dtype": _dtype(store.images),
        "duplicates": _groups(_row_hashes(store.images, progress), names),
        **_by_label(store.labels, store.classes),
        "captions": len(store.captions),
        "mean": mean,
        "std": std,
        "fingerprint": store.fingerprint,
        "licence": store.licence,
    }


def _refused(listing: Listing, found: Scan, progress: Progress) -> dict[str, Any]:
    """What can be said of files that make no store: their pixels are hashed one by one."""
    hashes: dict[int, str] = {}
    reasons = dict(found.reasons)

    def one(i: int) -> None:
        """Hash the pixels of file `i`, or keep the reason why it has none."""
        if i in reasons:
            return
        try:
            with listing.open(i) as file:
                pixels = decode(file)
            hashes[i] = hashlib.blake2b(pixels.tobytes() + str(pixels.shape).encode()).hexdigest()
        except Exception as problem:  # Pillow's readers raise anything on broken files
            reasons[i] = str(problem) or type(problem).__name__

    with strict_pillow():
        in_pieces(one, len(listing), "decoding", progress)
    good = sorted(hashes)
    return {
        "name": listing.name,
        "count": len(good),
        "corrupt": {listing.entries[i].name: reasons[i] for i in sorted(reasons)},
        "duplicates": _groups([hashes[i] for i in good], [listing.entries[i].name for i in good]),
        **_by_label_of(listing, good),
        "licence": listing.licence,
    }


def _by_label(labels: Tensor | None, classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many there are of each class, or with each attribute."""
    if labels is None:
        return {}
    found = dict(zip(classes, counts(labels, len(classes)).tolist(), strict=True))
    return {"attributes" if labels.dim() == 2 else "classes": found}


def _by_label_of(listing: Listing, good: Sequence[int]) -> dict[str, dict[str, int]]:
    try:
        labels, classes = labels_of(listing)
    except ConfigError:  # wrong labels may be the very problem
        return {}
    return {} if labels is None else _by_label(torch.from_numpy(labels)[list(good)], classes)


def _row_hashes(samples: Tensor, progress: Progress) -> list[str]:
    array, hashes = samples.numpy(), []
    for start in range(0, len(array), _ROWS):
        part = np.ascontiguousarray(array[start : start + _ROWS])
        hashes += [hashlib.blake2b(row.data, digest_size=16).hexdigest() for row in part]
        progress.step("looking for duplicates", min(start + _ROWS, len(array)), len(array))
    return hashes


def _groups(hashes: Sequence[str], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = defaultdict(list)
    for value, name in zip(hashes, names, strict=True):
        groups[value].append(name)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _moments(samples: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation per channel, streamed in double precision."""
    scale = {torch.uint8: 255.0, torch.uint16: 65535.0}.get(samples.dtype, 1.0)
    axes = [axis for axis in range(samples.ndim) if axis != 1]
    total, squares = (torch.zeros(samples.shape[1], dtype=torch.float64) for _ in range(2))
    for part in samples.split(_ROWS // 8):
        values = part.double() / scale
        total += values.sum(axes)
        squares += values.square().sum(axes)
    mean = total * samples.shape[1] / samples.numel()
    variance = (squares * samples.shape[1] / samples.numel() - mean.square()).clamp(min=0)
    return tuple(mean.tolist()), tuple(variance.sqrt().tolist())


def _policy(augment: Sequence[str], probability: float) -> tuple[str, ...]:
    """The words of `augment` for `organza.augment`, known to be good."""
    from organza.augment import AUGMENTATIONS, GROUPS, augmentation

    known = (FLIP, *AUGMENTATIONS, *GROUPS)
    for word in augment:
        if word.partition(":")[0] not in known or word.startswith(f"{FLIP}:"):
            raise ConfigError(f"augment is '{word}'{closest(word, known)}")
    policy = tuple(word for word in augment if word != FLIP)
    augmentation(policy)
    if not 0 <= probability <= 1:
        raise ConfigError(f"probability is {probability}; it takes 0 to 1")
    if probability != 1 and not policy:
        raise ConfigError(f"probability is {probability}, but nothing reads it; add an augmentation, such as bgc")
    return policy


def _flipped(samples: Tensor, random: np.random.RandomState) -> Tensor:
    mirrored = torch.from_numpy(random.rand(len(samples)) < 0.5).view(-1, 1, 1, 1)
    return torch.where(mirrored, samples.flip(-1), samples)


def _augmented(samples: Tensor, policy: tuple[str, ...], probability: float) -> Tensor:
    """As training does it; integers become uint8, floats stay floats."""
    from organza.augment import augmentation
    from organza.draws import Draws, keys
    from organza.training.batches import to_bytes, to_range

    draws = Draws(keys(0, 0, slice(0, len(samples)), samples.device))
    changed = augmentation(policy)(to_range(samples), draws, probability)
    return changed if samples.is_floating_point() else to_bytes(changed)


def _numbered(store: ImageStore) -> list[str]:
    return [f"#{i}" for i in range(len(store))]


def _dtype(samples: Tensor) -> str:
    return str(samples.dtype).removeprefix("torch.")
