"""One image: from encoded bytes to pixels [H, W, C], and their shape, channels and type changed on request."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from organza.config import ConfigError

CHANNELS = {"grey": 1, "rgb": 3, "rgba": 4}
_ORIENTATION = 274  # the EXIF tag
_TURNED = (5, 6, 7, 8)  # its values that swap width and height
_SIXTEEN_BITS = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_GREY, _ALPHA = ("1", "L"), ("LA", "La", "PA", "RGBA", "RGBa")


@dataclass(frozen=True)
class Header:
    """What an encoded image says of itself before its pixels are decoded, seen upright."""

    width: int
    height: int
    mode: str  # Pillow's name: L, RGB, RGBA, P, CMYK, I;16, …
    channels: int  # 1, 3 or 4: what its pixels need
    dtype: str  # uint8, uint16 or float32
    turned: bool  # its EXIF orientation is not upright

    @property
    def size(self) -> tuple[int, int]:
        """Width, height."""
        return self.width, self.height


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Pillow's warnings about broken metadata are silenced, and those about decompression bombs are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_header(file: IO[bytes]) -> Header:
    """The size, mode and orientation, without decoding pixels. Raises whatever Pillow raises for a broken file."""
    with Image.open(file) as image:
        orientation = _orientation(image)
        width, height = image.size[::-1] if orientation in _TURNED else image.size
        channels, dtype = _kind(image)
        return Header(width, height, image.mode, channels, dtype, orientation != 1)


def decode(file: IO[bytes]) -> np.ndarray:
    """Upright pixels [H, W, C] of the first frame: uint8, uint16 (16-bit grey) or float32 (float TIFF).

    Palettes become RGB, CMYK and other colour spaces RGB, transparency of any kind RGBA.
    """
    with Image.open(file) as image:
        turned, (channels, dtype) = _orientation(image) != 1, _kind(image)
        upright = ImageOps.exif_transpose(image) if turned else image
        if dtype == "uint8":
            upright = upright.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
        pixels = np.array(upright)
    if dtype == "uint16" and (pixels.min() < 0 or pixels.max() > 65535):
        raise ValueError("its integers do not fit in 16 bits")
    return pixels.reshape(*pixels.shape[:2], channels).astype(dtype, copy=False)


def recolour(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Pixels [..., C] in other channels: grey is repeated, colour becomes luma (ITU-R 601), alpha lies over white."""
    have = pixels.shape[-1]
    if have == channels:
        return pixels
    if have not in (1, 3, 4):
        raise ConfigError(f"images of {have} channels cannot become grey, rgb or rgba; leave channels='keep'")
    if have == 4:
        pixels = _over_white(pixels)
    if channels == 1:
        return _luma(pixels) if pixels.shape[-1] == 3 else pixels
    colour = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
    opaque = np.full_like(colour[..., :1], _white(pixels))
    return colour if channels == 3 else np.concatenate([colour, opaque], axis=-1)


def fit(pixels: np.ndarray, resolution: tuple[int, int], crop: str) -> np.ndarray:
    """Pixels [H, W, C] resized to (height, width) by an antialiased Lanczos filter, stretched or cut to its aspect."""
    height, width = resolution
    if crop == "center":
        pixels = _centre(pixels, height / width)
    if pixels.shape[:2] == (height, width):
        return pixels
    if pixels.dtype == np.uint8 and pixels.shape[-1] in (1, 3, 4):
        image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
        resized = np.array(image.resize((width, height), Image.Resampling.LANCZOS))
        return resized.reshape(height, width, -1)
    return np.stack([_resize_plane(plane, height, width) for plane in np.moveaxis(pixels, -1, 0)], axis=-1)


def widen(pixels: np.ndarray, dtype: str) -> np.ndarray:
    """uint8 pixels as uint16 where a set has both; white stays white."""
    if pixels.dtype == np.uint8 and dtype == "uint16":
        return pixels.astype(np.uint16) * np.uint16(257)
    assert pixels.dtype == np.dtype(dtype)
    return pixels


def _orientation(image: Image.Image) -> int:
    # Pillow turns TIFF itself. Elsewhere only EXIF that stands before the pixels counts, as `read_header` stops there.
    if image.format == "TIFF" or "exif" not in image.info:
        return 1
    return image.getexif().get(_ORIENTATION, 1)


def _kind(image: Image.Image) -> tuple[int, str]:
    if image.mode in _SIXTEEN_BITS:
        return 1, "uint16"
    if image.mode == "F":
        return 1, "float32"
    if image.mode in _ALPHA or "transparency" in image.info:
        return 4, "uint8"
    return (1 if image.mode in _GREY else 3), "uint8"


def _centre(pixels: np.ndarray, aspect: float) -> np.ndarray:
    have_height, have_width = pixels.shape[:2]
    height = max(1, min(have_height, round(have_width * aspect)))
    width = max(1, min(have_width, round(have_height / aspect)))
    top, left = (have_height - height) // 2, (have_width - width) // 2
    return pixels[top : top + height, left : left + width]


def _resize_plane(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    image = Image.fromarray(plane.astype(np.float32))  # Pillow's own 16-bit mode keeps no fraction between its passes
    resized = np.array(image.resize((width, height), Image.Resampling.LANCZOS))
    if plane.dtype == np.float32:
        return resized.clip(plane.min(), plane.max())  # Lanczos rings beyond the values at edges
    return np.rint(resized).clip(0, np.iinfo(plane.dtype).max).astype(plane.dtype)


def _over_white(pixels: np.ndarray) -> np.ndarray:
    white = _white(pixels)
    opacity = pixels[..., 3:].astype(np.float32) / white
    mixed = pixels[..., :3] * opacity + white * (1 - opacity)
    return _rounded(mixed, pixels.dtype)


def _luma(pixels: np.ndarray) -> np.ndarray:
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return _rounded((pixels @ weights)[..., None], pixels.dtype)


def _rounded(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    return values.astype(dtype) if dtype == np.float32 else np.rint(values).astype(dtype)


def _white(pixels: np.ndarray) -> float:
    return 1.0 if pixels.dtype == np.float32 else float(np.iinfo(pixels.dtype).max)
