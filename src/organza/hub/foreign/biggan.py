"""The state dicts of BigGAN and BigGAN-deep of Brock's PyTorch code (G.pth, G_ema.pth, D.pth).

Its layers hold weights before spectral normalisation, and the vector `u0` from which one power iteration finds the norm
in evaluation as well: v = u0 W / |u0 W|, norm = |W v|. Here the division is done once. The class comes before the noise
there, behind it here.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import Model
from organza.hub.foreign.parts import Described, Tensors
from organza.training.checkpoint import DamagedError

EPS = 1e-6  # of its power iteration


def is_generator(names: Any) -> bool:
    """Whether these are the names of such a generator's tensors."""
    return {"linear.weight", "blocks.0.0.conv1.weight", "output_layer.2.weight"} <= set(names)


def is_discriminator(names: Any) -> bool:
    """Whether these are the names of such a discriminator's tensors."""
    return {"linear.weight", "blocks.0.0.conv1.weight"} <= set(names) and not is_generator(names)


def generator(found: Tensors, notes: list[str]) -> Described:
    """With hierarchical noise and a shared embedding, as the published ones are. Raises DamagedError for others."""
    deep = "blocks.0.0.conv4.weight" in found
    normed, classes = _normed(found), found["shared.weight"].shape[0] if "shared.weight" in found else 0
    if not classes and "blocks.0.0.bn1.gain.weight" in found:
        raise DamagedError("its batch norms have tables of classes in place of the shared embedding; it is not read")
    blocks = _blocks(normed)
    depth = _depth(normed, blocks) if deep else 1
    stages = len(blocks) // depth
    out = "conv4" if deep else "conv2"
    widths = [normed["blocks.0.0.conv1.weight"].shape[1]]
    widths += [normed[f"blocks.{depth * (i + 1) - 1}.0.{out}.weight"].shape[0] for i in range(stages)]
    embed = found["shared.weight"].shape[1] if classes else 0
    size = normed["blocks.0.0.bn1.gain.weight"].shape[1]
    z_dim = size - embed if deep else normed["linear.weight"].shape[1] + stages * (size - embed)
    if z_dim < 1 or (not deep and size == embed):
        raise DamagedError("its noise is not hierarchical: no part of it goes to the blocks; it is not read")
    if not deep and normed["linear.weight"].shape[1] != size - embed:
        raise DamagedError("its noise is not in equal parts")
    base = _base(normed["linear.weight"].shape[0], widths[0])
    side = base << stages
    options: dict[str, Any] = {"z_dim": z_dim, "widths": tuple(widths), "attention": 0}
    options |= {"embed_dim": embed} if classes else {}
    options |= {"depth": depth} if deep else {}
    options["attention"] = _attention(normed, depth, [base << i + 1 for i in range(stages)])
    tensors = {_of_generator(name, depth, deep): _reordered(name, t, embed, deep) for name, t in normed.items()}
    channels = normed["output_layer.2.weight"].shape[0]
    notes.append("its weights are stored as spectral normalisation leaves them")
    model = Model(name="biggan-deep" if deep else "biggan", options=options)
    return Described(model, (channels, side, side), classes, tensors)


def discriminator(found: Tensors) -> Described:
    """Raises DamagedError for a form that Organza's has not."""
    deep = "blocks.0.0.conv4.weight" in found
    normed, classes = _normed(found), found["embed.weight"].shape[0] if "embed.weight" in found else 0
    blocks = _blocks(normed)
    out = "conv4" if deep else "conv2"
    outs = [normed[f"blocks.{i}.0.{out}.weight"].shape[0] for i in blocks]
    if deep:
        depth = _depth(normed, blocks, end=False)
        stages = len(blocks) // depth
        widths = [normed["input_conv.weight"].shape[0], *outs[::depth]]
        channels, side = normed["input_conv.weight"].shape[1], 4 << stages
        options: dict[str, Any] = {"widths": tuple(widths), "depth": depth}
        sides = [side >> i + 1 for i in range(stages)]
    else:
        depth, channels = 1, normed["blocks.0.0.conv1.weight"].shape[1]
        downs = [f"blocks.{i}.0.conv_sc.weight" in normed for i in blocks]
        count = sum(downs)
        if downs != [True] * count + [False] * (len(downs) - count):
            raise DamagedError("its discriminator halves behind a block that does not")
        side, options = 4 << count, {"widths": tuple(outs), "downs": count}
        sides = [side >> min(i + 1, count) for i in range(len(blocks))]
    options["attention"] = _attention(normed, depth, sides)
    tensors = {_of_discriminator(name, depth, deep): tensor for name, tensor in normed.items()}
    model = Model(name="biggan-deep" if deep else "biggan", options=options)
    return Described(model, (channels, side, side), classes, tensors)


