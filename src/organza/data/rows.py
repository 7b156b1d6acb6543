"""Some samples of a store: those that are kept from training, and the others."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import torch
from torch import Tensor

from organza.config import ConfigError
from organza.data.cache import Allocate, Decoded, available_memory, cached
from organza.data.store import ImageStore

FEWEST_KEPT = 32  # samples that tell anything of those which training does not see
_AT_ONCE = 64 << 20  # bytes of a mapped file that are copied to another


def held_back(store: ImageStore, share: float) -> ImageStore:
    """The store without a share of its samples, evenly spread, which lie in its `test`. Raises ConfigError for few."""
    steps = (torch.arange(len(store) + 1, dtype=torch.float64) * share).floor()
    kept = steps[1:] > steps[:-1]
    if int(kept.sum()) < FEWEST_KEPT:
        enough = math.ceil(1000 * FEWEST_KEPT / max(len(store), 1)) / 1000
        fits = f"; type --data.heldout {enough:g} or more" if enough <= 0.25 else ""
        raise ConfigError(
            f"data.heldout {share:g} keeps {int(kept.sum())} of the {len(store):,} samples of '{store.name}' from "
            f"training, and fewer than {FEWEST_KEPT} tell nothing{fits}, or leave it out"
        )
    train, mark = rows_of(store, ~kept), hashlib.sha256(f"{store.fingerprint} without {share:g}".encode())
    return replace(train, fingerprint=mark.hexdigest()[:16], test=rows_of(store, kept))


def rows_of(store: ImageStore, rows: Tensor) -> ImageStore:
    """Some samples, by a mask bool [N] or by their numbers int64 [M]; sources stay as they are."""
    numbers = (rows.nonzero().flatten() if rows.dtype == torch.bool else rows).tolist()
    return replace(
        store, images=taken(store.images, rows, store.fingerprint),
        labels=None if store.labels is None else store.labels[rows],
        captions=tuple(store.captions[i] for i in numbers) if store.captions else (),
    )  # fmt: skip


def taken(images: Tensor, rows: Tensor, mark: str) -> Tensor:
    """Some of the images [N, ...], by a mask or by numbers: a copy, in memory where they are a small part of it.

    More are copied into the cache of decoded images, under `mark`, which names the images, and the rows; from there
    they are memory-mapped, as they were.
    """
    rows = rows.nonzero().flatten() if rows.dtype == torch.bool else rows
    each = images[:1].nbytes
    if len(rows) * each <= available_memory() // 4:
        return images[rows]

    def build(allocate: Allocate) -> Decoded:
        """Copied part by part, so that little of the mapped file is in memory at once."""
        made = allocate((len(rows), *images.shape[1:]), str(images.dtype).removeprefix("torch."))
        done = 0
        for part in rows.split(max(_AT_ONCE // each, 1)):
            made[done : done + len(part)] = images[part].numpy()
            done += len(part)
        return Decoded(made, None, (), (), (), ())

    key = hashlib.sha256(f"{mark} {images.dtype} {tuple(images.shape)}".encode() + rows.numpy().tobytes())
    return torch.from_numpy(cached(f"rows-{key.hexdigest()[:32]}", build).images)
