"""The StyleGAN2 checkpoints of rosinality's PyTorch code, of its training and of its converter, and those of the
encoders pSp and e4e, {state_dict, latent_avg, opts}, in which it is the decoder.

Kernels stand as in the official PyTorch files, behind one axis more; layers are numbered from the smallest on.
"""

from __future__ import annotations

import re
from typing import Any

from organza.hub.foreign.parts import Part, Tensors
from organza.training.checkpoint import DamagedError


def is_generator(names: Any) -> bool:
    """Whether these are the names of such a generator's tensors."""
    return {"style.1.weight", "input.input", "conv1.conv.weight", "to_rgb1.bias"} <= set(names)


def decoder_in(value: Any) -> dict[str, Any]:
    """The generator in what the file of an encoder holds, by rosinality's names; nothing where there is none."""
    told = value.get("state_dict") if isinstance(value, dict) else None
    names = [name for name in told or () if isinstance(name, str) and name.startswith("decoder.")]
    found = {name.removeprefix("decoder."): told[name] for name in names}  # type: ignore[index]
    return found if is_generator(found) else {}


def generator(found: Tensors, average: Any) -> Part:
    """The generator; `average` is the mean w [w_dim], or the same for each layer [layers, w_dim], or None."""
    tensors: Tensors = {}
    for name, tensor in found.items():
        enlarges = name.endswith(("conv.blur.kernel", "upsample.kernel"))  # stored with their gain
        tensors[_of_generator(name) or name] = tensor / 4 if enlarges else tensor
    for name in tensors:
        if re.search(r"conv[01]\.weight$|torgb\.weight$", name) and tensors[name].dim() == 5:
            tensors[name] = tensors[name][0]
    for name in [name for name in tensors if name.startswith("synthesis.")]:
        if name.endswith(("noise_const", "torgb.bias", "noise_strength", "const")):
            tensors[name] = _squeezed(name, tensors[name])
    if average is not None:
        tensors["mapping.w_avg"] = average if average.dim() < 2 else average[0].reshape(-1)
    return Part("Generator", tensors, {"synthesis_kwargs": {}})


def discriminator(found: Tensors) -> Part:
    """The discriminator."""
    blocks = [int(m[1]) for name in found if (m := re.match(r"convs\.(\d+)\.conv1\.", name))]
    if not blocks:
        raise DamagedError("its discriminator has no blocks")
    top = max(blocks)
    tensors = {_of_discriminator(name, top) or name: tensor for name, tensor in found.items()}
    return Part("Discriminator", tensors, {"block_kwargs": {}})


def _of_generator(name: str) -> str | None:
    if found := re.fullmatch(r"style\.(\d+)\.(weight|bias)", name):
        return f"mapping.fc{int(found[1]) - 1}.{found[2]}"
    if name == "input.input":
        return "synthesis.b4.const"
    if found := re.fullmatch(r"noises\.noise_(\d+)", name):
        number = int(found[1])
        return f"synthesis.b{4 << (number + 1) // 2}.conv{(number + 1) % 2}.noise_const"
    if found := re.fullmatch(r"(?:conv1|convs\.(\d+))\.(.+)", name):
        number = -1 if found[1] is None else int(found[1])
        layer = f"synthesis.b{4 << (number + 2) // 2}.conv{(number + 2) % 2 if number >= 0 else 1}"
        parts = {"conv.weight": "weight", "noise.weight": "noise_strength", "activate.bias": "bias",
                 "conv.modulation.weight": "affine.weight", "conv.modulation.bias": "affine.bias",
                 "conv.blur.kernel": "resample_filter"}  # fmt: skip
        return f"{layer}.{parts[found[2]]}" if found[2] in parts else None
    if found := re.fullmatch(r"to_rgbs\.(\d+)\.upsample\.kernel", name):
        return f"synthesis.b{8 << int(found[1])}.resample_filter"
    if found := re.fullmatch(r"(?:to_rgb1|to_rgbs\.(\d+))\.(.+)", name):
        layer = f"synthesis.b{4 if found[1] is None else 8 << int(found[1])}.torgb"
        parts = {"conv.weight": "weight", "bias": "bias", "conv.modulation.weight": "affine.weight",
                 "conv.modulation.bias": "affine.bias"}  # fmt: skip
        return f"{layer}.{parts[found[2]]}" if found[2] in parts else None
    return None


def _of_discriminator(name: str, top: int) -> str | None:
    if found := re.fullmatch(r"convs\.0\.(?:0\.(weight)|1\.(bias))", name):
        return f"b{4 << top}.fromrgb.{found[1] or found[2]}"
    if found := re.fullmatch(r"convs\.(\d+)\.(conv1|conv2|skip)\.\d\.(weight|bias|kernel)", name):
        layer = {"conv1": "conv0", "conv2": "conv1", "skip": "skip"}[found[2]]
        return f"b{4 << top - int(found[1]) + 1}.{layer}.{found[3].replace('kernel', 'resample_filter')}"
    if found := re.fullmatch(r"final_conv\.(?:0\.(weight)|1\.(bias))", name):
        return f"b4.conv.{found[1] or found[2]}"
    if found := re.fullmatch(r"final_linear\.([01])\.(weight|bias)", name):
        return f"b4.{('fc', 'out')[int(found[1])]}.{found[2]}"
    return None


def _squeezed(name: str, tensor: Any) -> Any:
    if name.endswith("noise_const"):
        return tensor.reshape(tensor.shape[-2:])
    if name.endswith("torgb.bias"):
        return tensor.reshape(-1)
    return tensor.reshape(()) if name.endswith("noise_strength") else tensor.reshape(tensor.shape[-3:])
