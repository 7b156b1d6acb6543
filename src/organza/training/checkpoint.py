"""Checkpoints: one safetensors file each, written whole or not at all, and never a pickle."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

FORMAT = 1
PICKLES = (".pt", ".pth", ".pkl", ".ckpt", ".bin")
MEMORY = {torch.optim.Adam: "exp_avg", torch.optim.RMSprop: "square_avg", torch.optim.SGD: "momentum_buffer"}
"""What each optimiser certainly remembers of a parameter, if it remembers anything."""


class DamagedError(ValueError):
    """A checkpoint that is torn or none of ours."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a tree of dicts with tensors and JSON values: to a neighbour file, to the disk, then under its name.

    Raises OSError (a full or read-only disk); the file that was there before is then untouched.
    """
    tensors, values = _flatten(state)
    about = {"format": FORMAT, "checksum": checksum(tensors, values), "values": values}
    partial = path.with_suffix(".partial")
    try:
        save_file(tensors, partial, metadata={"organza": json.dumps(about)})
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except SafetensorError as problem:  # how safetensors reports a full disk
        raise OSError(str(problem)) from problem
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """The tree that `save` wrote. Raises DamagedError for a file that is torn, a pickle or of other origin."""
    refuse_pickle(path)
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["organza"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        found = about["format"], about["checksum"], about["values"]
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as problem:
        raise DamagedError(f"{path} is no whole checkpoint of Organza ({problem})") from None
    if found[:2] != (FORMAT, checksum(tensors, found[2])):
        raise DamagedError(f"{path} is damaged: its checksum or format does not match")
    return _unflatten(tensors, found[2])


def is_pickle(path: Path) -> bool:
    """Whether a file is, or calls itself, a pickle or torch's zip of pickles: those run code when they are opened."""
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":  # the header of safetensors, behind its length
        return False
    return path.suffix in PICKLES or start[:1] == b"\x80" or start[:4] == b"PK\x03\x04"


def refuse_pickle(path: Path) -> None:
    """Raise DamagedError when a file is a pickle."""
    if is_pickle(path):
        raise DamagedError(f"{path} is a pickle, which can run code when it is opened; Organza reads safetensors only")


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimiser's tensors by parameter number; its hyper-parameters follow from the configuration."""
    return {str(number): dict(entry) for number, entry in optimizer.state_dict()["state"].items()}


@torch.no_grad()
def restore_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Put the tensors back in the memory layout of their parameters, which fused kernels rely on.

    What another kind of optimiser remembered is left out: this one starts afresh.
    """
    optimizer.state.clear()
    fused = bool(optimizer.param_groups[0].get("fused"))  # then the count of steps is on the device, too
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, entry in state.items():
        if MEMORY[type(optimizer)] not in entry:
            continue
        parameter = parameters[int(number)]
        for name, value in entry.items():
            place = parameter.device if fused else value.device
            same = value.shape == parameter.shape
            like = torch.empty_like(parameter) if same else torch.empty_like(value, device=place)
            optimizer.state[parameter][name] = like.copy_(value)


def restore_module(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a whole state dict. Raises DamagedError when names or shapes differ."""
    try:
        module.load_state_dict(state)
    except RuntimeError as problem:
        raise DamagedError(f"the checkpoint does not fit the network: {problem}") from None


def checksum(tensors: dict[str, Tensor], values: Any = None) -> int:
    """CRC-32 over names and bytes, and over JSON values and the types and shapes of the tensors where there are any.

    It finds a torn tail that has the right length, and a changed number in the header.
    """
    forms = {name: (str(tensor.dtype), tuple(tensor.shape)) for name, tensor in tensors.items()}
    total = 0 if values is None else zlib.crc32(json.dumps([values, forms], sort_keys=True).encode())
    for name in sorted(tensors):
        content = tensors[name].reshape(-1).view(torch.uint8).numpy().data
        total = zlib.crc32(content, zlib.crc32(name.encode(), total))
    return total


def _flatten(tree: dict[str, Any], prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            inner, values[key] = _flatten(value, f"{prefix}{key}/")
            tensors |= inner
        elif isinstance(value, Tensor):
            tensors[prefix + key] = value.detach().cpu().contiguous().clone()
        else:
            values[key] = value
    return tensors, values


def _unflatten(tensors: dict[str, Tensor], values: dict[str, Any]) -> dict[str, Any]:
    tree = values
    for path, tensor in tensors.items():
        *folders, name = path.split("/")
        node = tree
        for folder in folders:
            node = node[folder]
        node[name] = tensor
    return tree
