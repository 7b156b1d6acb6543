"""StyleGAN2 (and ADA), StyleGAN3 and the first stage of StyleGAN-XL, under the names of the official PyTorch files.

Sizes come from the shapes of the tensors; the arguments of the constructor and the settings of the layers tell what
shapes do not. Arguments that tell other sizes are refused, and so are filters of StyleGAN3 that are not the design's.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch
from torch.nn import functional as F

from organza.config import Model
from organza.hub.foreign.parts import Described, Part, Tensors, must_agree, must_be_sane
from organza.layers.style import ROOT2
from organza.models import build
from organza.training.checkpoint import DamagedError

RATE = 0.01  # of the mapping's learning, which Organza's StyleGAN has fixed
FILTERS = 1e-4  # the largest difference between a stored filter and the design's


def generator(part: Part, notes: list[str]) -> Described:
    """Of either generation. Raises DamagedError for a form that Organza's networks have not."""
    _must_be_usual(part)
    if part.name == "SuperresGenerator":
        raise DamagedError(
            "the upper layers of a StyleGAN-XL with super-resolution follow another design than its first ones, which "
            "Organza's StyleGAN3 has not; its first stage (the stem's file) can be read"
        )
    if "synthesis.input.freqs" in part.tensors:
        return _generator3(part, notes)
    if "synthesis.b4.const" in part.tensors:
        return _generator2(part)
    raise DamagedError(f"a generator of the class {part.name} is no StyleGAN2 or 3; type --list to see what it has")


def discriminator(part: Part) -> Described:
    """StyleGAN2's and 3's are the same. Raises DamagedError."""
    _must_be_usual(part)
    tensors = dict(part.tensors)
    levels = _levels(tensors, r"b(\d+)\.")
    if len(levels) < 2 or "b4.conv.weight" not in tensors:
        raise DamagedError(f"a discriminator of the class {part.name} is none of StyleGAN2's; it is left out")
    widths = [tensors["b4.conv.weight"].shape[0], *(tensors[f"b{r}.conv0.weight"].shape[1] for r in levels[1:])]
    classes = tensors["mapping.embed.weight"].shape[1] if "mapping.embed.weight" in tensors else 0
    first = f"b{levels[-1]}"
    seen = f"b{levels[0]}.fromrgb.weight" in tensors
    arch = "skip" if seen else "resnet" if f"{first}.skip.weight" in tensors else "orig"
    group = part.argument("mbstd_group_size", part.setting("b4.mbstd", "group_size", 4))
    options = {
        "width": widths[-1], "max_width": max(widths), "arch": arch, "group": 2**16 if group is None else group,
        "clamp": _clamp(part, f"{first}.conv0"),
    }  # fmt: skip
    if classes:
        options["mapping_layers"] = _mapping(part, tensors)
    channels = tensors[f"{first}.fromrgb.weight"].shape[1]
    _must_agree(part, levels, widths, arch, channels, classes)
    return Described(Model(name="stylegan2", options=options), (channels, levels[-1], levels[-1]), classes, tensors)


def _generator2(part: Part) -> Described:
    tensors = dict(part.tensors)
    levels = _levels(tensors, r"synthesis\.b(\d+)\.")
    widths = [tensors[f"synthesis.b{r}.conv1.weight"].shape[0] for r in levels]
    last = f"synthesis.b{levels[-1]}"
    residual = len(levels) > 1 and f"synthesis.b{levels[1]}.skip.weight" in tensors
    arch = "resnet" if residual else "skip" if "synthesis.b4.torgb.weight" in tensors else "orig"
    layers, classes = _mapping(part, tensors), _classes(tensors)
    _must_be_symmetric(tensors)
    options = {
        **_sides(tensors, classes), "mapping_layers": layers, "width": widths[-1], "max_width": max(widths),
        "arch": arch, "clamp": _clamp(part, f"{last}.conv1"),
    }  # fmt: skip
    channels = tensors[f"{last}.torgb.weight"].shape[0]
    must_agree(part, **_sides(tensors, classes))
    _must_agree(part, levels, widths, arch, channels, classes)
    return Described(Model(name="stylegan2", options=options), (channels, levels[-1], levels[-1]), classes, tensors)


