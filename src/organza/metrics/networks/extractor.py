"""What every feature network is to a metric: images in, features out, under a name that says what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.training.precision import full_precision

Compute = Callable[[nn.Module, Tensor], tuple[Tensor, Tensor | None]]
"""A network and uint8 images [B, C, H, W] on its device -> features [B, D], and logits [B, K] or None."""


@dataclass(frozen=True)
class Extractor:
    """A frozen network with its protocol; scores of two of them compare when name, resizer and sha256 are equal."""

    name: str
    resizer: str  # and size, such as tf1-bilinear-299
    dim: int  # of the features
    classes: int  # of the logits; 0 where there are none
    sha256: str  # of the file of weights
    network: nn.Module
    compute: Compute

    def features(
        self, images: Tensor, batch: int = 64, device: str | torch.device = "cpu", progress: Progress = SILENT
    ) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, D] on the CPU. Raises ConfigError as `both` does."""
        return self.both(images, batch, device, progress)[0]

    def logits(
        self, images: Tensor, batch: int = 64, device: str | torch.device = "cpu", progress: Progress = SILENT
    ) -> Tensor:
        """uint8 [N, C, H, W] -> float32 [N, K] on the CPU. Raises ConfigError as `both`, and where there are none."""
        if not self.classes:
            raise ConfigError(f"the network {self.name} has no classes; take inception-legacy, inception-clean, digits")
        found = self.both(images, batch, device, progress)[1]
        assert found is not None
        return found

    @torch.no_grad()
    def both(
        self, images: Tensor, batch: int = 64, device: str | torch.device = "cpu", progress: Progress = SILENT
    ) -> tuple[Tensor, Tensor | None]:
        """Features [N, D] and logits [N, K], or None, of one pass: uint8 [N, C, H, W], in float32, without TF32.

        Raises ConfigError for other types and shapes, for no images, for a set without any structure, and for channels
        that the network does not see.
        """
        must_be_images(images)
        if batch < 1:
            raise ConfigError(f"batch is {batch}; it takes at least 1")
        network = self.network.to(device).eval()
        features, logits = torch.empty(len(images), self.dim), torch.empty(len(images), self.classes)
        with full_precision():
            for start in range(0, len(images), batch):
                part = slice(start, start + batch)
                found, judged = self.compute(network, images[part].to(device))
                features[part] = found.float().cpu()
                if judged is not None:
                    logits[part] = judged.float().cpu()
                progress.step(f"features of {self.name}", min(start + batch, len(images)), len(images))
        if not features.isfinite().all():
            raise ConfigError(f"the network {self.name} made NaN or infinite features; its weights are damaged")
        return features, logits if self.classes else None


def must_be_images(images: Tensor) -> None:
    """Raise ConfigError, which says what to give, for all but uint8 [N, C, H, W] with something to see."""
    if not isinstance(images, Tensor) or images.dim() != 4 or 0 in images.shape:
        given = f"shape {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise ConfigError(f"features are those of a tensor of images [N, C, H, W], all at least 1, not of {given}")
    if images.dtype != torch.uint8:
        if images.is_floating_point() and not images.isfinite().all():
            raise ConfigError("the images have NaN or infinite values; look at the generator that made them")
        raise ConfigError(
            f"images are {images.dtype}; features are taken from uint8, 0 to 255, as they would be saved: convert "
            "with organza.training.batches.to_bytes (from -1..1)"
        )
    if all(torch.equal(flat.amin(2), flat.amax(2)) for flat in images.flatten(2).split(256)):
        raise ConfigError(
            f"all {len(images)} images are constant, of one colour each: there is nothing to judge; look at the samples"
        )
