"""Sources of every kind -> one `ImageStore`; and the tools that check, show and convert them."""

from __future__ import annotations

from organza.data.catalogue import DATASETS, open_data, open_dataset
from organza.data.conversion import convert
from organza.data.inspection import DataReport, check, preview
from organza.data.progress import SILENT, Progress
from organza.data.store import ImageStore

__all__ = [
    "DATASETS",
    "SILENT",
    "DataReport",
    "ImageStore",
    "Progress",
    "check",
    "convert",
    "open_data",
    "open_dataset",
    "preview",
]
