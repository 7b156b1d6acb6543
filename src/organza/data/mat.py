"""Arrays in MATLAB 5 files, as far as the SVHN data set needs them: plain numeric arrays, compressed or not."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from organza.config import ConfigError

_TYPES = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
_MATRIX, _COMPRESSED = 14, 15
_NUMERIC_CLASSES = range(6, 16)  # double to uint64; not cells, structures, text or sparse


def read_mat(path: Path) -> dict[str, np.ndarray]:
    """Every numeric array by its name, in MATLAB's axis order. Raises ConfigError for other files and damage.

    Source: MathWorks, "MAT-File Format", level 5: a 128-byte header, then tagged elements padded to 8 bytes.
    """
    data = memoryview(path.read_bytes())
    if len(data) < 128 or bytes(data[:10]) != b"MATLAB 5.0" or bytes(data[126:128]) != b"IM":
        raise ConfigError(f"{path} is not a little-endian MATLAB 5 file; fetch it again")
    try:
        return dict(_arrays(data[128:]))
    except (struct.error, zlib.error, ValueError, IndexError, KeyError) as problem:
        raise ConfigError(f"{path} is damaged: {problem}; fetch it again") from None


def _arrays(data: memoryview) -> Iterator[tuple[str, np.ndarray]]:
    for kind, content in _elements(data, padded=False):
        if kind == _COMPRESSED:
            yield from _arrays(memoryview(zlib.decompress(content)))
        elif kind == _MATRIX:
            parts = _elements(content)
            (_, flags), (_, dims), (_, name) = next(parts), next(parts), next(parts)
            if flags[0] in _NUMERIC_CLASSES:
                yield bytes(name).decode("ascii"), _array(dims, *next(parts))


def _array(dims: memoryview, kind: int, content: memoryview) -> np.ndarray:
    shape = tuple(int(n) for n in np.frombuffer(dims, "<i4"))
    values = np.frombuffer(content, _TYPES[kind])
    if values.size != math.prod(shape):
        raise ValueError(f"{values.size} values for the shape {shape}")
    return values.reshape(shape, order="F")  # MATLAB's first axis runs fastest


def _elements(data: memoryview, padded: bool = True) -> Iterator[tuple[int, memoryview]]:
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<II", data, at)
        if kind >> 16:  # a small element: its size stands in the upper half, its content in the tag
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            at += 8
        else:
            start = at + 8
            at = start + size + (-size % 8 if padded else 0)
        if start + size > len(data):
            raise ValueError("it ends early")
        yield kind, data[start : start + size]
