"""Trained networks that penalties look through at pictures; the field `perceptual` of a configuration names one.

| name | how far two pictures are apart | of |
| --- | --- | --- |
| `vgg19` | sum w |f(x) - f(y)| after relu1_1 to relu5_1, w of 1/32, 1/16, 1/8, 1/4 and 1 | pix2pixHD, SPADE |
| `vgg19-esrgan` | |f(x) - f(y)| at conv5_4, before its ReLU | ESRGAN (arXiv:1809.00219, section 3.2) |
| `vgg19-real-esrgan` | sum w |f(x) - f(y)| at conv1_2, 2_2, 3_4, 4_4 and 5_4, w of .1, .1, 1, 1 and 1 | Real-ESRGAN |
| `resnet50-ade20k` | sum (f(x) - f(y))^2 after the four stages of a dilated ResNet50 that segments | LaMa |
| `lpips-vgg` | LPIPS on VGG16 (arXiv:1801.03924) | |
| `general` | a sum of squares over the stages of the embedded network, and pixels | |
| `auto` | `lpips-vgg` where its weights are found, else `general` | |

A run writes down which one it was, and goes on with that one. Weights of VGG and of the ResNet are not shipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError, closest
from organza.latent.perceptual import resized, through_general, through_lpips, views
from organza.metrics.lpips import Lpips, open_lpips
from organza.metrics.networks.dilated import DilatedResNet50
from organza.metrics.networks.general import SIZE, GeneralNetwork, general_network
from organza.metrics.networks.vgg import Vgg19
from organza.metrics.weights import filled, is_here, load_weights
from organza.penalties.distances import apart

LAYERS: dict[str, dict[int, float]] = {
    "vgg19": {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0},
    "vgg19-esrgan": {34: 1.0},
    "vgg19-real-esrgan": {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0},
}
"""Weights of the layers of VGG19, by number."""
NAMES = (*LAYERS, "resnet50-ade20k", "lpips-vgg", "general", "auto")
CONV4_4 = 25
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for colours in [0, 1]


@dataclass(frozen=True)
class Eyes:
    """A trained network, as the penalties use it."""

    name: str
    distance: Callable[[Tensor, Tensor], Tensor]  # two batches [B, C, H, W] of 1, 3 or 4 channels in [-1, 1] -> [B]
    features: Callable[[Tensor], Tensor]  # RGB [B, 3, H, W] in [-1, 1] -> [B, F, h, w]: deep, but in their places


def chosen(name: str) -> str:
    """The network that `name` is on this machine. Raises ConfigError for an unknown one."""
    if name not in NAMES:
        raise ConfigError(f"perceptual is '{name}'{closest(name, NAMES)}")
    if name != "auto":
        return name
    return "lpips-vgg" if is_here("lpips-vgg") and is_here("vgg16") else "general"


@cache
def open_eyes(name: str, device: str) -> Eyes:
    """The network `name`, opened once. Raises ConfigError for weights that are not there, with where to put them."""
    name = chosen(name)
    if name == "general":
        network = general_network().to(device)
        return Eyes(name, through_general(device, network), _general_features(network))
    if name == "lpips-vgg":
        lpips = open_lpips("vgg").to(device).eval()
        return Eyes(name, through_lpips(lpips, device), _features_of_16(lpips))
    if name == "resnet50-ade20k":
        return through_resnet(filled(DilatedResNet50, load_weights(name), DilatedResNet50.unused).to(device))
    return through_19(name, filled(Vgg19, load_weights("vgg19"), Vgg19.unused).to(device))


def through_resnet(network: DilatedResNet50) -> Eyes:
    """What LaMa sees (arXiv:2109.07161, eq. 3): mean squares over each stage. The features are those of the second."""

    def between(one: Tensor, two: Tensor) -> Tensor:
        stages = zip(*(network.stages(_by_imagenet(view)) for view in (one, two)), strict=True)
        return torch.stack([(a - b).square().flatten(1).mean(1) for a, b in stages]).sum(0)

    return Eyes(
        "resnet50-ade20k", _over_views(between), lambda x: next(islice(network.stages(_by_imagenet(x)), 1, None))
    )


def through_19(name: str, network: Vgg19) -> Eyes:
    """What `name` of `LAYERS` sees through VGG19. The features are those of conv4_4, before its ReLU."""
    weights = LAYERS[name]

    def between(one: Tensor, two: Tensor) -> Tensor:
        seen = zip(*(network.after(_by_imagenet(view), weights) for view in (one, two)), strict=True)
        return torch.stack([w * apart(a, b) for w, (a, b) in zip(weights.values(), seen, strict=True)]).sum(0)

    return Eyes(name, _over_views(between), lambda images: next(network.after(_by_imagenet(images), (CONV4_4,))))


def _over_views(between: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The distance of RGB pictures as one of 1, 3 or 4 channels."""

    def distance(one: Tensor, two: Tensor) -> Tensor:
        return torch.stack([between(a, b) for a, b in zip(views(one), views(two), strict=True)]).mean(0)

    return distance


def _features_of_16(lpips: Lpips) -> Callable[[Tensor], Tensor]:
    """Those of conv4_3, after its ReLU."""
    shift, scale = lpips.get_buffer("shift"), lpips.get_buffer("scale")
    return lambda images: next(islice(lpips.network.slices((images.float() - shift) / scale), 3, None))


def _general_features(network: GeneralNetwork) -> Callable[[Tensor], Tensor]:
    """[B, 72, 8, 8] of the embedded network, of about unit size."""

    def look(images: Tensor) -> Tensor:
        return network.stages[:2](F.relu(network.norm(network.stem(resized(images.float(), (SIZE, SIZE))))))

    return look


def _by_imagenet(images: Tensor) -> Tensor:
    mean, deviation = (torch.tensor(numbers, device=images.device).view(-1, 1, 1) for numbers in (MEAN, DEVIATION))
    return ((images.float() + 1) / 2 - mean) / deviation
