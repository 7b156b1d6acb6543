"""The snapshots of R3GAN's authors' code (arXiv:2501.05441): {G, D, G_ema, training_set_kwargs, cur_nimg, …}.

The names of their tensors were written down from memory and have not been held against a published file, so no name
decides. What does is the order of the tensors, which a pickled module keeps, their shapes, and the two numbers of a
name: `MainLayers.1.Layers.0.LinearLayer2.Layer.weight` is of stage 1, and of its part 0. A part of two 1x1 convolutions
around a grouped one, with two biases, is a block; anything else in a stage joins it to the next. A tensor without a
place, an order that does not agree with the numbers, or an argument that does not agree with the shapes is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from organza.config import Model
from organza.hub.foreign.parts import Described, Part, Tensors, must_agree
from organza.layers.resample import TAPS
from organza.training.checkpoint import DamagedError

LICENCE = "unknown; R3GAN's code came without a licence file"
LARGEST = 4096  # pixels
FILTER = 1e-3  # the largest difference between a stored filter and the design's
BLOCK: tuple[str, ...] = ("expand.weight", "mix.weight", "reduce.weight", "expand.bias", "mix.bias")


@dataclass
class _Stage:
    """Of one resolution: its blocks, under our names, and what joins it to its neighbour, as the file names it."""

    width: int
    group: int  # channels
    expansion: int
    blocks: list[Tensors]
    joint: Tensors


def is_generator(tensors: Tensors) -> bool:
    """Whether these are such a generator's: stages with numbers, in one of them a basis of three axes."""
    return any(t.dim() == 3 and re.search(r"(^|\.)\d+\.", name) for name, t in tensors.items()) and not any(
        name.startswith(("synthesis.", "mapping.")) for name in tensors
    )


def generator(part: Part) -> Described:
    """Raises DamagedError for what does not fit, with the names."""
    outside, stages = _structure(part, "generator")
    first, rest = stages[0], stages[1:]
    basis, scale = _both(first.joint, (3, 2), "generator")
    image, embed = _ends(outside, (4, 2), "generator")
    base_h, base_w = basis.shape[1:]
    doublings = len(rest)
    tensors = {"basis": basis, "scale.weight": scale, "to_image.weight": image} | _blocks(stages)
    tensors |= _joints(stages, rest, "generator")
    classes, embed_dim = (embed.shape[1], embed.shape[0]) if embed is not None else (0, 0)
    z_dim = scale.shape[1] - embed_dim
    options = _options(stages) | {"z_dim": z_dim} | ({"embed_dim": embed_dim} if embed is not None else {})
    tensors |= {"embed.weight": embed} if embed is not None else {}
    shape = (image.shape[0], base_h << doublings, base_w << doublings)
    must_agree(part, NoiseDimension=z_dim)
    if embed is not None:
        must_agree(part, ConditionEmbeddingDimension=embed_dim)
    return _described(part, stages, options, shape, classes, tensors)


def discriminator(part: Part) -> Described:
    """Raises DamagedError for what does not fit, with the names."""
    outside, stages = _structure(part, "discriminator")
    *rest, last = stages
    gather, head = _both(last.joint, (4, 2), "discriminator")
    image, embed = _ends(outside, (4, 2), "discriminator")
    doublings = len(rest)
    tensors = {"gather.weight": gather, "head.weight": head, "from_image.weight": image} | _blocks(stages)
    tensors |= _joints(stages, rest, "discriminator")
    tensors |= {"embed.weight": embed} if embed is not None else {}
    shape = (image.shape[1], gather.shape[2] << doublings, gather.shape[3] << doublings)
    options = _options(stages) | {"widths": tuple(stage.width for stage in reversed(stages))}
    return _described(part, stages, options, shape, embed.shape[1] if embed is not None else 0, tensors)


def _structure(part: Part, role: str) -> tuple[Tensors, list[_Stage]]:
    """What stands outside of the stages, and the stages in their order; filters are checked and left out."""
    outside: Tensors = {}
    found: dict[int, dict[str, Tensors]] = {}
    for name, tensor in part.tensors.items():
        if _is_filter(tensor):
            continue
        staged = re.match(r"(?:.*?\.)?(\d{1,4})\.(.+)", name)
        if staged is None:
            outside[name] = tensor
            continue
        within = re.match(r"(?:.*?\.)?\d{1,4}\.", staged[2])
        found.setdefault(int(staged[1]), {}).setdefault(within[0] if within else "", {})[name] = tensor
    if not found or list(found) != list(range(len(found))):
        raise _unfit(role, "its stages are not numbered one after the other", part.tensors)
    return outside, [_stage(groups, role) for groups in found.values()]


def _stage(groups: dict[str, Tensors], role: str) -> _Stage:
    blocks, joint = {}, {}
    for place, group in groups.items():
        if sorted(tensor.dim() for tensor in group.values()) == [1, 1, 4, 4, 4]:
            blocks[place] = _block(group, role)
        else:
            joint |= group
    forms = {form for form, _ in blocks.values()}
    if len(forms) != 1 or not _rises(blocks):
        every = [name for group in groups.values() for name in group]
        raise _unfit(role, "a stage has no blocks, blocks of several forms, or blocks that count back", every)
    width, channels, expansion = forms.pop()
    return _Stage(width, channels, expansion, [tensors for _, tensors in blocks.values()], joint)


