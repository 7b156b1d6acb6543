"""The pickles of StyleGAN2's TensorFlow code: a tuple (G, D, Gs) whose networks hold (name, array) pairs.

They become the names of the PyTorch files: kernels are stored [k, k, I, O] there, the ones that enlarge turned around;
the biases of styles lack the one that they start at; the dense layers are transposed.
"""

from __future__ import annotations

import re
from typing import Any

from organza.hub.foreign.parts import Part, Tensors, plain
from organza.hub.records import Budget, Record
from organza.hub.tensors import is_tensor, tensor_of
from organza.training.checkpoint import DamagedError

NETWORK = "dnnlib.tflib.network.Network"
DEEP = 4
LAYERS = {"weight": "weight", "bias": "bias", "noise_strength": "noise_strength", "mod_weight": "affine.weight",
          "mod_bias": "affine.bias"}  # fmt: skip


def is_tuple(value: Any) -> bool:
    """Whether it is a tuple of TensorFlow networks."""
    return isinstance(value, (tuple, list)) and len(value) == 3 and all(
        isinstance(part, Record) and part.is_of(NETWORK) for part in value
    )  # fmt: skip


def generator(record: Record, budget: Budget) -> Part:
    """The averaged generator. Raises DamagedError for networks before StyleGAN2's last form."""
    arguments, found = _collected(record, budget)
    if "synthesis/4x4/Const/const" not in found or "synthesis/4x4/Conv/mod_weight" not in found:
        raise DamagedError("its networks are older than StyleGAN2's configuration E; they are not read")
    if any("LabelConcat" in name for name in found):
        raise DamagedError(
            "its labels are joined to the noise before it is normalised, which Organza's StyleGAN2 has not"
        )
    tensors: Tensors = {}
    for name, tensor in found.items():
        if (made := _of_generator(name)) is not None:
            tensors[made] = _turned(name, tensor, enlarges="Conv0_up" in name or "/Skip/" in name)
        else:
            tensors[name] = tensor
    for name in [name for name in tensors if name.endswith("noise_const")]:
        tensors[name] = tensors[name].reshape(tensors[name].shape[-2:])
    tensors["synthesis.b4.const"] = tensors["synthesis.b4.const"].reshape(tensors["synthesis.b4.const"].shape[-3:])
    return Part("Generator", tensors, _arguments(arguments))


def discriminator(record: Record, budget: Budget) -> Part:
    """The discriminator."""
    arguments, found = _collected(record, budget)
    tensors = {_of_discriminator(name) or name: _turned(name, tensor) for name, tensor in found.items()}
    return Part("Discriminator", tensors, _arguments(arguments))


def _arguments(told: dict[str, Any]) -> dict[str, Any]:
    """Those that the shapes do not tell, under their PyTorch names."""
    return {
        "mapping_kwargs": {"lr_multiplier": told.get("mapping_lrmul", 0.01)},
        "synthesis_kwargs": {"conv_clamp": told.get("conv_clamp")},
        "epilogue_kwargs": {"mbstd_group_size": told.get("mbstd_group_size", 4)},
        "activation": told.get("nonlinearity", told.get("act", "lrelu")),
    }


def _collected(record: Record, budget: Budget) -> tuple[dict[str, Any], Tensors]:
    """Constructor arguments and all arrays, those of a component behind its name."""
    state = record.state
    if not isinstance(state, dict) or not isinstance(state.get("version"), int) or state["version"] < 2:
        raise DamagedError("a TensorFlow network without a version, or one before 2")
    tensors: Tensors = {}
    _collect(record, "", tensors, budget, 0)
    told = state.get("static_kwargs")
    return {str(k): plain(v) for k, v in told.items()} if isinstance(told, dict) else {}, tensors


def _collect(record: Any, prefix: str, tensors: Tensors, budget: Budget, depth: int) -> None:
    state = record.state if isinstance(record, Record) and record.is_of(NETWORK) else None
    if not isinstance(state, dict) or depth > DEEP:
        raise DamagedError("something else stands in the place of a TensorFlow network")
    for pair in state.get("variables") or ():
        if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not isinstance(pair[0], str):
            raise DamagedError("a variable without a name")
        if is_tensor(pair[1]):
            tensors[prefix + pair[0]] = tensor_of(pair[1], budget)
    components = state.get("components") or {}
    if not isinstance(components, dict):
        raise DamagedError("something else stands in the place of a network's components")
    for name, inner in components.items():
        _collect(inner, f"{prefix}{name}/", tensors, budget, depth + 1)


def _of_generator(name: str) -> str | None:
    """The PyTorch name of a variable; None for one without a place, such as `lod`."""
    if name == "dlatent_avg":
        return "mapping.w_avg"
    if found := re.fullmatch(r"mapping/Dense(\d+)/(weight|bias)", name):
        return f"mapping.fc{found[1]}.{found[2]}"
    if found := re.fullmatch(r"mapping/LabelEmbed/(weight|bias)", name):
        return f"mapping.embed.{found[1]}"
    if name == "synthesis/4x4/Const/const":
        return "synthesis.b4.const"
    if found := re.fullmatch(r"synthesis/noise(\d+)", name):  # noise0 at 4x4, then two for each size
        number = int(found[1])
        return f"synthesis.b{4 << (number + 1) // 2}.conv{(number + 1) % 2}.noise_const"
    found = re.fullmatch(r"synthesis/(\d+)x\1/(Conv|Conv0_up|Conv1|ToRGB|Skip)/(\w+)", name)
    if found is None or found[3] not in LAYERS:
        return None
    layer = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb", "Skip": "skip"}[found[2]]
    return f"synthesis.b{found[1]}.{layer}.{LAYERS[found[3]]}"


def _of_discriminator(name: str) -> str | None:
    if found := re.fullmatch(r"LabelEmbed/(weight|bias)", name):
        return f"mapping.embed.{found[1]}"
    if found := re.fullmatch(r"Mapping(\d+)/(weight|bias)", name):
        return f"mapping.fc{found[1]}.{found[2]}"
    if found := re.fullmatch(r"(?:4x4/)?(Conv|Dense0|Output)/(weight|bias)", name):
        return f"b4.{('fc' if found[1] == 'Dense0' else found[1].lower()).replace('output', 'out')}.{found[2]}"
    if found := re.fullmatch(r"(\d+)x\1/(FromRGB|Conv0|Conv1_down|Skip)/(weight|bias)", name):
        layer = {"FromRGB": "fromrgb", "Conv0": "conv0", "Conv1_down": "conv1", "Skip": "skip"}[found[2]]
        return f"b{found[1]}.{layer}.{found[3]}"
    return None


def _turned(name: str, tensor: Any, enlarges: bool = False) -> Any:
    """Axes in PyTorch's order."""
    if name.endswith("weight") and tensor.dim() == 4:
        tensor = tensor.flip(0, 1) if enlarges else tensor
        return tensor.permute(3, 2, 0, 1).contiguous()
    if name.endswith("weight") and tensor.dim() == 2:
        return tensor.T.contiguous()
    return tensor + 1 if name.endswith("mod_bias") else tensor