def _generator3(part: Part, notes: list[str]) -> Described:
    tensors = dict(part.tensors)
    matches = {m[0]: m for name in tensors if (m := re.match(r"synthesis\.(L(\d+)_(\d+)_(\d+))\.", name))}
    named = sorted(matches.values(), key=lambda m: int(m[2]))
    if len(named) < 4 or [int(m[2]) for m in named] != list(range(len(named))):
        raise DamagedError("the layers of its synthesis are not numbered from L0 on")
    names, widths, side = [f"synthesis.{m[1]}" for m in named], [int(m[4]) for m in named], int(named[-1][3])
    by_class = _adapted(part, tensors, notes)
    layers, classes = _mapping(part, tensors), _classes(tensors)
    options: dict[str, Any] = {
        **_sides(tensors, classes), "mapping_layers": layers, "width": widths[-2], "max_width": max(widths),
        "kernel": tensors[f"{names[0]}.weight"].shape[2], "layers": len(names) - 1,
        "radial": any(name.endswith("down_filter") and t.dim() == 2 for name, t in tensors.items()),
        "clamp": part.setting(names[0], "conv_clamp", 256), "class_averages": by_class,
    }  # fmt: skip
    embed = tensors["mapping.embed.weight"].shape[0] if classes else options["w_dim"]
    options |= {"embed_dim": embed} if embed != options["w_dim"] else {}
    channels = tensors[f"{names[-1]}.weight"].shape[0]
    must_agree(part, **_sides(tensors, classes), c_dim=classes, img_resolution=side, img_channels=channels)
    synthesis = {name: value for name, value in part.arguments.items() if name != "mapping_kwargs"}
    must_agree(
        Part(part.name, {}, synthesis), num_layers=options["layers"], conv_kernel=options["kernel"],
        use_radial_filters=options["radial"],
    )  # fmt: skip
    options |= _design(part)
    must_be_sane(list(options.values()))
    _must_be_designed(options, side, tensors, part)
    return Described(Model(name="stylegan3", options=options), (channels, side, side), classes, tensors)


def _design(part: Part) -> dict[str, Any]:
    """What the constructor was told of the filters; its defaults are ours."""
    told = {
        "critical": "num_critical", "first_cutoff": "first_cutoff", "first_stopband": "first_stopband",
        "last_stopband": "last_stopband_rel", "margin": "margin_size", "taps": "filter_size",
        "output_scale": "output_scale", "magnitude_decay": "magnitude_ema_beta",
    }  # fmt: skip
    asked = {ours: part.setting("synthesis", theirs) for ours, theirs in told.items()}
    if part.argument("lrelu_upsampling", 2) != 2:
        raise DamagedError("its nonlinearity acts on another grid than that of twice the rate")
    if not all(value is None or isinstance(value, (int, float)) for value in asked.values()):
        raise DamagedError("an argument of its constructor is no number")
    sane = {"taps": 64, "margin": 256, "critical": 64}
    for name, most in sane.items():
        if asked[name] is not None and not 0 <= asked[name] <= most:
            raise DamagedError(f"{told[name]} is {asked[name]}, which no network has")
    return {ours: value for ours, value in asked.items() if value is not None}


def _must_be_designed(options: dict[str, Any], side: int, tensors: Tensors, part: Part) -> None:
    """The stored filters decide whether the design is the right one."""
    if not 16 <= side <= 4096 or len(tensors) > 4096:
        raise DamagedError(f"pictures of {side}x{side} pixels")
    small = options | {"width": 1, "max_width": 1, "z_dim": 1, "w_dim": 1, "mapping_layers": 1, "class_averages": False}
    planned = build(Model(name="stylegan3", options=small), "generator", (1, side, side), 0).state_dict()
    wanted = {re.sub(r"L(\d+)_.*?\.", r"L\1.", name): t for name, t in planned.items() if name.endswith("_filter")}
    found = {re.sub(r"L(\d+)_.*?\.", r"L\1.", name): t for name, t in tensors.items() if name.endswith("_filter")}
    for name, tensor in found.items():
        own = wanted.get(name)
        if own is None or own.shape != tensor.shape or not torch.allclose(own, tensor, atol=FILTERS):
            raise DamagedError(
                f"its filters are not those of the design that its arguments tell ({name}); Organza's StyleGAN3 "
                f"cannot hold this {part.name or 'generator'}"
            )


