"""The one form that all data takes: an `ImageStore` in memory or memory-mapped."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from organza.config import Shape

_HASHED_AT_ONCE = 64 << 20  # bytes; bounds the copy that hashing a strided or memory-mapped array makes


@dataclass(frozen=True)
class ImageStore:
    """N samples of one shape: images as uint8 [N, C, H, W] (uint16 or float32 where the source is), or points
    as float32 [N, D]."""

    name: str
    images: Tensor
    labels: Tensor | None = None  # int64 [N]
    classes: tuple[str, ...] = ()  # name of each label
    captions: tuple[str, ...] = ()  # one for each sample, or none
    licence: str = ""
    fingerprint: str = ""  # sha256 over the samples and labels, first 16 digits
    catalogue: str = ""  # its name in `organza.data.DATASETS`, when it was opened by it
    sources: Tensor | None = None  # what is translated into images like `images` [M, C, H, W]
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


def fingerprint(images: Tensor, labels: Tensor | None) -> str:
    """The first 16 hex digits of the sha256 over type, shape, samples [N, ...] and labels [N]."""
    digest = hashlib.sha256(f"{images.dtype} {tuple(images.shape)}".encode())
    array = images.numpy()
    rows = max(1, _HASHED_AT_ONCE // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        digest.update(np.ascontiguousarray(array[start : start + rows]).data)
    if labels is not None:
        digest.update(np.ascontiguousarray(labels.numpy()).data)
    return digest.hexdigest()[:16]
