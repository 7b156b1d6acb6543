"""PNGs of 16 bits in colour or with transparency, which Pillow reads as 8 bits and does not write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by PNG's colour type
COLOURS = {count: colour for colour, count in CHANNELS.items()}
LARGEST = 1_000_000_000  # bytes of the pixels


def is_deep(content: bytes) -> bool:
    """Whether it is such a PNG, not interlaced; 16-bit grey is left to Pillow."""
    return (
        content[:8] == SIGNATURE and len(content) > 29 and content[24] == 16 and content[25] in (2, 4, 6)
        and content[28] == 0
    )  # fmt: skip


def decode(content: bytes) -> np.ndarray:
    """Its pixels, uint16 [H, W, C] with 2, 3 or 4 channels. Raises ValueError for a damaged one."""
    width, height, channels = *struct.unpack(">II", content[16:24]), CHANNELS[content[25]]
    size, line = 2 * channels, 2 * channels * width
    if not 0 < height * (line + 1) <= LARGEST:
        raise ValueError(f"a PNG of {width}x{height} is too large")
    packed = b"".join(body for kind, body in _chunks(content) if kind == b"IDAT")
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, height * (line + 1))
    except zlib.error as problem:
        raise ValueError(f"a damaged PNG ({problem})") from None
    if len(raw) != height * (line + 1):
        raise ValueError("image file is truncated")
    rows = np.frombuffer(raw, np.uint8).reshape(height, line + 1)
    pixels, before = np.empty((height, line), np.uint8), np.zeros(line, np.uint8)
    for y in range(height):
        before = pixels[y] = _unfiltered(int(rows[y, 0]), rows[y, 1:], before, size)
    return pixels.view(">u2").astype(np.uint16).reshape(height, width, channels)


def encode(pixels: np.ndarray, extra: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """uint16 [H, W, C] with 1 to 4 channels -> a PNG; `extra` are chunks to stand before the pixels."""
    height, width, channels = pixels.shape
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    filtered = np.hstack([np.full((height, 1), 2, np.uint8), rows - above])  # the filter Up
    head = struct.pack(">IIBBBBB", width, height, 16, COLOURS[channels], 0, 0, 0)
    body = zlib.compress(filtered.tobytes(), 6)
    return SIGNATURE + b"".join(_chunk(*one) for one in ((b"IHDR", head), *extra, (b"IDAT", body), (b"IEND", b"")))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place + 12 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        body, place = content[place + 8 : place + 8 + length], place + 12 + length
        if len(body) < length or place > len(content):
            raise ValueError("image file is truncated")
        if struct.unpack(">I", content[place - 4 : place])[0] != zlib.crc32(kind + body):
            raise ValueError("a damaged PNG (a checksum does not match)")
        yield kind, body


def _unfiltered(kind: int, row: np.ndarray, above: np.ndarray, size: int) -> np.ndarray:
    """A row of bytes as it was before its filter; `size` are the bytes of a pixel."""
    if kind == 0:
        return row
    if kind == 1:
        return np.cumsum(row.reshape(-1, size), 0, dtype=np.uint8).reshape(-1)
    if kind == 2:
        return row + above
    if kind not in (3, 4):
        raise ValueError("a damaged PNG (an unknown filter)")
    done = bytearray(size) + bytearray(row.tobytes())  # behind one pixel of zeros
    upper = bytes(size) + above.tobytes()
    for i in range(size, len(done)):
        left, up = done[i - size], upper[i]
        done[i] = (done[i] + ((left + up) // 2 if kind == 3 else _paeth(left, up, upper[i - size]))) & 255
    return np.frombuffer(done, np.uint8)[size:]


def _paeth(left: int, up: int, corner: int) -> int:
    near_left, near_up, near_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if near_left <= near_up and near_left <= near_corner:
        return left
    return up if near_up <= near_corner else corner
