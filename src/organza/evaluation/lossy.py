"""Whether images are kept in a format that loses details, which distances see."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

LOSSY = (".jpg", ".jpeg", ".jfif")
MOST_OPENED = 500  # WebP files whose kind is looked at


def lossy(source: Any) -> bool:
    """Whether a folder or a zip holds pictures in a format that loses details, which distances see.

    WebP may be either, which the file itself tells; of many, some hundreds are opened.
    """
    if not isinstance(source, (str, Path)):
        return False
    path = Path(source).expanduser()
    if path.is_dir():
        return _any_lossy({str(file): partial(file.open, "rb") for file in path.rglob("*") if file.is_file()})
    if path.suffix.lower() == ".zip" and path.is_file():
        with zipfile.ZipFile(path) as archive:
            return _any_lossy({name: partial(archive.open, name) for name in archive.namelist()})
    return False


def _any_lossy(files: Mapping[str, Callable[..., Any]]) -> bool:
    """Of files by name, each with what opens it."""
    if any(name.lower().endswith(LOSSY) for name in files):
        return True
    webp = sorted(name for name in files if name.lower().endswith(".webp"))
    for name in webp[:: len(webp) // MOST_OPENED + 1]:
        with files[name]() as file:
            if is_lossy_webp(file):
                return True
    return False


def is_lossy_webp(file: IO[bytes]) -> bool:
    """Whether the first picture of a WebP file is of VP8 and not of VP8L, which is lossless; False for other files.

    A RIFF file is a header of 12 bytes and parts: a name of four bytes, a length, and so many bytes, padded to an even
    number (RFC 9649). A frame of an animation (ANMF) has 16 bytes, then parts of its own.
    """
    if file.read(12)[8:] != b"WEBP":
        return False
    while len(head := file.read(8)) == 8:
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name in (b"VP8 ", b"VP8L"):
            return name == b"VP8 "
        file.seek(16 if name == b"ANMF" else length + length % 2, 1)
    return False
