"""Directions in a latent space, and pictures along them: sliders as strips and grids.

    codes' = codes + strength * deviation * direction,   in the layers where it acts

so that a strength of 1 is one standard deviation of the generator's codes, whatever found the direction. Where
directions come from is in `organza.latent.directions`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from organza.config import ConfigError
from organza.latent.sampling import latents
from organza.latent.space import LatentSpace
from organza.training.batches import to_bytes
from organza.training.run import write_json

if TYPE_CHECKING:
    from organza.hub import GAN

FORMAT = 1


@dataclass(frozen=True)
class Directions:
    """K directions of one generator's codes, the most telling first."""

    basis: Tensor  # [K, width], each of length 1
    std: Tensor  # [K], how far one standard deviation is
    layers: tuple[int, ...]  # in which codes they act
    name: str  # how they were found
    names: tuple[str, ...] = ()  # of each, where it has one
    explained: tuple[float, ...] = ()  # the share of each in what was analysed

    def __len__(self) -> int:
        return len(self.basis)

    def label(self, number: int) -> str:
        """What a direction is called: its name, or its number."""
        return self.names[number] if self.names else str(number)

    def must_have(self, numbers: Sequence[int]) -> None:
        """Raise ConfigError for numbers that are not there."""
        if missing := [n for n in numbers if not 0 <= n < len(self)]:
            raise ConfigError(f"no direction {_some(missing)}: {self.name} has {len(self)}, from 0 to {len(self) - 1}")

    def moved(self, codes: Tensor, number: int, strength: float, layers: Sequence[int] | None = None) -> Tensor:
        """Codes [B, layers, width] -> codes that went `strength` deviations along a direction, in `layers` (its own).

        Raises ConfigError for a direction or a layer that is not there, and for codes of another generator.
        """
        self.must_have([number])
        where = list(self.layers if layers is None else layers)
        if codes.dim() != 3 or codes.shape[2] != self.basis.shape[1]:
            raise ConfigError(
                f"codes are {list(codes.shape)}, and these directions have {self.basis.shape[1]} numbers: they are "
                "those of another generator"
            )
        must_be_layers(where, codes.shape[1])
        moved = codes.clone()
        moved[:, where] += (strength * self.std[number] * self.basis[number]).to(codes)
        return moved


def must_be_layers(layers: Sequence[int], count: int) -> None:
    """Raise ConfigError for no layers, and for layers that a generator does not have."""
    if not layers or not all(0 <= layer < count for layer in layers):
        raise ConfigError(f"layers are {_some(layers)}; this generator has {count}: give some from 0 to {count - 1}")


