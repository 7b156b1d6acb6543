"""Arrays and tables in files or in memory -> images [N, C, H, W] or points [N, D], with labels."""

from __future__ import annotations

import csv
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError
from organza.data.files import check_range
from organza.data.idx import labels_beside, read_idx
from organza.data.store import ImageStore, fingerprint

SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".safetensors", ".csv", ".tsv")
PICKLES = (".pkl", ".pickle", ".p", ".joblib")
_SAMPLES = ("images", "samples", "points", "data", "x", "X", "arr_0")  # arr_0, arr_1: what numpy.savez writes unasked
_LABELS = ("labels", "label", "targets", "y", "Y", "arr_1")
_LABEL_COLUMNS = ("label", "labels", "class", "target", "y_true", "mode")


def is_array_file(path: Path) -> bool:
    """Whether the name says that `open_array` reads it, or refuses it with a reason."""
    suffix = path.suffix.lower()
    return suffix in SUFFIXES + PICKLES or "-ubyte" in path.name or ".idx" in path.name.lower()


def open_array(path: Path, split: str) -> ImageStore:
    """The samples and labels of an array file. Raises ConfigError for pickles, damage and unclear shapes."""
    where, suffix = str(path), path.suffix.lower()
    if suffix in PICKLES:
        raise ConfigError(_refusal(where))
    if suffix in (".csv", ".tsv"):
        points, labels, classes = _read_csv(path)
        return from_arrays(points, labels, path.stem, where, classes)
    samples, labels = _read(path, split)
    return from_arrays(samples, labels, path.name.split(".")[0], where)


def open_idx_folder(folder: Path, split: str, name: str, classes: tuple[str, ...] = ()) -> ImageStore | None:
    """The split of a folder with the file names of MNIST, or None where they are not there."""
    prefix = {"train": "train", "test": "t10k"}.get(split, split)
    for end in ("-images-idx3-ubyte", "-images-idx3-ubyte.gz"):
        path = folder / f"{prefix}{end}"
        labels = labels_beside(path)
        if path.is_file():
            digits = None if labels is None else read_idx(labels)
            return from_arrays(read_idx(path), digits, name, str(path), classes)
    return None


def from_arrays(
    samples: Any, labels: Any, name: str, where: str, classes: tuple[str, ...] = (), licence: str = ""
) -> ImageStore:
    """Samples [N, H, W], [N, H, W, C], [N, C, H, W] or points [N, D] as a store. Raises ConfigError."""
    if isinstance(samples, Tensor) and samples.dtype == torch.bfloat16:  # which NumPy does not know
        samples = samples.float()
    array = samples.detach().cpu().numpy() if isinstance(samples, Tensor) else np.asarray(samples)
    if array.ndim == 0 or array.size == 0:
        raise ConfigError(f"{where} has an empty array of shape {array.shape}; it takes at least one sample")
    array = _channels_first(_typed(array, where), where)
    if array.dtype == np.float32 and array.ndim == 4:
        check_range(array, where)
    if not array.flags.writeable or min(array.strides) < 0:  # what torch does not share
        array = array.copy()
    images = torch.from_numpy(array)
    numbers = None if labels is None else _labels(labels, len(images), where)
    if numbers is not None:
        classes = classes or tuple(map(str, range(int(numbers.max()) + 1)))
    return ImageStore(name, images, numbers, classes, (), licence, fingerprint(images, numbers))


def _read(path: Path, split: str) -> tuple[Any, Any]:
    suffix, where = path.suffix.lower(), str(path)
    if suffix in (".pt", ".pth"):
        return _pick(_load_torch(path), split, where)
    if suffix == ".safetensors":
        return _pick(_load_safetensors(path), split, where)
    if suffix in (".npy", ".npz"):
        return _pick(_load_numpy(path), split, where)
    labels = labels_beside(path)
    return read_idx(path), None if labels is None else read_idx(labels)


def _load_numpy(path: Path) -> Any:
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, mmap_mode="c", allow_pickle=False)  # c: pages are read as needed, writes stay private
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile) as problem:
        if "pickle" in str(problem).lower() or "Python objects" in str(problem):
            raise ConfigError(_refusal(str(path))) from None
        raise ConfigError(f"{path} is damaged: {problem}; make or fetch it again") from None


def _load_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise ConfigError(_refusal(str(path))) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as problem:
        reason = (str(problem) or type(problem).__name__).splitlines()[0]
        raise ConfigError(f"{path} is damaged: {reason}; make or fetch it again") from None


def _load_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as problem:
        raise ConfigError(f"{path} is damaged: {problem}; make or fetch it again") from None


