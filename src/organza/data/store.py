"""The one form that all data takes: an `ImageStore` in memory or memory-mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from organza.config import ConfigError, Shape, closest

_HASHED_AT_ONCE = 64 << 20  # bytes; bounds the copy that hashing a strided or memory-mapped array makes


@dataclass(frozen=True)
class ImageStore:
    """N samples of one shape: images as uint8 [N, C, H, W] (uint16 or float32 where the source is), or points
    as float32 [N, D]."""

    name: str
    images: Tensor
    labels: Tensor | None = None  # classes, int64 [N], or attributes of zeros and ones, int64 [N, A]
    classes: tuple[str, ...] = ()  # name of each class or attribute
    captions: tuple[str, ...] = ()  # one for each sample, or none
    licence: str = ""
    fingerprint: str = ""  # sha256 over the samples and labels, first 16 digits
    catalogue: str = ""  # its name in `organza.data.DATASETS`, when it was opened by it
    sources: Tensor | None = None  # what is translated into images like `images` [M, C, H, W]
    palette: tuple[tuple[int, int, int], ...] = ()  # of label maps among the sources (`organza.data.layouts`)
    paired: bool = False  # source i is the counterpart of image i
    test: ImageStore | None = None  # the like, which training does not see

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> Shape:
        """Of one sample: (C, H, W), or (D,) for points."""
        return tuple(self.images.shape[1:])

    @property
    def scale(self) -> int:
        """How many times as tall and wide an image is as its counterpart."""
        return 1 if self.sources is None or not self.paired else self.shape[1] // self.sources.shape[2]

    @property
    def has_attributes(self) -> bool:
        """Whether labels tell several attributes of a sample, and not its class."""
        return self.labels is not None and self.labels.dim() == 2


def chosen(store: ImageStore, names: Sequence[str]) -> ImageStore:
    """The store with these attributes alone, in this order; all of them for none. Raises ConfigError."""
    if not names:
        return store
    if not store.has_attributes:
        raise ConfigError(
            f"data.attributes are {', '.join(names)}, but '{store.name}' has no table of them; put CelebA's "
            "list_attr_celeba.txt into the folder, or attributes.csv: filename,Male,Young and a row for each image"
        )
    if len(set(names)) < len(names):
        raise ConfigError(f"data.attributes names one twice: {', '.join(names)}; name each once")
    for name in names:
        if name not in store.classes:
            raise ConfigError(f"'{store.name}' has no attribute '{name}'{closest(name, store.classes)}")
    assert store.labels is not None
    labels = store.labels[:, [store.classes.index(name) for name in names]].contiguous()
    mark = hashlib.sha256(f"{store.fingerprint} {','.join(names)}".encode()).hexdigest()[:16]
    return replace(store, labels=labels, classes=tuple(names), fingerprint=mark)


def counts(labels: Tensor, classes: int) -> Tensor:
    """How many samples are of each class, or have each attribute, int64 [classes]."""
    return labels.sum(0) if labels.dim() == 2 else torch.bincount(labels, minlength=classes)


def fingerprint(images: Tensor, labels: Tensor | None) -> str:
    """The first 16 hex digits of the sha256 over type, shape, samples [N, ...] and labels [N, ...]."""
    digest = hashlib.sha256(f"{images.dtype} {tuple(images.shape)}".encode())
    array = images.numpy()
    rows = max(1, _HASHED_AT_ONCE // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    if labels is not None:
        digest.update(np.ascontiguousarray(labels.numpy()).data)
    return digest.hexdigest()[:16]
