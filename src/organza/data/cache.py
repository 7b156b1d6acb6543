"""Decoded samples kept on disk: decoded once, then read or memory-mapped."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from organza.config import ConfigError
from organza.data.store import ImageStore, fingerprint

_VERSION = 1  # of the files below; a change makes old entries unknown
_STALE = 86_400  # seconds after which an unfinished entry belongs to nobody


@dataclass(frozen=True)
class Decoded:
    """Everything that opening a source of files finds out."""

    images: np.ndarray  # [N, C, H, W]
    labels: np.ndarray | None  # int64 [N], or of attributes [N, A]
    classes: tuple[str, ...]
    captions: tuple[str, ...]
    names: tuple[str, ...]  # of the files, one for each sample
    skipped: tuple[tuple[str, str], ...]  # file and reason
    fingerprint: str = ""

    def store(self, name: str, licence: str) -> ImageStore:
        """The part that training uses."""
        labels = None if self.labels is None else torch.from_numpy(self.labels)
        images = torch.from_numpy(self.images)
        return ImageStore(name, images, labels, self.classes, self.captions, licence, self.fingerprint)


Allocate = Callable[[tuple[int, ...], str], np.ndarray]
"""Gives a zeroed array of a shape and type, on disk where that is possible."""


def cache_folder() -> Path:
    """`ORGANZA_CACHE`, or `~/.cache/organza`."""
    return Path(os.environ.get("ORGANZA_CACHE") or "~/.cache/organza").expanduser()


def cached(key: str, build: Callable[[Allocate], Decoded]) -> Decoded:
    """The entry `key`, built and kept if it is not there; without a writable cache it is built in memory."""
    folder = cache_folder() / "decoded" / key
    found = _load(folder)
    if found is not None:
        return found
    shutil.rmtree(folder, ignore_errors=True)  # a damaged entry must not stand in the way
    draft = _Draft(folder)
    try:
        decoded = build(draft.allocate)
        images, labels = torch.from_numpy(decoded.images), decoded.labels
        printed = fingerprint(images, None if labels is None else torch.from_numpy(labels))
        return draft.finish(replace(decoded, fingerprint=printed))
    finally:
        draft.discard()


def available_memory() -> int:
    """Bytes that this process can still take without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        names = getattr(os, "sysconf_names", {})
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if "SC_PHYS_PAGES" in names else 4 << 30
    return min([free, *_container_limit()])


class _Draft:
    """An entry being written beside its final place, so that a reader never sees half of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.partial = folder.with_name(f"{folder.name}.{os.getpid()}.{time.monotonic_ns()}.partial")
        self.mapped: np.memmap | None = None

    def allocate(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        """Room for the images: a mapped file or, without a disk, memory. Raises ConfigError where neither has it."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        try:
            self._reserve(size)
            self.mapped = np.memmap(self.partial / "images", dtype, "r+", shape=shape)
            return self.mapped
        except OSError:
            self.discard()
        if size > available_memory() * 3 // 4:
            raise ConfigError(
                f"the images need {size / 2**30:.1f} GiB, more than memory has, and {cache_folder()} cannot take them; "
                "set ORGANZA_CACHE to a folder with that much space, or choose a smaller resolution"
            )
        return np.zeros(shape, dtype)

    def finish(self, decoded: Decoded) -> Decoded:
        """Move the entry to its place and open it there; in memory, the entry itself."""
        if self.mapped is None:
            return decoded
        self.mapped.flush()
        try:
            _save_text(self.partial, decoded)
            self.partial.rename(self.folder)
        except OSError:  # another process was first, or the disk became full
            pass
        return _load(self.folder) or decoded

    def discard(self) -> None:
        self.mapped = None
        shutil.rmtree(self.partial, ignore_errors=True)

    def _reserve(self, size: int) -> None:
        self.partial.mkdir(parents=True)
        _remove_stale(self.folder.parent)
        if shutil.disk_usage(self.partial).free < size:
            raise OSError("no space")
        with (self.partial / "images").open("wb") as file:
            file.truncate(max(size, 1))
            if hasattr(os, "posix_fallocate"):  # writing to a mapped hole of a full disk would kill the process
                os.posix_fallocate(file.fileno(), 0, max(size, 1))


def _save_text(folder: Path, decoded: Decoded) -> None:
    facts: dict[str, Any] = {key: value for key, value in decoded.__dict__.items() if key != "images"}
    facts |= {"version": _VERSION, "shape": decoded.images.shape, "dtype": decoded.images.dtype.name}
    facts["labels"] = None if decoded.labels is None else decoded.labels.tolist()
    (folder / "facts.json").write_text(json.dumps(facts))


def _load(folder: Path) -> Decoded | None:
    try:
        facts = json.loads((folder / "facts.json").read_text())
        shape, dtype = tuple(facts.pop("shape")), np.dtype(facts.pop("dtype"))
        if facts.pop("version") != _VERSION:
            return None
        images = _read(folder / "images", shape, dtype)
        labels = facts.pop("labels")
        facts["skipped"] = [tuple(pair) for pair in facts["skipped"]]
        texts: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()
        }
        return Decoded(images=images, labels=None if labels is None else np.array(labels, np.int64), **texts)
    except (OSError, ValueError, KeyError, TypeError):  # absent or damaged: it is built again
        return None


def _read(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = math.prod(shape) * dtype.itemsize
    if size > available_memory() // 4:
        return np.memmap(path, dtype, "c", shape=shape)  # c: a stray write stays in memory
    images = np.fromfile(path, dtype, math.prod(shape))
    return images.reshape(shape)


def _remove_stale(folder: Path) -> None:
    for partial in folder.glob("*.partial"):
        with contextlib.suppress(OSError):  # its owner may remove it at the same time
            if time.time() - partial.stat().st_mtime > _STALE:
                shutil.rmtree(partial, ignore_errors=True)


def _container_limit() -> list[int]:
    try:  # cgroup v2, as containers use
        folder = Path("/sys/fs/cgroup")
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        return [] if limit == "max" else [max(0, int(limit) - int(used))]
    except (OSError, ValueError):
        return []
