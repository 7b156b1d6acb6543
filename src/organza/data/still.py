"""One picture as a user has it, read for a translator and written again: its colours, transparency and depth kept."""

from __future__ import annotations

import io
import os
import re
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from organza.data import png16
from organza.data.pixels import decode

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".jp2", ".avif", ".tga")


@dataclass(frozen=True)
class Still:
    """Upright pixels, [C, H, W] with C 1 (grey) or 3, uint8 or uint16, and transparency [1, H, W] of the same type."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    profile: bytes | None = None  # ICC, of RGB or grey
    notes: tuple[str, ...] = ()  # what was lost

    @property
    def size(self) -> tuple[int, int]:
        """Height, width."""
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def planes(self) -> np.ndarray:
        """The pixels, and where there is transparency RGB with it behind, [4, H, W]."""
        if self.alpha is None:
            return self.pixels
        colours = self.pixels.repeat(3, 0) if len(self.pixels) == 1 else self.pixels
        return np.concatenate([colours, self.alpha])


def read_still(path: Path) -> Still:
    """A picture of any kind that Pillow reads: palettes, CMYK, greys, 16 bits, turned by EXIF; of a film its first.

    Raises FileNotFoundError, and ValueError with the reason for a file that is broken or no picture.
    """
    content = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken metadata, and of large pictures
            with Image.open(io.BytesIO(content)) as image:
                frames, mode = int(getattr(image, "n_frames", 1)), image.mode
                profile = image.info.get("icc_profile")
            pixels = _rgb(png16.decode(content)) if png16.is_deep(content) else decode(io.BytesIO(content))
    except Exception as problem:  # Pillow's readers raise anything on broken files
        raise ValueError(f"{path.name}: {_reason(problem)}") from None
    notes = (f"{path.name}: only the first of its {frames} frames is taken",) if frames > 1 else ()
    if pixels.dtype == np.float32:
        low, high = float(pixels.min()), float(pixels.max())
        if not 0 <= low <= high <= 1:
            raise ValueError(f"{path.name}: its floats are from {low:.4g} to {high:.4g}; those in [0, 1] are read")
        pixels = (pixels * 65535 + 0.5).astype(np.uint16)
    pixels = pixels.transpose(2, 0, 1)
    colours, alpha = (pixels[:3], pixels[3:]) if len(pixels) == 4 else (pixels, None)
    return Still(colours, alpha, profile if mode not in ("CMYK", "LAB", "YCbCr") else None, notes)


def save_still(still: Still, path: Path, mark: PngInfo | None = None) -> None:
    """Write a PNG, whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    parts = [still.pixels] if still.alpha is None else [still.pixels, still.alpha]
    pixels = np.ascontiguousarray(np.concatenate(parts).transpose(1, 2, 0))
    try:
        if pixels.dtype == np.uint16:
            chunks = tuple((kind, body) for kind, body, *_ in (mark.chunks if mark else ()))
            part.write_bytes(png16.encode(pixels, _profile(still.profile) + chunks))
        else:
            image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
            image.save(part, format="PNG", pnginfo=mark, icc_profile=still.profile)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """Grey with transparency as RGB with it."""
    return pixels if pixels.shape[2] != 2 else pixels[..., [0, 0, 0, 1]]


def _profile(profile: bytes | None) -> tuple[tuple[bytes, bytes], ...]:
    return () if profile is None else ((b"iCCP", b"ICC\0\0" + zlib.compress(profile)),)


def _reason(problem: Exception) -> str:
    if isinstance(problem, Image.UnidentifiedImageError):
        return "no picture that can be read"
    if isinstance(problem, Image.DecompressionBombError):
        pixels, most = (f"{int(count):,}" for count in re.findall(r"(\d+) pixels", str(problem)))
        return f"it has {pixels} pixels, and up to {most} are read; cut it into parts, or make it smaller, first"
    return str(problem).strip().rstrip(".") or type(problem).__name__