def _adapted(part: Part, tensors: Tensors, notes: list[str]) -> bool:
    """StyleGAN-XL's labels, in place: a table behind a projection is a table. Whether each class has its mean w."""
    if "mapping.embed_proj.weight" not in tensors:
        return False
    names = ("mapping.embed.weight", "mapping.embed_proj.weight", "mapping.embed_proj.bias")
    table, weight, bias = (tensors.pop(name) for name in names)
    average = tensors["mapping.w_avg"]
    if average.dim() == 1:
        notes.append("its embedding of classes is left out: it was trained without labels")
        return False
    projected = F.leaky_relu(F.linear(table, weight / math.sqrt(weight.shape[1]), bias), 0.2) * ROOT2
    projected = projected[: len(average)]
    tensors["mapping.embed.weight"] = projected.T * math.sqrt(len(projected))  # undone by the layer's scale
    tensors["mapping.embed.bias"] = torch.zeros(projected.shape[1])
    notes.append("its embedding of the classes and the projection behind it are one table")
    return True


def _mapping(part: Part, tensors: Tensors) -> int:
    """How many layers the mapping has; they are scaled in place to the learning rate that ours has."""
    layers = len(_levels(tensors, r"mapping\.fc(\d+)\."))
    told = part.arguments.get("mapping_kwargs")
    must_agree(Part(part.name, {}, told if isinstance(told, dict) else {}), num_layers=layers)
    rate = told.get("lr_multiplier", RATE) if isinstance(told, dict) else RATE
    if not isinstance(rate, (int, float)) or not rate > 0:
        raise DamagedError("its mapping has no learning rate")
    if rate != RATE:
        for number in range(layers):
            for name in (f"mapping.fc{number}.weight", f"mapping.fc{number}.bias"):
                tensors[name] = tensors[name] * (rate / RATE)
    return layers


def _sides(tensors: Tensors, classes: int) -> dict[str, int]:
    """Of the noise and of w."""
    first = tensors["mapping.fc0.weight"]
    embed = tensors["mapping.embed.weight"].shape[0] if classes else 0
    return {"z_dim": first.shape[1] - embed, "w_dim": first.shape[0]}


def _classes(tensors: Tensors) -> int:
    return tensors["mapping.embed.weight"].shape[1] if "mapping.embed.weight" in tensors else 0


def _levels(tensors: Tensors, pattern: str) -> list[int]:
    return sorted({int(found[1]) for name in tensors if (found := re.match(pattern, name))})


def _must_agree(part: Part, levels: list[int], widths: list[int], arch: str, channels: int, classes: int) -> None:
    """Of StyleGAN2: a network of 4x4 pixels alone has no architecture, and two arguments rule the widths."""
    must_agree(part, c_dim=classes, img_resolution=levels[-1], img_channels=channels)
    must_agree(part, **({"architecture": arch} if len(levels) > 1 else {}))
    base, most = part.argument("channel_base"), part.argument("channel_max")
    if isinstance(base, int) and isinstance(most, int) and (ruled := [min(base // r, most) for r in levels]) != widths:
        raise DamagedError(f"its channel_base {base} and channel_max {most} give widths {ruled}, its tensors {widths}")


def _clamp(part: Part, layer: str) -> float | None:
    """Of a layer, else of the constructor; where neither tells, StyleGAN3's files mean 256 and ADA's none."""
    nested = "synthesis_kwargs" in part.arguments or "block_kwargs" in part.arguments
    return part.setting(layer, "conv_clamp", None if nested or not part.arguments else 256)


def _must_be_usual(part: Part) -> None:
    for place in (part.arguments, *(v for v in part.arguments.values() if isinstance(v, dict))):
        if place.get("activation", "lrelu") != "lrelu":
            told = place["activation"] if isinstance(place["activation"], str) else "no name"
            raise DamagedError(f"its activation is '{told:.40}'; Organza's StyleGAN has the leaky ReLU")


def _must_be_symmetric(tensors: Tensors) -> None:
    for name, filter in tensors.items():
        if name.endswith("resample_filter") and not torch.equal(filter, filter.flip(tuple(range(filter.dim())))):
            raise DamagedError(f"the filter {name} is not symmetric")
