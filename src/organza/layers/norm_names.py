"""One bridge between torch's two forms of spectral and of weight norm: the names of their tensors in a state dict.

    spectral norm (arXiv:1802.05957)   weight_orig  <->  parametrizations.weight.original
                                       weight_u     <->  parametrizations.weight.0._u
                                       weight_v     <->  parametrizations.weight.0._v
    weight norm (arXiv:1602.07868)     weight_g     <->  parametrizations.weight.original0
                                       weight_v     <->  parametrizations.weight.original1

Those on the left are of `torch.nn.utils.spectral_norm` and `weight_norm`, which official files were written with, those
on the right of `torch.nn.utils.parametrizations`. Tensors stay as they are; both forms compute the same of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TypeVar

import torch
from torch import Tensor

SPECTRAL = {"orig": "original", "u": "0._u", "v": "0._v"}
WEIGHT = {"g": "original0", "v": "original1"}
ITERATIONS = 50  # of a singular vector of a weight whose norm was folded in

Value = TypeVar("Value")


def new_names(state: Mapping[str, Value]) -> dict[str, Value]:
    """The state under the names of `parametrizations`; what is no norm's keeps its own."""
    return {_new(name, state): value for name, value in state.items()}


def old_names(state: Mapping[str, Value]) -> dict[str, Value]:
    """The state under the names of the hooks; what is no norm's keeps its own."""
    return {_old(name): value for name, value in state.items()}


@torch.no_grad()
def folded(state: Mapping[str, Tensor], turned: Collection[str] = ()) -> dict[str, Tensor]:
    """The state with the normed weights themselves, as `weight`, for a network without norms.

    Spectral norm divides by u W v, weight norm gives each output the length g. The rows of W are the first axis, and
    the second one of what `turned` names: weights of transposed convolutions.
    """
    found = new_names(state)
    for name in [name for name in found if name.endswith((".original", ".original0"))]:
        place = name.rpartition(".")[0]  # LAYER.parametrizations.weight
        plain = place.replace("parametrizations.", "")
        if f"{place}.0._u" in found and f"{place}.0._v" in found:
            weight, u, v = (found.pop(f"{place}.{part}") for part in SPECTRAL.values())
            found[plain] = weight / torch.dot(u, weight.movedim(int(plain in turned), 0).flatten(1) @ v)
        elif f"{place}.original1" in found:
            length, way = (found.pop(f"{place}.{part}") for part in WEIGHT.values())
            found[plain] = torch._weight_norm(way, length, _axis(length))
    return found


@torch.no_grad()
def unfolded(weight: Tensor, dim: int = 0) -> dict[str, Tensor]:
    """A weight that was divided by its spectral norm already, as the three tensors of `parametrizations`.

    What a network makes of them in evaluation mode is this weight: u is its singular vector, and v is scaled so that
    u W v is one.
    """
    matrix = weight.movedim(dim, 0).flatten(1).double()
    u = torch.ones(len(matrix), dtype=torch.float64) / len(matrix) ** 0.5
    v = torch.nn.functional.normalize(matrix.T @ u, dim=0)
    for _ in range(ITERATIONS):
        u = torch.nn.functional.normalize(matrix @ v, dim=0)
        v = torch.nn.functional.normalize(matrix.T @ u, dim=0)
    size = torch.dot(u, matrix @ v)
    v = v / size if size else v
    return {"original": weight, "0._u": u.to(weight.dtype), "0._v": v.to(weight.dtype)}


def _new(name: str, state: Mapping[str, object]) -> str:
    found = re.fullmatch(r"(.*\.)?(\w+)_(orig|u|v|g)", name)
    if found is None:
        return name
    layer, own, part = found[1] or "", found[2], found[3]
    for kind, sign in ((SPECTRAL, ("orig", "u")), (WEIGHT, ("g", "v"))):
        if part in kind and all(f"{layer}{own}_{other}" in state for other in sign):
            return f"{layer}parametrizations.{own}.{kind[part]}"
    return name


def _old(name: str) -> str:
    found = re.fullmatch(r"(.*\.)?parametrizations\.(\w+)\.(original[01]?|0\._[uv])", name)
    if found is None:
        return name
    parts = {new: old for kind in (SPECTRAL, WEIGHT) for old, new in kind.items()}
    return f"{found[1] or ''}{found[2]}_{parts[found[3]]}"


def _axis(length: Tensor) -> int:
    """The one axis along which weight norm's lengths differ."""
    return next((axis for axis, size in enumerate(length.shape) if size > 1), 0)
