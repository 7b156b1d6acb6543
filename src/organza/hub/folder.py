"""The folder of a finished network: model.safetensors, config.json and a card; always whole, and read without code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from organza.config import ConfigError, Model
from organza.layers.planning import planning
from organza.layers.spectral import take_folded_weights, without_spectral_norm
from organza.training.checkpoint import DamagedError, checksum
from organza.training.run import write_json, write_text

FORMAT = 1
FILES = ("model.safetensors", "config.json")
LARGEST = 65_536  # of the numbers that describe a network; a hostile file could else fill memory and time


def write_folder(folder: Path, network: nn.Module, about: Mapping[str, Any], card: str) -> None:
    """Write model.safetensors, config.json and README.md, each replaced in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "model.partial"
    tensors = without_spectral_norm(network).state_dict()
    write_weights(partial, {name: tensor for name, tensor in tensors.items() if not name.startswith("heads.")})
    write_json(folder / "config.json", {"format": FORMAT, **about})
    partial.replace(folder / "model.safetensors")
    write_text(folder / "README.md", card)


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Tensors as safetensors with their checksum. Raises OSError and leaves nothing when the disk is full."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    try:
        save_file(tensors, path, metadata={"format": "pt", "checksum": str(checksum(tensors))})
    except SafetensorError as problem:  # how safetensors reports a full disk
        path.unlink(missing_ok=True)
        raise OSError(str(problem)) from problem


def description(folder: Path) -> dict[str, Any]:
    """What config.json says. Raises DamagedError for another format."""
    about = json.loads((folder / "config.json").read_text())
    if about["format"] != FORMAT:
        raise DamagedError(f"{folder} has format {about['format']}; this version of Organza reads {FORMAT}")
    return about


def described(about: Mapping[str, Any]) -> Model:
    """The generator of a description."""
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in about["generator"].items() if key != "name"}
    must_be_sane(about["generator"])
    return Model(name=about["generator"]["name"], options=options)


def classes_in(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the classes of a description, whose other words are looked at as well. Raises TypeError."""
    recipe, training, classes = about["recipe"], about["training"], about["classes"]
    if not (isinstance(recipe, str) and isinstance(training, dict) and isinstance(classes, list)):
        raise TypeError("recipe takes text, training an object, and classes a list")
    if not all(isinstance(name, str) for name in classes):
        raise TypeError('classes takes names, such as ["cat", "dog"]')
    return tuple(classes)


def shape_in(values: Any) -> tuple[int, ...]:
    """The shape that a description gives. Raises DamagedError for none that samples have."""
    must_be_sane(list(values))
    if not all(type(side) is int and side > 0 for side in values):
        raise DamagedError(f"no sample has the shape {tuple(values)}")
    return tuple(values)


def filled(build: Callable[[], nn.Module], folder: Path, device: torch.device) -> tuple[nn.Module, str]:
    """The network with the folder's weights, in evaluation mode, and their sha256. Raises DamagedError."""
    weights = folder / "model.safetensors"
    try:
        with planning():
            planned = build()
        tensors = whole(weights)
        with planning():
            take_folded_weights(planned, tensors)
        _must_fit(planned, tensors)  # before any memory is taken for it
        network = build()
        network.load_state_dict(tensors)
    except (ConfigError, RuntimeError, SafetensorError) as problem:
        raise DamagedError(f"{folder} cannot be loaded: {problem}") from None
    return network.eval().requires_grad_(False).to(device), hashlib.sha256(weights.read_bytes()).hexdigest()


def holding(build: Callable[[], nn.Module], tensors: dict[str, Tensor]) -> nn.Module:
    """The network with these weights; drawn at random first only where it has more than they say."""
    with planning():
        network = build()
    if {name for name, _ in (*network.named_parameters(), *network.named_buffers())} <= tensors.keys():
        network.load_state_dict(tensors, assign=True)
        return network
    with torch.random.fork_rng(devices=[]):
        network = build()
    network.load_state_dict(tensors)
    return network


def must_be_sane(values: Any) -> None:
    """Raise DamagedError for numbers that no network has."""
    for value in values.values() if isinstance(values, dict) else values:
        if isinstance(value, (dict, list)):
            must_be_sane(value)
        elif isinstance(value, (int, float)) and not abs(value) <= LARGEST:
            raise DamagedError(f"a network with the number {value} in its description is not built")


def whole(weights: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file. Raises DamagedError where its checksum does not match.

    Files that another program wrote anew have none: their names and shapes are looked at, as those of all.
    """
    with safe_open(weights, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        told = (file.metadata() or {}).get("checksum")
        if told is not None and told != str(checksum(tensors)):
            raise DamagedError(f"{weights} is damaged: its checksum does not match")
    return tensors


def _must_fit(planned: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Raise DamagedError when the weights have other names or shapes than the network that is described."""
    wanted = {name: tuple(tensor.shape) for name, tensor in planned.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if differing := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        raise DamagedError(
            f"config.json describes other weights than model.safetensors holds: {', '.join(differing[:5])}"
        )
