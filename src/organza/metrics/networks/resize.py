"""From bytes to what a network sees: the frozen protocols of resizing and scaling.

Two libraries that resize differently get different scores from equal images (Parmar et al., arXiv:2104.11222), so each
protocol has a name, which is part of the metric's name, and none of them ever changes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, red, green and blue in [0, 1]


def rgb(images: Tensor) -> Tensor:
    """uint8 images [B, 1 or 3, H, W] -> float32 [B, 3, H, W] in 0..255. Raises ConfigError for other channels."""
    channels = images.shape[1]
    if channels == 4:
        raise ConfigError(
            "this network was trained on opaque images and cannot see alpha; lay the images on a background first, or "
            "take the network general, which sees alpha"
        )
    if channels not in (1, 3):
        raise ConfigError(f"images have {channels} channels; this network takes 1 (grey) or 3 (RGB)")
    return images.float().expand(-1, 3, -1, -1)


def tf1_bilinear(images: Tensor, size: int) -> Tensor:
    """float32 [B, C, H, W] -> [B, C, size, size] as TensorFlow 1 resizes: corners not aligned, no half pixels.

    Output i looks at i * H / size, which shifts the image by half a pixel, and does not average when it shrinks.
    """
    rows, below, down = _neighbours(images.shape[2], size, images.device)
    columns, right, across = _neighbours(images.shape[3], size, images.device)
    wide = images[..., columns] + (images[..., right] - images[..., columns]) * across
    return wide[..., rows, :] + (wide[..., below, :] - wide[..., rows, :]) * down[:, None]


def _neighbours(before: int, after: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The two inputs of each output, and the weight of the second."""
    scale = torch.tensor(before, dtype=torch.float32) / after  # in float32, as TensorFlow has it
    place = (torch.arange(after, dtype=torch.float32) * scale).to(device)
    first = place.floor().long().clamp(max=before - 1)
    return first, (first + 1).clamp(max=before - 1), place - first


def bicubic(images: Tensor, size: int) -> Tensor:
    """float32 0..255 [B, C, H, W] -> [B, C, size, size], cubic (a = -0.5), averaging when it shrinks, as Pillow does.

    It equals Pillow in mode F within 0.001 of a grey level (0.01 for white noise), on every device, and is clipped.
    """
    return _cubic(images, size, size).clamp(0, 255)


def _cubic(images: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(images, (height, width), mode="bicubic", antialias=True)


def _as_bytes(values: Tensor) -> Tensor:
    """Clipped and rounded, halves up."""
    return (values + 0.5).floor().clamp(0, 255)


def legacy(images: Tensor) -> Tensor:
    """uint8 [B, C, H, W] -> [B, 3, 299, 299], about -1..1: the FID of Heusel et al. (arXiv:1706.08500)."""
    return (tf1_bilinear(rgb(images), 299) - 128) / 128


def clean(images: Tensor) -> Tensor:
    """uint8 [B, C, H, W] -> [B, 3, 299, 299], about -1..1: clean-FID (arXiv:2104.11222), not rounded to bytes."""
    return (bicubic(rgb(images), 299) - 128) / 128


def tf1_imagenet(images: Tensor) -> Tensor:
    """uint8 [B, C, H, W] -> [B, 3, 224, 224] by mean and deviation of ImageNet: VGG16 for precision and recall."""
    return imagenet(tf1_bilinear(rgb(images), 224) / 255)


def bytes_imagenet(images: Tensor) -> Tensor:
    """uint8 [B, C, H, W] -> [B, 3, 224, 224] by mean and deviation of ImageNet: DINOv2.

    As Pillow resizes bytes: first the rows, then the columns, each time clipped and rounded to bytes.
    """
    wide = _as_bytes(_cubic(rgb(images), images.shape[2], 224))
    return imagenet(_as_bytes(_cubic(wide, 224, 224)) / 255)


def centred(images: Tensor) -> Tensor:
    """uint8 [B, C, H, W] -> [B, 3, 224, 224] in [-1, 1]: EfficientNet-Lite."""
    return bicubic(rgb(images), 224) / 127.5 - 1


def imagenet(images: Tensor) -> Tensor:
    """[B, 3, H, W] in [0, 1] -> the same with the mean 0 and the deviation 1 of ImageNet."""
    mean, deviation = (torch.tensor(v, device=images.device)[:, None, None] for v in (MEAN, DEVIATION))
    return (images - mean) / deviation
