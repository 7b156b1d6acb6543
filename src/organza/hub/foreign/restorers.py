"""State dicts of ESRGAN, Real-ESRGAN and SRGAN's generator, in the three layouts that files have.

    new     conv_first, body.0.rdb1.conv1, conv_body, conv_up1, conv_hr, conv_last      BasicSR, Real-ESRGAN
    middle  conv_first, RRDB_trunk.0.RDB1.conv1, trunk_conv, upconv1, HRconv, conv_last  ESRGAN's repository
    old     model.0, model.1.sub.0.RDB1.conv1.0, model.1.sub.23, model.3, …              its first version

Training files keep them under `params_ema`, which is preferred, or `params`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from organza.config import Model
from organza.hub.foreign.parts import Described, Tensors, count, is_state_dict
from organza.training.checkpoint import DamagedError

SIDE = 64  # of the source that is written down; the networks take any
WRAPPERS = ("params_ema", "params", "state_dict", "model_state_dict")
MIDDLE = {"trunk_conv": "conv_body", "upconv1": "conv_up1", "upconv2": "conv_up2", "HRconv": "conv_hr"}
OLD = {"0": "conv_first", "3": "conv_up1", "6": "conv_up2", "8": "conv_hr", "10": "conv_last"}


def inside(value: Any) -> Mapping[Any, Any] | None:
    """The state dict of a restorer in what a file holds, or None where there is none."""
    wrapped = [value[name] for name in WRAPPERS if isinstance(value, dict) and name in value]
    for told in (*wrapped, value):
        if is_state_dict(told) and _is_restorer({str(name).removeprefix("module.") for name in told}):
            return told
    return None


def generator(found: Tensors) -> tuple[str, Described]:
    """(what it is, the network). Raises DamagedError for sizes that no network of the catalogue has."""
    tensors = {_renamed(name, found): tensor for name, tensor in found.items()}
    if "body.0.rdb1.conv1.weight" in tensors:
        return _dense(tensors)
    return _residual(tensors) if "conv_first.weight" in tensors else _compact(tensors)


def _is_restorer(names: set[str]) -> bool:
    signs = (
        {"conv_first.weight", "body.0.rdb1.conv1.weight"}, {"conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight"},
        {"model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"}, {"conv_first.weight", "body.0.conv1.weight"},
    )  # fmt: skip
    compact = {"body.0.weight", "body.1.weight", "body.2.weight"} <= names and all(n.startswith("body.") for n in names)
    return compact or any(sign <= names for sign in signs)


def _renamed(name: str, every: Tensors) -> str:
    """A tensor's name in the new layout."""
    name = re.sub(r"^RRDB_trunk\.(\d+)\.RDB(\d)\.", r"body.\1.rdb\2.", name)
    if found := re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.(conv\d)\.0\.(\w+)", name):
        return f"body.{found[1]}.rdb{found[2]}.{found[3]}.{found[4]}"
    if found := re.fullmatch(r"model\.1\.sub\.\d+\.(weight|bias)", name):
        return f"conv_body.{found[1]}"
    if (found := re.fullmatch(r"model\.(\d+)\.(weight|bias)", name)) and found[1] in OLD:
        return f"{OLD[found[1]]}.{found[2]}"
    layer, _, kind = name.rpartition(".")
    is_middle = any(other.startswith("RRDB_trunk.") for other in every)
    return f"{MIDDLE[layer]}.{kind}" if is_middle and layer in MIDDLE else name


def _dense(tensors: Tensors) -> tuple[str, Described]:
    width, folded = tensors["conv_first.weight"].shape[:2]
    channels = tensors["conv_last.weight"].shape[0]
    scales = {channels: 4, 4 * channels: 2, 16 * channels: 1}
    if "conv_up2.weight" not in tensors or folded not in scales:
        raise DamagedError(f"an RRDBNet of another scale than 1, 2 or 4 ({folded} channels into {channels})")
    scale, growth = scales[folded], tensors["body.0.rdb1.conv1.weight"].shape[0]
    options = {"width": width, "blocks": count(tensors, r"body\.(\d+)\."), "growth": growth}
    return f"RRDBNet x{scale}", _described("esrgan", options, channels, scale, tensors)


def _residual(tensors: Tensors) -> tuple[str, Described]:
    width, channels = tensors["conv_first.weight"].shape[:2]
    enlarged = tensors["upconv1.weight"].shape[0] // width
    scale = {4: 4 if "upconv2.weight" in tensors else 2, 9: 3}.get(enlarged)
    if scale is None:
        raise DamagedError("an MSRResNet of another scale than 2, 3 or 4")
    options = {"width": width, "blocks": count(tensors, r"body\.(\d+)\.")}
    return f"MSRResNet x{scale}", _described("srgan", options, channels, scale, tensors)


def _compact(tensors: Tensors) -> tuple[str, Described]:
    width, channels = tensors["body.0.weight"].shape[:2]
    last = count(tensors, r"body\.(\d+)\.") - 1
    shuffled = tensors[f"body.{last}.weight"].shape[0] // channels
    scale = {1: 1, 4: 2, 9: 3, 16: 4, 64: 8}.get(shuffled)
    if scale is None or last % 2:
        raise DamagedError("an SRVGGNetCompact of another form than Real-ESRGAN's")
    options = {"width": width, "depth": last // 2 - 1}
    return f"SRVGGNetCompact x{scale}", _described("srvgg", options, channels, scale, tensors)


def _described(name: str, options: dict[str, Any], channels: int, scale: int, tensors: Tensors) -> Described:
    shape, source = (channels, scale * SIDE, scale * SIDE), (channels, SIDE, SIDE)
    return Described(Model(name=name, options=options), shape, 0, tensors, source)