def _pick(content: Any, split: str, where: str) -> tuple[Any, Any]:
    """Samples and labels by their usual names: images and labels, x_train and y_train, arr_0 and arr_1, …"""
    if isinstance(content, (np.ndarray, Tensor)):
        return content, None
    if isinstance(content, (tuple, list)) and len(content) == 2:
        return content[0], content[1]
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where} holds a {type(content).__name__}; it takes an array, or 'images' and 'labels'")
    if len(content) == 1:
        return next(iter(content.values())), None
    divided = [key for key in content if key in (f"x_{split}", f"{split}_images")]
    samples = divided or [key for key in _SAMPLES if key in content]
    if not samples:
        raise ConfigError(f"{where} holds {', '.join(map(repr, content))}; name the samples 'images' and 'labels'")
    names = (f"y_{split}", f"{split}_labels") if divided else _LABELS
    return content[samples[0]], next((content[key] for key in names if key in content), None)


def _typed(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype.kind not in "biuf":
        raise ConfigError(f"{where} has values of type {array.dtype}; it takes uint8, uint16 or float32")
    if array.ndim == 2:
        return _finite(array.astype(np.float32), where)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        return array.astype(np.float32, copy=False)
    if array.dtype in (np.uint8, np.uint16):
        return array
    low, high = int(array.min()), int(array.max())
    if low < 0 or high > 65535:
        raise ConfigError(f"{where} has integers from {low} to {high}; images take 0 to 255 or 0 to 65535")
    return array.astype(np.uint8 if high < 256 else np.uint16)


def _finite(points: np.ndarray, where: str) -> np.ndarray:
    bad = len(points) - int(np.isfinite(points).all(axis=1).sum())
    if bad:
        raise ConfigError(f"{where} has {bad} points with NaN or infinite numbers; remove them")
    return points


def _channels_first(array: np.ndarray, where: str) -> np.ndarray:
    if array.ndim == 2:
        return array
    if array.ndim == 3:
        return array[:, None]
    if array.ndim != 4:
        raise ConfigError(
            f"{where} has the shape {list(array.shape)}; "
            "images take [N, H, W], [N, H, W, C] or [N, C, H, W], points [N, D]"
        )
    first, height, last = array.shape[1:]
    if first in (1, 3, 4) or (last not in (1, 3, 4) and first < min(height, last)):
        return array
    if last in (1, 3, 4) or last < min(first, height):
        return np.moveaxis(array, -1, 1)
    raise ConfigError(f"{where} has the shape {list(array.shape)}, whose channels are unclear; save it as [N, C, H, W]")


def _labels(labels: Any, count: int, where: str) -> Tensor:
    array = labels.detach().cpu().numpy() if isinstance(labels, Tensor) else np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (count,):
        raise ConfigError(f"{where} has {count} samples but labels of shape {list(array.shape)}; it takes [{count}]")
    if array.dtype.kind not in "iufb" or (array != np.floor(array)).any() or array.min() < 0 or array.max() > 100_000:
        raise ConfigError(f"{where} has labels such as {array[0]!r}; they must be whole numbers from 0")
    return torch.from_numpy(array.astype(np.int64))


def _read_csv(path: Path) -> tuple[np.ndarray, np.ndarray | None, tuple[str, ...]]:
    mark, head, first = _csv_head(path)
    label = _label_column(head, first)
    columns = [i for i in range(len(first)) if i != label]
    table = _table(path, mark, bool(head), columns, np.float32)
    if label is None:
        return table, None, ()
    words = _table(path, mark, bool(head), [label], np.str_)[:, 0]
    classes, numbers = np.unique(words, return_inverse=True)
    if all(word.isdigit() for word in classes):  # they are numbers already: keep them
        return table, words.astype(np.int64), ()
    return table, numbers, tuple(map(str, classes))


def _csv_head(path: Path) -> tuple[str, list[str], list[str]]:
    """The delimiter, the cells of the header (none without one) and those of the first point."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = [line for line in (file.readline(), file.readline()) if line.strip()]
    mark = max(",;\t", key="".join(lines).count)
    try:
        rows = [[cell.strip() for cell in cells] for cells in csv.reader(lines, delimiter=mark)]
    except csv.Error as problem:
        raise ConfigError(f"{path} holds no points: {problem}") from None
    head = rows.pop(0) if rows and not any(map(_is_number, rows[0])) else []
    if not rows:
        raise ConfigError(f"{path} has no points; it takes one on each line: x,y")
    return mark, head, rows[0]


def _table(path: Path, mark: str, skip: bool, columns: list[int], kind: Any) -> np.ndarray:
    try:
        return np.loadtxt(
            path,
            kind,
            delimiter=mark,
            skiprows=int(skip),
            usecols=columns,
            ndmin=2,
            encoding="utf-8-sig",
            quotechar='"',
        )
    except ValueError as problem:
        raise ConfigError(f"{path}: {problem}; every line takes {len(columns)} numbers, and a label if any") from None


def _label_column(head: list[str], first: list[str]) -> int | None:
    named = [i for i, word in enumerate(head) if word.lower() in _LABEL_COLUMNS]
    words = [i for i, cell in enumerate(first) if not _is_number(cell)]
    return next(iter(named or words), None)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _refusal(where: str) -> str:
    return (
        f"{where} holds pickled Python objects, which can run any code when opened; Organza never opens them; "
        "save plain arrays: numpy.savez(path, images=..., labels=...), or torch.save of a dict of two tensors"
    )
