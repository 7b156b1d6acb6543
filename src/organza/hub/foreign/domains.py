"""State dicts of networks that translate between domains, as their official code writes them.

MUNIT, UNIT   {a, b}: enc_style, enc_content, mlp and dec of each domain; or enc and dec
StarGAN       main.0 (a picture and a plane for each class)
StarGAN v2    {generator, mapping_network, style_encoder}; what finds masks in faces is not part of it
AnimeGANv2    block_a.0.1, … of the published PyTorch conversion
"""

from __future__ import annotations

import re
from typing import Any

from organza.config import Model
from organza.hub.foreign.parts import OFFICIAL, UNKNOWN, Described, Tensors, count
from organza.training.checkpoint import DamagedError

PARTS = (("a", "b"), ("generator", "mapping_network", "style_encoder"))  # of files with several state dicts
NOT_FOR_TRADE = "unknown; official weights are for non-commercial use"
SIDE = 256  # of the source that is written down; the networks take others

Made = tuple[str, Described, str]


def munit(tensors: Tensors, notes: list[str]) -> Made:
    """Both coders. The norm of styled blocks keeps statistics that nothing reads."""
    stray = {name for name in tensors if re.match(r"[ab]\.dec\.model\.0\..*\.norm\.running_", name)}
    tensors = {name: tensor for name, tensor in tensors.items() if name not in stray}
    content, style = r"a\.enc_content\.model\.(\d+)\.conv\.", r"a\.enc_style\.model\.(\d+)\.conv\."
    downs, style_downs = count(tensors, content) - 1, count(tensors, style) - 1
    options = {
        "style_dim": len(tensors[f"a.enc_style.model.{style_downs + 2}.weight"]),
        "width": len(tensors["a.enc_content.model.0.conv.weight"]),
        "downs": downs,
        "blocks": count(tensors, rf"a\.enc_content\.model\.{downs + 1}\.model\.(\d+)\."),
        "style_downs": style_downs,
        "mlp_width": len(tensors["a.mlp.model.0.fc.weight"]),
    }
    return "MUNIT, both domains", _both("munit", options, "enc_content", tensors), OFFICIAL


def unit(tensors: Tensors, notes: list[str]) -> Made:
    """Both coders."""
    downs = count(tensors, r"a\.enc\.model\.(\d+)\.conv\.") - 1
    options = {
        "width": len(tensors["a.enc.model.0.conv.weight"]),
        "downs": downs,
        "blocks": count(tensors, rf"a\.enc\.model\.{downs + 1}\.model\.(\d+)\."),
    }
    return "UNIT, both domains", _both("unit", options, "enc", tensors), OFFICIAL


def stargan(tensors: Tensors, notes: list[str]) -> Made:
    """The generator; planes of the first convolution beyond the channels of a picture are classes."""
    width, planes = tensors["main.0.weight"].shape[:2]
    last = max((name for name in tensors if re.fullmatch(r"main\.\d+\.weight", name)), key=lambda n: int(n[5:-7]))
    channels = len(tensors[last])
    blocks = len({found[1] for name in tensors if (found := re.match(r"main\.(\d+)\.main\.", name))})
    if planes <= channels:
        raise DamagedError("a StarGAN generator without classes")
    notes.append("a label is one class here; attributes at once, as of CelebA, are given to its generator as floats")
    shape, options = (channels, 128, 128), {"width": width, "blocks": blocks}
    made = Described(Model(name="stargan", options=options), shape, planes - channels, tensors, shape)
    return f"StarGAN's generator of {planes - channels} classes", made, UNKNOWN


def stargan_v2(tensors: Tensors, notes: list[str]) -> Made:
    """The generator, the mapping network and the style encoder; by how often they halve, size and filter are known."""
    halvings = count(tensors, r"style_encoder\.shared\.(\d+)\.conv1\.") - 1  # the first layer has number 0
    side, downs = 4 << halvings, count(tensors, r"generator\.encode\.(\d+)\.") - 2
    classes = count(tensors, r"mapping_network\.unshared\.(\d+)\.")
    style_dim, z_dim = (tensors[f"mapping_network.{place}"] for place in ("unshared.0.6.weight", "shared.0.weight"))
    width, channels = tensors["generator.from_rgb.weight"].shape[:2]
    widest = max(len(t) for name, t in tensors.items() if t.dim() == 4 and not name.startswith("mapping_network."))
    filtered = downs == side.bit_length() - 1 - 4 + 1 and side > 16
    options = {
        "z_dim": z_dim.shape[1], "style_dim": len(style_dim), "width": width, "max_width": widest, "downs": downs,
        "w_hpf": 1.0 if filtered else 0.0, "mapping_width": len(z_dim),
    }  # fmt: skip
    if filtered:
        notes.append("made for faces, whose masks another network finds; here there are none")
    shape = (len(tensors["generator.to_rgb.2.weight"]), side, side)
    made = Described(Model(name="stargan-v2", options=options), shape, classes, tensors, (channels, side, side))
    return f"StarGAN v2 of {classes} domains at {side} pixels", made, NOT_FOR_TRADE


def animegan(tensors: Tensors, notes: list[str]) -> Made:
    """The generator."""
    width, channels = tensors["block_a.0.1.weight"].shape[:2]
    blocks = len({found[1] for name in tensors if (found := re.match(r"block_c\.(\d+)\.layers\.", name))})
    shape = (len(tensors["out_layer.0.weight"]), SIDE, SIDE)
    model = Model(name="animegan", options={"width": width, "blocks": blocks})
    made = Described(model, shape, 0, tensors, (channels, SIDE, SIDE))
    return "AnimeGANv2's generator", made, NOT_FOR_TRADE


def _both(name: str, options: dict[str, Any], encoder: str, tensors: Tensors) -> Described:
    a, b = (tensors[f"{domain}.{encoder}.model.0.conv.weight"].shape[1] for domain in "ab")
    shape = (a + b, SIDE, SIDE)
    return Described(Model(name=name, options=options | {"channels_of_a": a}), shape, 0, tensors, shape)


READERS = (
    (lambda t: "a.enc_content.model.0.conv.weight" in t and "a.mlp.model.0.fc.weight" in t, munit),
    (lambda t: "a.enc.model.0.conv.weight" in t and "b.enc.model.0.conv.weight" in t, unit),
    (lambda t: "generator.from_rgb.weight" in t and "mapping_network.shared.0.weight" in t, stargan_v2),
    (lambda t: "main.0.weight" in t and any(re.match(r"main\.\d+\.main\.0\.", name) for name in t), stargan),
    (lambda t: "block_a.0.1.weight" in t and "out_layer.0.weight" in t, animegan),
)
