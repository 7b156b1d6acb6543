"""IDX files, the format of MNIST and its relatives, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np

from organza.config import ConfigError

_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}  # third byte of the magic number


class Readable(Protocol):
    """A file on disk, or a resource of a package."""

    @property
    def name(self) -> str:
        """Of the file, without its folder."""
        ...

    def read_bytes(self) -> bytes:
        """The whole content."""
        ...


def read_idx(file: Readable) -> np.ndarray:
    """An array of the shape and type that the header declares. Raises ConfigError for a damaged file.

    Source: the table at the end of http://yann.lecun.com/exdb/mnist.
    """
    data = _unzipped(file)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _TYPES:
        raise ConfigError(f"{file.name} is not an IDX file: it starts with {data[:4].hex(' ') or 'nothing'}")
    kind, axes = np.dtype(_TYPES[data[2]]), data[3]
    shape = tuple(
        int(n) for n in np.frombuffer(data[4 : 4 + 4 * (len(data[4:]) // 4)], ">u4", min(axes, len(data[4:]) // 4))
    )
    expected = 4 + 4 * axes + math.prod(shape) * kind.itemsize
    if len(shape) != axes or len(data) != expected:
        raise ConfigError(f"{file.name} is damaged: it has {len(data)} bytes, its header declares {expected}")
    array = np.frombuffer(data, kind, offset=4 + 4 * axes).reshape(shape)
    return array.astype(kind.newbyteorder("="), copy=False)


def labels_beside(images: Path) -> Path | None:
    """The labels file of an images file by the usual names: `train-images-idx3-ubyte` -> `train-labels-idx1-ubyte`."""
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    plain = name.removesuffix(".gz")
    found = [images.with_name(n) for n in (name, plain, plain + ".gz") if images.with_name(n).is_file()]
    return found[0] if name != images.name and found else None


def _unzipped(file: Readable) -> bytearray:
    data = file.read_bytes()
    if data[:2] != b"\x1f\x8b":
        return bytearray(data)
    try:
        return bytearray(gzip.decompress(data))
    except (OSError, EOFError, zlib.error) as problem:
        raise ConfigError(f"{file.name} is damaged: {problem}; fetch it again") from None
