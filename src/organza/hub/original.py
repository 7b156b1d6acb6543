"""A translator's weights under the names of its official code, for other tools: `*_net_G.pth`, spandrel, ComfyUI.

    .pth          what the official code writes: the state dict alone, under `params_ema` for Real-ESRGAN's networks and
                  `params` for SRGAN's, in parts for MUNIT, UNIT ({a, b}) and StarGAN v2, under `state_dict` for LaMa,
                  whose names begin with `generator.` as in best.ckpt
    .safetensors  the same tensors by name, without wrappers

Spectral norm has the names of torch's old hooks, which official files were written with; where a folder holds weights
that were normed already, u and v are found again, and the network computes the same. A file holds tensors alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from organza.config import ConfigError
from organza.hub.gan import GAN
from organza.hub.translator import Translator
from organza.layers.norm_names import old_names, unfolded
from organza.layers.planning import planning
from organza.models import translator as built
from organza.models.both_ways import BothWays, two_way

SUFFIXES = (".pth", ".safetensors")
WRAPPED = {"esrgan": "params_ema", "srvgg": "params_ema", "srgan": "params", "lama": "state_dict"}
WITHIN = {"lama": "generator."}  # what the names of the generator begin with in a file of the whole training
PARTS = {"munit": ("a", "b"), "unit": ("a", "b"), "stargan-v2": ("generator", "mapping_network", "style_encoder")}


def save_original(found: GAN | Translator, path: str | Path) -> tuple[Path, ...]:
    """Write the generator to `path`; what was written. Two networks become `NAME_A` (A into B) and `NAME_B`.

    The encoder of a SPADE lies beside its generator, in `NAME_E`, or `latest_net_E` beside `latest_net_G`.

    Raises ConfigError for a GAN that starts from noise and for another ending than .pth and .safetensors, and OSError.
    """
    path = Path(path)
    if isinstance(found, GAN):
        raise ConfigError(f"'{found.recipe}' starts from noise; original names are known of translators alone")
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"out is '{path}'; it takes a file that ends in {' or '.join(SUFFIXES)}")
    tensors, name = original(found), found.model.name
    if isinstance(found.generator, BothWays):
        ways = {"forth": path.with_stem(f"{path.stem}_A"), "back": path.with_stem(f"{path.stem}_B")}
        for way, place in ways.items():
            _write(_within(tensors, way), name, place)
        return tuple(ways.values())
    if name != "spade" or not (encoder := _within(tensors, "encoder")):
        _write(tensors, name, path)
        return (path,)
    beside = path.with_stem(f"{path.stem.removesuffix('_G')}_E")
    _write({key: value for key, value in tensors.items() if not key.startswith("encoder.")}, name, path)
    _write(encoder, name, beside)
    return path, beside


def original(found: Translator) -> dict[str, Tensor]:
    """The tensors of the generator by their official names."""
    state = {name: tensor.detach().cpu() for name, tensor in found.generator.state_dict().items()}
    with planning():
        planned = _planned(found)
    for name, layer in planned.named_modules():
        own = f"{name}.weight"
        if own in state and hasattr(layer, "parametrizations"):  # its norm was folded in
            dim = 1 if isinstance(layer, nn.ConvTranspose2d) else 0
            place = f"{name}.parametrizations.weight"
            state |= {f"{place}.{part}": tensor for part, tensor in unfolded(state.pop(own), dim).items()}
    prefix = WITHIN.get(found.model.name, "")
    return {prefix + name: tensor for name, tensor in old_names(state).items()}


def _planned(found: Translator) -> nn.Module:
    """The network of the catalogue as it is trained."""
    if found.both_ways:
        return two_way(found.model, found.source, found.shape)
    return built(found.model, found.source, found.shape, len(found.classes))


def _write(tensors: dict[str, Tensor], name: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    tensors = {key: tensor.contiguous().clone() for key, tensor in tensors.items()}
    write: Callable[[], Any] = (
        (lambda: save_file(tensors, partial, metadata={"format": "pt"}))
        if path.suffix == ".safetensors"
        else (lambda: torch.save(_wrapped(tensors, name), partial))
    )
    try:
        write()
        partial.replace(path)
    except SafetensorError as problem:  # how safetensors reports a full disk
        raise OSError(str(problem)) from problem
    finally:
        partial.unlink(missing_ok=True)


def _wrapped(tensors: dict[str, Tensor], name: str) -> Mapping[str, Any]:
    if name in PARTS:
        return {part: _within(tensors, part) for part in PARTS[name]}
    return {WRAPPED[name]: tensors} if name in WRAPPED else tensors


def _within(tensors: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): value for name, value in tensors.items() if name.startswith(f"{part}.")}
