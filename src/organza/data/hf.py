"""Image data sets of the Hugging Face hub, or of a local folder in its form, through the extra `hub`."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from organza.config import ConfigError
from organza.data.listing import Entry, Listing

_CAPTIONS = ("text", "caption", "captions", "prompt")


def list_hub(name: str, split: str) -> Listing:
    """The images of `org/name` (or `org/name:configuration`), with labels and captions where it has them.

    Raises ConfigError without the extra, for an unknown split and without an image column; FileNotFoundError where
    the set does not exist or cannot be fetched.
    """
    try:
        import datasets
    except ImportError:
        raise ConfigError(f'hf:{name} needs the extra hub; type: pip install "organza[hub]"') from None
    path, _, configuration = name.partition(":")
    try:
        rows = datasets.load_dataset(path, configuration or None, split=split)
    except ValueError as problem:
        raise ConfigError(f"hf:{name}, split '{split}': {problem}") from None
    except OSError as problem:  # not found, not reached, not allowed
        raise FileNotFoundError(f"hf:{name} cannot be opened: {problem}; check the name and the connection") from None
    images = _columns(rows, datasets.Image)
    if not images:
        raise ConfigError(f"hf:{name} has the columns {', '.join(rows.column_names)}, none of them images")
    encoded = rows.cast_column(images[0], datasets.Image(decode=False))
    # The library's fingerprint changes with the content, so it can stand for it in the key of our cache.
    entries = tuple(Entry(str(i), rows._fingerprint) for i in range(len(rows)))
    about = _about(rows, _columns(rows, datasets.ClassLabel))
    return Listing(path.rsplit("/", 1)[-1], f"hf:{name}", entries, _opener(encoded, images[0]), about, _licence(rows))


def _opener(rows: Any, column: str) -> Callable[[int], IO[bytes]]:
    def open_one(i: int) -> IO[bytes]:
        cell = rows[i][column]
        return Path(cell["path"]).open("rb") if cell["bytes"] is None else io.BytesIO(cell["bytes"])

    return open_one


def _about(rows: Any, label_columns: list[str]) -> dict[str, Any]:
    about: dict[str, Any] = {}
    labels = rows[label_columns[0]] if label_columns else []
    if label_columns and min(labels) >= 0:  # -1 stands for labels that are kept secret
        about["labels"] = {str(i): int(label) for i, label in enumerate(labels)}
        about["classes"] = list(rows.features[label_columns[0]].names)
    words = [column for column in _CAPTIONS if column in rows.column_names]
    if words:
        about["captions"] = {str(i): str(text) for i, text in enumerate(rows[words[0]])}
    return about


def _columns(rows: Any, kind: type) -> list[str]:
    return [column for column, feature in rows.features.items() if isinstance(feature, kind)]


def _licence(rows: Any) -> str:
    return str(rows.info.license or "see the page of the data set")