def _some(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")


def strengths(strength: float, columns: int) -> list[float]:
    """Evenly from -strength to strength; an odd number of columns has 0 in the middle. Raises ConfigError."""
    if columns < 2:
        raise ConfigError(f"columns is {columns}; it takes 2 or more, such as 7")
    if not (math.isfinite(strength) and strength != 0):
        raise ConfigError(f"strength is {strength}; it takes deviations, such as 3")
    return [strength * (2 * i - columns + 1) / (columns - 1) for i in range(columns)]


def codes_of(
    gan: GAN, seeds: Sequence[int], labels: Tensor | None = None, psi: float = 1.0
) -> tuple[Tensor, Tensor | None]:
    """The codes [N, layers, width] of seeds, and their labels: those given, or each class in turn.

    Raises ValueError for a `psi` that does not fit the generator.
    """
    chosen, space = gan.label_numbers(labels, len(seeds)), LatentSpace(gan.generator)
    if space.has_w:
        gan.drawing(truncation=psi)  # refuses what is out of range
    return space.codes(latents(list(seeds), gan.z_dim), chosen, psi), chosen


def edit(
    gan: GAN, codes: Tensor, directions: Directions, number: int, strengths: Sequence[float],
    layers: Sequence[int] | None = None, labels: Tensor | None = None, noise: Sequence[Tensor] = (), batch: int = 64,
) -> Tensor:  # fmt: skip
    """Codes [B, layers, width] at each of S strengths -> images uint8 [B * S, C, H, W], or points float32 [B * S, D].

    Sample by sample; labels [B] of a conditional generator without w, `noise` the maps of a projection. Raises
    ConfigError as `Directions.moved`.
    """
    moved = torch.stack([directions.moved(codes, number, strength, layers) for strength in strengths], 1)
    return _drawn(gan, moved, labels, noise, batch)


def grid(
    gan: GAN, codes: Tensor, directions: Directions, pair: tuple[int, int], strengths: Sequence[float],
    layers: Sequence[int] | None = None, labels: Tensor | None = None, noise: Sequence[Tensor] = (), batch: int = 64,
) -> Tensor:  # fmt: skip
    """Codes [1, layers, width] -> samples [S * S, *shape]: rows along the first direction, columns along the second."""
    rows = [directions.moved(codes, pair[0], strength, layers) for strength in strengths]
    moved = [directions.moved(row, pair[1], strength, layers) for row in rows for strength in strengths]
    return _drawn(gan, torch.stack(moved, 1), labels, noise, batch)


def strip(
    gan: GAN, codes: Tensor, directions: Directions, numbers: Sequence[int], strengths: Sequence[float],
    layers: Sequence[int] | None = None, labels: Tensor | None = None, noise: Sequence[Tensor] = (), batch: int = 64,
) -> Tensor:  # fmt: skip
    """Codes [1, layers, width] -> samples [K * S, *shape]: a row for each of K directions, a column for each strength.

    Raises ConfigError for directions that are not there, before anything is drawn.
    """
    directions.must_have(numbers)
    rows = [edit(gan, codes, directions, number, strengths, layers, labels, noise, batch) for number in numbers]
    return torch.cat(rows)


def noise_of(gan: GAN, noise: Sequence[Tensor]) -> Literal["const"] | list[Tensor]:
    """The maps of a projection on the generator's device, or its own where there are none."""
    device = next(gan.generator.parameters()).device
    return [part.to(device) for part in noise] if noise else "const"


def _drawn(gan: GAN, moved: Tensor, labels: Tensor | None, noise: Sequence[Tensor], batch: int) -> Tensor:
    """Codes [B, S, layers, width] -> samples [B * S, *shape]."""
    repeated = None if labels is None else labels.repeat_interleave(moved.shape[1])
    made = LatentSpace(gan.generator).draw(moved.flatten(0, 1), repeated, noise_of(gan, noise), batch)
    return to_bytes(made) if made.dim() == 4 else made


def save_directions(directions: Directions, path: Path) -> None:
    """Write PATH.safetensors (basis, std) and PATH.json, what they are in words; nothing in them is executed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {
        "format": FORMAT, "name": directions.name, "layers": list(directions.layers), "names": list(directions.names),
        "explained": list(directions.explained), "count": len(directions), "width": directions.basis.shape[1],
    }  # fmt: skip
    partial = path.with_suffix(".partial")
    try:
        tensors = {"basis": directions.basis.contiguous(), "std": directions.std.contiguous()}
        save_file(tensors, partial, metadata={"directions": json.dumps(about)})
        partial.replace(path.with_suffix(".safetensors"))
    except SafetensorError as problem:  # how safetensors reports a full disk
        raise OSError(str(problem)) from problem
    finally:
        partial.unlink(missing_ok=True)
    write_json(path.with_suffix(".json"), about)


def load_directions(path: str | Path) -> Directions:
    """What `save_directions` wrote, from its .safetensors alone. Raises FileNotFoundError, ConfigError for others."""
    file = Path(path).expanduser().with_suffix(".safetensors")
    if not file.is_file():
        raise FileNotFoundError(f"no directions '{file}'; organza edit RUN --method sefa writes them")
    try:
        with safe_open(file, framework="pt") as opened:
            about = json.loads(opened.metadata()["directions"])
            basis, std = opened.get_tensor("basis").float(), opened.get_tensor("std").float()
        if basis.dim() != 2 or std.shape != (len(basis),) or not (basis.isfinite().all() and std.isfinite().all()):
            raise ValueError("its basis and deviations do not fit together")
        return Directions(
            basis, std, tuple(int(n) for n in about["layers"]), str(about["name"]), tuple(map(str, about["names"])),
            tuple(float(n) for n in about["explained"]),
        )  # fmt: skip
    except (SafetensorError, LookupError, TypeError, ValueError) as problem:
        raise ConfigError(f"{file} holds no directions of Organza: {problem!r:.200}") from None
