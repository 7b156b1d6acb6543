import io
from pathlib import Path

import numpy as np
from PIL import Image


def pixels(seed: int, height: int = 8, width: int = 8, channels: int = 3, dtype=np.uint8) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.RandomState(seed).randint(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


def encoded(array: np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, kind, **options)
    return buffer.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def as_array(images, i: int) -> np.ndarray:
    """One image of a store as Pillow sees it: [H, W] or [H, W, C]."""
    array = images[i].permute(1, 2, 0).numpy()
    return array[..., 0] if array.shape[-1] == 1 else array
