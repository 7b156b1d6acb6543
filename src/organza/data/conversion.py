"""Any source of images -> a zip in StyleGAN's layout, which this and other libraries open."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from organza.config import ConfigError, closest
from organza.data.catalogue import Source, open_dataset
from organza.data.progress import SILENT, Progress
from organza.data.store import ImageStore

FORMATS = ("png", "webp")
_DATE = (1980, 1, 1, 0, 0, 0)  # zip's earliest: equal data give equal files


def convert(
    source: Source,
    out: str | Path,
    *,
    format: str = "png",
    split: str = "train",
    resolution: int | tuple[int, int] | None = None,
    crop: str = "none",
    channels: str = "keep",
    progress: Progress = SILENT,
) -> Path:
    """Write the samples as `00000/img00000000.png`, … and dataset.json (labels, classes, captions), losslessly.

    The zip opens to the same pixels and labels. It appears whole or not at all. Raises ConfigError for a name that
    does not end in .zip, and for samples that the format cannot hold; else as `open_dataset`.
    """
    path = Path(out)
    if path.suffix.lower() != ".zip":
        raise ConfigError(f"out is '{out}'; it takes a file that ends in .zip")
    if format not in FORMATS:
        raise ConfigError(f"format is '{format}'{closest(format, FORMATS)}")
    store = open_dataset(source, split=split, resolution=resolution, crop=crop, channels=channels, progress=progress)
    _check_fits(store, format)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        _write(store, draft, format, progress)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _write(store: ImageStore, path: Path, format: str, progress: Progress) -> None:
    names = [f"{i // 1000:05d}/img{i:08d}.{format}" for i in range(len(store))]
    images = store.images.numpy()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # images are compressed already
        for i, name in enumerate(names):
            archive.writestr(zipfile.ZipInfo(name, _DATE), _encoded(images[i], format))
            if i % 64 == 63 or i + 1 == len(names):
                progress.step("writing", i + 1, len(names))
        about = zipfile.ZipInfo("dataset.json", _DATE)
        archive.writestr(about, json.dumps(_about(store, names)), zipfile.ZIP_DEFLATED)


def _about(store: ImageStore, names: list[str]) -> dict[str, Any]:
    about: dict[str, Any] = {"labels": None}
    if store.labels is not None:
        about["labels"] = [list(pair) for pair in zip(names, store.labels.tolist(), strict=True)]
        about["classes"] = list(store.classes)
    if store.captions:
        about["captions"] = dict(zip(names, store.captions, strict=True))
    return about


def _encoded(image: np.ndarray, format: str) -> bytes:
    pixels = np.ascontiguousarray(np.moveaxis(image, 0, -1))
    buffer = io.BytesIO()
    options = {"lossless": True, "exact": True} if format == "webp" else {}  # exact: colours under alpha 0 too
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, format, **options)
    return buffer.getvalue()


def _check_fits(store: ImageStore, format: str) -> None:
    kind = str(store.images.dtype).removeprefix("torch.")
    if store.images.ndim == 2 or kind == "float32":
        what = "points" if store.images.ndim == 2 else "float images"
        raise ConfigError(f"{store.name} holds {what}, which image files cannot hold; save them with numpy.save")
    allowed = {"uint8": {"png": (1, 3, 4), "webp": (3, 4)}, "uint16": {"png": (1,), "webp": ()}}[kind][format]
    if store.shape[0] not in allowed:
        advice = "choose format png" if format == "webp" and store.shape[0] == 1 else "choose channels grey or rgb"
        raise ConfigError(f"{format} cannot hold {store.shape[0]} channels of {kind} without loss; {advice}")
