"""State dicts of discriminators of translators (`*_net_D*.pth`): no translator, but training may start from them."""

from __future__ import annotations

import re
from typing import Any

from organza.config import Model
from organza.hub.foreign.parts import Described, Tensors, count
from organza.layers.norm_names import new_names
from organza.training.checkpoint import DamagedError

SIDE = 256
SIGNS = {  # of those that are not read: a name that only they have
    "cnns.0.0.conv.weight": "MUNIT's or UNIT's", "a.cnns.0.0.conv.weight": "MUNIT's or UNIT's",
    "conv1.weight": "StarGAN's",
}  # fmt: skip


def is_discriminator(tensors: Tensors) -> bool:
    """Whether these are the tensors of a discriminator that is known."""
    return _kind(tensors) != ""


def discriminator(tensors: Tensors) -> tuple[str, Described]:
    """(what it is, the network). Raises DamagedError for one that is known and not read."""
    kind = _kind(tensors)
    if kind not in READERS:
        raise DamagedError(
            f"{kind} discriminator, which judges pictures and translates none; give the file of the generator"
        )
    name, options, channels, found = READERS[kind](tensors)
    return f"{kind} discriminator", Described(Model(name=name, options=options), (channels, SIDE, SIDE), 0, found)


Read = tuple[str, dict[str, Any], int, Tensors]


def _kind(tensors: Tensors) -> str:
    """Whose it is, in words, or nothing."""
    if _is_patches(tensors) or _is_pixels(tensors):
        return "pix2pix's or CycleGAN's"
    if "scale0_layer0.0.weight" in tensors:
        return "pix2pixHD's"
    if "discriminator_0.model0.0.weight" in tensors:
        return "SPADE's"
    if {"conv0.weight", "conv9.weight", "conv1.weight_orig"} <= tensors.keys():
        return "Real-ESRGAN's"
    if sign := next((name for name in SIGNS if name in tensors), ""):
        return SIGNS[sign] if sign != "conv1.weight" or "main.0.weight" in tensors else ""
    return ""


def _is_patches(tensors: Tensors) -> bool:
    first = tensors.get("model.0.weight")
    flat = all(re.fullmatch(r"model\.\d+\.\w+", name) for name in tensors)
    return flat and first is not None and first.dim() == 4 and first.shape[2:] == (4, 4)


def _is_pixels(tensors: Tensors) -> bool:
    first = tensors.get("net.0.weight")
    return first is not None and first.dim() == 4 and first.shape[2:] == (1, 1) and len(first) > 1


def _patches(tensors: Tensors) -> Read:
    body = "net" if "net.0.weight" in tensors else "model"
    width, channels = tensors[f"{body}.0.weight"].shape[:2]
    convolutions = sum(tensor.dim() == 4 for name, tensor in tensors.items() if not name.endswith(".filt"))
    options: dict[str, Any] = {"layers": convolutions - 2 if body == "model" else 0, "width": width}
    options["norm"] = _norm(tensors)
    options["antialias"] = any(name.endswith(".filt") for name in tensors)
    return "pix2pix", options, channels, tensors


def _scales(tensors: Tensors) -> Read:
    width, channels = tensors["scale0_layer0.0.weight"].shape[:2]
    options = {"layers": count(tensors, r"scale0_layer(\d+)\.") - 2, "scales": count(tensors, r"scale(\d+)_layer"),
               "width": width, "norm": _norm(tensors)}  # fmt: skip
    return "pix2pixhd", options, channels, tensors


def _spade(tensors: Tensors) -> Read:
    tensors = new_names(tensors)
    width, channels = tensors["discriminator_0.model0.0.weight"].shape[:2]
    options = {"layers": count(tensors, r"discriminator_0\.model(\d+)\.") - 1, "width": width,
               "scales": count(tensors, r"discriminator_(\d+)\."),
               "spectral": any(name.endswith(".original") for name in tensors)}  # fmt: skip
    return "spade", options, channels, tensors


def _u_net(tensors: Tensors) -> Read:
    width, channels = tensors["conv0.weight"].shape[:2]
    return "srvgg", {"width": width}, channels, new_names(tensors)


def _norm(tensors: Tensors) -> str:
    """Instance norm and none leave the same traces; the published networks have instance norm."""
    return "batch" if any(name.endswith("running_var") for name in tensors) else "instance"


READERS = {
    "pix2pix's or CycleGAN's": _patches, "pix2pixHD's": _scales, "SPADE's": _spade, "Real-ESRGAN's": _u_net,
}  # fmt: skip