def _normed(found: Tensors) -> Tensors:
    """The state as evaluation uses it: weights divided by their norms, without u and sigma."""
    made = {}
    for name, tensor in found.items():
        if re.search(r"\.(u|sv)\d+$|\.u\d+$", f".{name}"):
            continue
        u = found.get(f"{name.removesuffix('weight')}u0") if name.endswith("weight") else None
        made[name] = tensor if u is None else tensor / _norm(tensor, u)
    return made


def _norm(weight: Tensor, u: Tensor) -> Tensor:
    """The singular value that one power iteration finds (arXiv:1802.05957, algorithm 1)."""
    matrix = weight.flatten(1)
    if u.numel() != len(matrix):
        raise DamagedError("a vector of spectral normalisation has another length than its weight")
    v = F.normalize(u.reshape(1, -1) @ matrix, eps=EPS)
    norm = torch.linalg.vector_norm(matrix @ v.T)
    if not norm > 0:
        raise DamagedError("a weight with spectral normalisation has no norm")
    return norm


def _blocks(tensors: Tensors) -> list[int]:
    found = sorted({int(m[1]) for name in tensors if (m := re.match(r"blocks\.(\d+)\.0\.conv1\.weight", name))})
    if found != list(range(len(found))):
        raise DamagedError("its blocks are not numbered one after the other")
    return found


def _depth(tensors: Tensors, blocks: list[int], end: bool = True) -> int:
    """How many blocks a feature map has: attention stands behind the last; without it as published, 2."""
    attended = [i for i in blocks if f"blocks.{i}.1.theta.weight" in tensors]
    depth = next((d for d in (2, 1, 3, 4) if len(blocks) % d == 0 and all((i + 1) % d == 0 for i in attended)), 0)
    if not depth or (end and len(blocks) < depth):
        raise DamagedError("its blocks cannot be shared out among the feature maps")
    return depth


def _base(outputs: int, width: int) -> int:
    side = round((outputs / width) ** 0.5)
    if side < 1 or side * side * width != outputs:
        raise DamagedError("its first feature map is no square")
    return side


def _attention(tensors: Tensors, depth: int, sides: list[int]) -> int:
    """The side of the feature map with self-attention, 0 without."""
    found = [int(m[1]) for name in tensors if (m := re.match(r"blocks\.(\d+)\.1\.theta\.weight", name))]
    if len(found) > 1:
        raise DamagedError(f"it has self-attention on {len(found)} feature maps; Organza's has it on one")
    return sides[found[0] // depth] if found else 0


def _reordered(name: str, tensor: Tensor, embed: int, deep: bool) -> Tensor:
    """Columns for the class behind those for the noise."""
    conditional = re.search(r"\.bn\d\.(gain|bias)\.weight$", name) or (deep and name == "linear.weight")
    return torch.cat([tensor[:, embed:], tensor[:, :embed]], 1) if conditional and embed else tensor


def _of_generator(name: str, depth: int, deep: bool) -> str:
    if found := re.fullmatch(r"output_layer\.0\.(\w+)", name):
        return f"norm.{_STATISTICS.get(found[1], found[1])}"
    if name.startswith("output_layer.2."):
        return name.replace("output_layer.2", "to_image")
    return _of_block(name, depth, deep, "shortcut")


def _of_discriminator(name: str, depth: int, deep: bool) -> str:
    if name.startswith("input_conv."):
        return name.replace("input_conv", "from_image")
    return _of_block(name, depth, deep, "extend" if deep else "shortcut")


def _of_block(name: str, depth: int, deep: bool, shortcut: str) -> str:
    found = re.fullmatch(r"blocks\.(\d+)\.([01])\.(.+)", name)
    if found is None:
        return name
    number, rest = int(found[1]), found[3]
    if found[2] == "1":
        return f"attention.{number // depth}.{rest}"
    if statistic := re.fullmatch(r"(bn\d)\.(stored_mean|stored_var)", rest):
        rest = f"{statistic[1]}.norm.{_STATISTICS[statistic[2]]}"
    place = f"blocks.{number // depth}.{number % depth}" if deep else f"blocks.{number}"
    return f"{place}.{rest.replace('conv_sc', shortcut)}"


_STATISTICS = {"stored_mean": "running_mean", "stored_var": "running_var", "gain": "weight", "bias": "bias"}
