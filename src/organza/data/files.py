"""Image files -> one array, decoded once by a pool of threads and kept in the cache."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from organza.config import ConfigError
from organza.data.cache import Allocate, Decoded, cached
from organza.data.listing import Listing, captions_of, labels_of
from organza.data.pixels import CHANNELS, Header, decode, fit, read_header, recolour, strict_pillow, widen
from organza.data.prepare import Preparation, in_pieces
from organza.data.progress import Progress

_DTYPES = ("uint8", "uint16", "float32")


@dataclass(frozen=True)
class Scan:
    """What the headers of all files say; a file that has none is None, with the reason beside it."""

    headers: tuple[Header | None, ...]
    reasons: dict[int, str]

    @property
    def readable(self) -> list[Header]:
        """The headers that could be read."""
        return [header for header in self.headers if header is not None]

    @property
    def sizes(self) -> Counter[tuple[int, int]]:
        """How many images have each (width, height)."""
        return Counter(header.size for header in self.readable)


def open_files(listing: Listing, options: Preparation, progress: Progress, found: Scan | None = None) -> Decoded:
    """Every readable image as [N, C, H, W]; `found` spares another scan.

    Raises ConfigError if none is readable, or their sizes or types do not fit.
    """
    key = hashlib.sha256(f"{listing.key} {options}".encode()).hexdigest()[:32]
    decoded = cached(key, lambda allocate: _build(listing, options, allocate, progress, found))
    if decoded.skipped:
        progress.note(left_out(decoded.skipped, len(listing)))
    return decoded


def scan(listing: Listing, progress: Progress) -> Scan:
    """Read all headers, without decoding."""
    headers: list[Header | None] = [None] * len(listing)
    reasons: dict[int, str] = {}

    def one(i: int) -> None:
        try:
            with listing.open(i) as file:
                headers[i] = read_header(file)
        except Exception as problem:  # Pillow's readers raise anything on broken files
            reasons[i] = reason(problem)

    with strict_pillow():
        in_pieces(one, len(listing), "reading headers", progress)
    return Scan(tuple(headers), reasons)


def common_shape(listing: Listing, found: Scan, options: Preparation) -> tuple[tuple[int, int, int], str]:
    """The (C, H, W) and type that hold every image. Raises ConfigError for mixed sizes without a resolution."""
    if not found.readable:
        name = listing.entries[0].name
        raise ConfigError(
            f"{listing.where}: none of {len(listing)} images can be read ({name}: {found.reasons[0]}); fetch them again"
        )
    if options.resolution is None and len(found.sizes) > 1:
        raise _mixed(listing, found)
    width, height = next(iter(found.sizes))
    types = {header.dtype for header in found.readable}
    if "float32" in types and len(types) > 1:
        raise ConfigError(f"{listing.where} mixes float images with integer ones; convert them to one kind")
    needed = max(header.channels for header in found.readable)
    channels = needed if options.channels == "keep" else CHANNELS[options.channels]
    return (channels, *(options.resolution or (height, width))), max(types, key=_DTYPES.index)


def _build(
    listing: Listing, options: Preparation, allocate: Allocate, progress: Progress, found: Scan | None
) -> Decoded:
    labels, classes = labels_of(listing)
    captions = captions_of(listing)  # both first: their mistakes should not wait for the decoding
    found = found or scan(listing, progress)
    (channels, height, width), dtype = common_shape(listing, found, options)
    images = allocate((len(listing), channels, height, width), dtype)
    reasons = dict(found.reasons)

    def one(i: int) -> None:
        """Decode image `i`, or keep the reason why it cannot be decoded."""
        if i in reasons:
            return
        try:
            with listing.open(i) as file:
                pixels = widen(recolour(decode(file), channels), dtype)
            images[i] = np.moveaxis(fit(pixels, (height, width), options.crop), -1, 0)
        except Exception as problem:  # as in `scan`
            reasons[i] = reason(problem)

    with strict_pillow():
        in_pieces(one, len(listing), "decoding", progress)
    good = [i for i in range(len(listing)) if i not in reasons]
    if not good:
        raise ConfigError(
            f"{listing.where}: none of {len(listing)} images can be decoded ({reasons[0]}); fetch them again"
        )
    if dtype == "float32":
        check_range(images, listing.where)
    return Decoded(
        closed_up(images, good),
        None if labels is None else labels[good],
        classes,
        tuple(captions[i] for i in good) if captions else (),
        tuple(listing.entries[i].name for i in good),
        tuple((listing.entries[i].name, reasons[i]) for i in sorted(reasons)),
    )


def check_range(images: np.ndarray, where: str) -> None:
    """Raises ConfigError unless float images lie within -1..1, which is what training takes them for."""
    low, high = float(images.min()), float(images.max())
    if np.isnan(low):  # of all, as NaN spreads
        raise ConfigError(f"{where} has values that are NaN; look at what made them, and leave these samples out")
    if low < -1 or high > 1:
        raise ConfigError(
            f"{where} has float images with values {low:g} to {high:g}; allowed is -1 to 1; "
            "scale them (x / 127.5 - 1), or save 0 to 255 as uint8: images.astype('uint8')"
        )


def closed_up(images: np.ndarray, good: Sequence[int]) -> np.ndarray:
    """The good rows, moved to the front: in place, as the array may be larger than memory."""
    if len(good) == len(images):
        return images
    for to, origin in enumerate(good):
        if to != origin:
            images[to] = images[origin]
    return images[: len(good)]


class MixedSizesError(ConfigError):
    """Images of several sizes where training takes one: `told` names them, and `side` is one that would do."""

    def __init__(self, told: str, side: int) -> None:
        super().__init__(
            f"{told}; training takes one size; type --data.resolution {side} --data.crop center (Python: "
            f"resolution={side}, crop='center')"
        )
        self.told, self.side = told, side


def _mixed(listing: Listing, found: Scan) -> MixedSizesError:
    sizes = found.sizes.most_common()
    seen = ", ".join(f"{width}x{height} ({count})" for (width, height), count in sizes[:6])
    more = f" and {len(sizes) - 6} more" if len(sizes) > 6 else ""
    told = f"{listing.where} has images of {len(sizes)} sizes (width x height): {seen}{more}"
    return MixedSizesError(told, suggested_side(found))


def suggested_side(found: Scan) -> int:
    """The largest power of two, 256 at most, that enlarges no image."""
    shortest = min(min(size) for size in found.sizes)
    return 2 ** min(8, max(3, shortest.bit_length() - 1))


def left_out(skipped: Sequence[tuple[str, str]], count: int) -> str:
    """The files that are of no use, some with the reason, in words."""
    shown = "; ".join(f"{name}: {reason}" for name, reason in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"{len(skipped)} of {count} images are left out ({shown}{more})"


def reason(problem: Exception) -> str:
    """Why a file cannot be read, in a line."""
    text = str(problem).split("\n")[0]
    if "cannot identify image file" in text:
        return "not an image, or damaged"
    return text or type(problem).__name__
