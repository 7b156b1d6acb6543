"""Pictures of any sizes as tiles of their own pixels, out of which training cuts its windows.

A tile is twice as tall and wide as the window where every picture allows it, else as the smallest one. As few tiles as
cover a picture lie over it, evenly, from border to border.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict

import numpy as np

from organza.config import ConfigError
from organza.data.cache import Allocate, Decoded, cached
from organza.data.files import check_range, closed_up, common_shape, left_out, reason, scan
from organza.data.listing import Listing
from organza.data.pixels import decode, recolour, strict_pillow, widen
from organza.data.prepare import Preparation, in_pieces
from organza.data.progress import Progress

Size = tuple[int, int]  # height, width


def holding(listing: Listing, window: Size, progress: Progress) -> Listing:
    """The pictures that hold a window; the others are told. Raises ConfigError where none does."""
    if min(window) < 1:
        raise ConfigError(f"data.window is {window[0]}x{window[1]}; its sides take 1 or more")
    found = scan(listing, progress)
    reasons = dict(found.reasons)
    for i, header in enumerate(found.headers):
        if header is not None and (header.height < window[0] or header.width < window[1]):
            reasons[i] = f"{header.height}x{header.width}, smaller than data.window"
    if found.readable and len(reasons) == len(listing):
        largest = max(found.readable, key=lambda header: min(header.size))
        raise ConfigError(
            f"{listing.where}: none of {len(listing)} images is as large as data.window, {window[0]}x{window[1]} "
            f"(the largest is {largest.height}x{largest.width}); add --data.window "
            f"{1 << (min(largest.size).bit_length() - 1)}, or --data.resolution {max(window)} --data.crop center"
        )
    if reasons:
        progress.note(left_out([(listing.entries[i].name, reasons[i]) for i in sorted(reasons)], len(listing)))
    small = {listing.entries[i].name for i in reasons}
    return listing.keep(lambda name: name not in small) if found.readable else listing


def open_tiles(listing: Listing, window: Size, channels: str, progress: Progress) -> Decoded:
    """The tiles of pictures that hold a window, [N, C, H, W]; `names` are those of the pictures, one for each tile.

    Raises ConfigError if none can be read, or their types do not fit.
    """
    key = hashlib.sha256(f"{listing.key} {channels} tiles {window}".encode()).hexdigest()[:32]
    decoded = cached(key, lambda allocate: _build(listing, window, channels, allocate, progress))
    if decoded.skipped:
        progress.note(left_out(decoded.skipped, len(listing)))
    (height, width), pictures = decoded.images.shape[2:], len(set(decoded.names))
    if len(decoded.names) > pictures:
        progress.note(
            f"{len(decoded.names):,} tiles of {pictures:,} pictures of {listing.where}: {height}x{width} of their own "
            f"pixels, of which training cuts out {window[0]}x{window[1]} at random"
        )
    return decoded


def places(size: Size, tile: Size) -> list[Size]:
    """Top and left of each tile of a picture of this height and width."""
    tops, lefts = (
        np.linspace(0, side - part, -(-side // part)).round().astype(int).tolist()
        for side, part in zip(size, tile, strict=True)
    )
    return [(top, left) for top in tops for left in lefts]


def _build(listing: Listing, window: Size, channels: str, allocate: Allocate, progress: Progress) -> Decoded:
    found = scan(listing, progress)
    sizes = {i: (header.height, header.width) for i, header in enumerate(found.headers) if header is not None}
    tile = tuple(min([2 * side, *(size[axis] for size in sizes.values())]) for axis, side in enumerate(window))
    shape, dtype = common_shape(listing, found, Preparation((tile[0], tile[1]), "none", channels))
    cuts = [(i, place) for i, size in sizes.items() for place in places(size, (tile[0], tile[1]))]
    images, reasons = allocate((len(cuts), *shape), dtype), dict(found.reasons)
    _fill(images, listing, cuts, reasons, progress)
    good = [row for row, (i, _) in enumerate(cuts) if i not in reasons]
    skipped = tuple((listing.entries[i].name, reasons[i]) for i in sorted(reasons))
    if not good:
        raise ConfigError(f"{listing.where}: {left_out(skipped, len(listing))}; fetch them again")
    if dtype == "float32":
        check_range(images, listing.where)
    names = tuple(listing.entries[cuts[row][0]].name for row in good)
    return Decoded(closed_up(images, good), None, (), (), names, skipped)


def _fill(
    images: np.ndarray, listing: Listing, cuts: list[tuple[int, Size]], reasons: dict[int, str], progress: Progress
) -> None:
    """Decode each picture once, and cut its tiles out."""
    (channels, height, width), rows = images.shape[1:], defaultdict(list)
    for row, (i, place) in enumerate(cuts):
        rows[i].append((row, *place))
    pictures = list(rows)

    def one(number: int) -> None:
        """Cut the tiles of a picture, or keep the reason why it has none."""
        i = pictures[number]
        try:
            with listing.open(i) as file:
                pixels = widen(recolour(decode(file), channels), images.dtype.name)
            for row, top, left in rows[i]:
                images[row] = np.moveaxis(pixels[top : top + height, left : left + width], -1, 0)
        except Exception as problem:  # Pillow's readers raise anything on broken files
            reasons[i] = reason(problem)

    with strict_pillow():
        in_pieces(one, len(pictures), "cutting tiles", progress)