def _block(group: Tensors, role: str) -> tuple[tuple[int, int, int], Tensors]:
    """Of three convolutions and two biases in their order: (width, channels of a group, expansion), and the tensors."""
    convs = [name for name, tensor in group.items() if tensor.dim() == 4]
    biases = [name for name, tensor in group.items() if tensor.dim() == 1]
    expand, mix, reduce = (group[name].shape for name in convs)
    inner, width = expand[:2]
    fits = (
        expand[2:] == (1, 1) and mix[2:] == (3, 3) and reduce == (width, inner, 1, 1) and mix[0] == inner
        and all(group[name].shape == (inner,) for name in biases) and min(inner, width, mix[1]) > 0
    )  # fmt: skip
    if not (fits and inner % width == inner % mix[1] == 0 and _rises(convs) and _rises(biases)):
        raise _unfit(role, "a block is no grouped convolution between two of 1x1 in this order", group)
    ours: Tensors = dict(zip(BLOCK, (group[name] for name in (*convs, *biases)), strict=True))
    return (width, mix[1], inner // width), ours


def _rises(names: Iterable[str]) -> bool:
    """Whether the order of the tensors is also that of the numbers in their names."""
    numbers = [[int(digits) for digits in re.findall(r"\d{1,9}", name)] for name in names]
    return numbers == sorted(numbers)


def _is_filter(tensor: Tensor) -> bool:
    """Whether it is the low-pass filter that the network here has as well, with whatever gain."""
    if not tensor.is_floating_point() or tensor.numel() not in (4, 16) or tensor.shape[-1] != 4:
        return False
    wanted = TAPS if tensor.numel() == 16 else TAPS.sum(0)
    found, total = tensor.reshape(wanted.shape), tensor.sum()
    return bool(total > 0) and torch.allclose(found / total, wanted, atol=FILTER)


def _blocks(stages: list[_Stage]) -> Tensors:
    return {
        f"stages.{i}.{j}.{name}": tensor
        for i, stage in enumerate(stages)
        for j, block in enumerate(stage.blocks)
        for name, tensor in block.items()
    }


def _both(found: Tensors, dims: tuple[int, int], role: str) -> tuple[Tensor, Tensor]:
    first, second = _ends(found, dims, role)
    if second is None:
        raise _unfit(role, "its smallest stage lacks a part", found)
    return first, second


def _ends(found: Tensors, dims: tuple[int, int], role: str) -> tuple[Tensor, Tensor | None]:
    """The one tensor of so many axes, and the one of so many others if there is any; nothing else may be there."""
    first, second = ([t for t in found.values() if t.dim() == count] for count in dims)
    if len(first) != 1 or len(second) > 1 or len(found) != len(first) + len(second):
        raise _unfit(role, "what stands beside the blocks is not one tensor of each kind", found)
    return first[0], second[0] if second else None


def _joints(stages: list[_Stage], owners: list[_Stage], role: str) -> Tensors:
    """Between two stages a convolution where the width changes, and nothing where it does not."""
    found: Tensors = {}
    for i, ((before, after), owner) in enumerate(zip(pairwise(stages), owners, strict=True)):
        wanted = [] if before.width == after.width else [(after.width, before.width, 1, 1)]
        if [tensor.shape for tensor in owner.joint.values()] != wanted:
            raise _unfit(role, f"what joins stages {i} and {i + 1} is no change of the width", owner.joint)
        found |= {f"joints.{i}.weight": tensor for tensor in owner.joint.values()}
    return found


def _options(stages: list[_Stage]) -> dict[str, Any]:
    return {
        "widths": tuple(stage.width for stage in stages), "blocks": len(stages[0].blocks),
        "expansion": stages[0].expansion, "channels_per_group": stages[0].group,
    }  # fmt: skip


def _described(
    part: Part, stages: list[_Stage], options: dict[str, Any], shape: tuple[int, ...], classes: int, tensors: Tensors
) -> Described:
    """Checked against the arguments that the file keeps; lists may begin at either end."""
    if len(stages) < 2 or max(shape) > LARGEST:
        raise DamagedError(f"pictures of {'x'.join(map(str, shape[1:]))} pixels from {len(stages)} stages")
    if len({(len(stage.blocks), stage.expansion, stage.group) for stage in stages}) != 1:
        raise DamagedError("its stages have different blocks, groups or expansions; Organza's r3gan has one of each")
    groups = [stage.width * stage.expansion // stage.group for stage in stages]
    must_agree(
        part, WidthPerStage=[stage.width for stage in stages], BlocksPerStage=[len(stage.blocks) for stage in stages],
        CardinalityPerStage=groups, ExpansionFactor=stages[0].expansion, KernelSize=3, ResamplingFilter=[1, 2, 1],
        ConditionDimension=classes, c_dim=classes, img_resolution=shape[1], img_channels=shape[0],
    )  # fmt: skip
    return Described(Model(name="r3gan", options=options), shape, classes, tensors)


def _unfit(role: str, why: str, names: Iterable[str]) -> DamagedError:
    found = list(names)
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    return DamagedError(f"its {role} is none of R3GAN's: {why} ({', '.join(found[:8])}{more})")
