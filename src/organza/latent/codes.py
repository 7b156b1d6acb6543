"""Codes in files: what a projection found, for our own tools and for those that know the official projector's file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from organza.config import ConfigError
from organza.latent.projection import Projection
from organza.latent.space import LatentSpace


@dataclass(frozen=True)
class Code:
    """A code from a file, with what else is needed to draw it."""

    codes: Tensor  # [1, layers, width]
    label: int | None = None
    noise: tuple[Tensor, ...] = ()


def save_code(projection: Projection, folder: Path, *, noise: bool = True) -> list[Path]:
    """Write code.safetensors and projected_w.npz (`w`: [1, layers, width]; `z`: [1, z_dim] where there is no w).

    Without `noise` the maps are left out, as a tuned generator does not need them.
    """
    tensors = {"codes": projection.codes.contiguous()}
    if noise:
        tensors |= {f"noise.{at:02}": part.contiguous() for at, part in enumerate(projection.noise)}
    about = {"space": projection.space} | ({} if projection.label is None else {"label": str(projection.label)})
    ours, letter = folder / "code.safetensors", "w" if projection.is_w else "z"
    theirs = folder / f"projected_{letter}.npz"
    partial = folder / f".code.{os.getpid()}.part"
    try:
        save_file(tensors, partial, metadata=about)
        partial.replace(ours)
        array = projection.codes if projection.is_w else projection.codes.flatten(1)
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **{letter: array.numpy()})
        partial.replace(theirs)
    except SafetensorError as problem:  # how safetensors reports a full disk
        raise OSError(str(problem)) from problem
    finally:
        partial.unlink(missing_ok=True)
    return [ours, theirs]


def load_code(path: str | Path, latent: LatentSpace) -> Code:
    """A code of code.safetensors, or of an .npz with `w` [1, layers or 1, width] or `z`; a folder's code.safetensors.

    Nothing in the file is executed. Raises FileNotFoundError, and ConfigError for a code of another generator.
    """
    file = Path(path).expanduser()
    file = file / "code.safetensors" if file.is_dir() else file
    if not file.is_file():
        raise FileNotFoundError(f"no code '{file}'; organza project RUN IMAGE writes code.safetensors")
    try:
        code = _of_arrays(file, latent) if file.suffix == ".npz" else _of_tensors(file)
    except (SafetensorError, KeyError, OSError, RuntimeError, ValueError) as problem:
        raise ConfigError(f"{file} holds no code: {problem!r:.200}") from None
    wanted = (latent.layers, latent.width)
    if code.codes.dim() != 3 or code.codes.shape[0] != 1 or code.codes.shape[1:] != wanted:
        raise ConfigError(
            f"{file} has a code {list(code.codes.shape)}, and this generator takes {[1, *wanted]}: it is of another one"
        )
    if not code.codes.isfinite().all():
        raise ConfigError(f"{file} has NaN or infinite numbers")
    return code


def _of_tensors(file: Path) -> Code:
    with safe_open(file, framework="pt") as opened:
        names = sorted(opened.keys())
        noise = tuple(opened.get_tensor(name).float() for name in names if name.startswith("noise."))
        label = (opened.metadata() or {}).get("label")
        return Code(opened.get_tensor("codes").float(), None if label is None else int(label), noise)


def _of_arrays(file: Path, latent: LatentSpace) -> Code:
    with np.load(file, allow_pickle=False) as arrays:
        array = torch.from_numpy(np.asarray(arrays["w" if latent.has_w else "z"], dtype=np.float32))
    if not latent.has_w:
        return Code(array.reshape(len(array), latent.layers, -1))
    array = array[:, None] if array.dim() == 2 else array
    return Code(array.expand(-1, latent.layers, -1).contiguous() if array.shape[1] == 1 else array)
