"""Transfer: both players start from trained networks, and a report says what was kept.

Networks need not be equal: another size, other labels, more channels. What has the same name and shape is kept; what
differs along one axis is kept where it overlaps, such as the mapping of noise when labels join it; all else begins
anew. Rows and columns of labels are never kept for other labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.training.trainer import Trainer

Tensors = Mapping[str, Tensor]
NAMED = 3  # in a line of the report
SPECTRAL = ".parametrizations.weight.original"


@dataclass
class Kept:
    """What became of the tensors of one network."""

    whole: list[str] = field(default_factory=list)
    partly: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)  # of the source

    def __str__(self) -> str:
        total = len(self.whole) + len(self.partly) + len(self.new)
        parts = [f"{len(self.whole)} of {total} tensors kept"]
        named = (("kept in part", self.partly), ("new", self.new), ("of the source unused", self.unused))
        return ", ".join(parts + [f"{len(names)} {how} ({_some(names)})" for how, names in named if names])


def start_from(trainer: Trainer, source: str) -> list[str]:
    """Give a new trainer the networks of a run, of a model folder or of a foreign file; one line for each network.

    Raises FileNotFoundError where there is none, ValueError for a damaged or refused file, and ConfigError when nothing
    of it fits.
    """
    found = sources(source)
    players = {"generator": trainer.game.generator, "discriminator": trainer.game.discriminator}
    lines = []
    for name, network in players.items():
        if name not in found:
            lines.append(f"{source} holds no {name}: it begins anew")
            continue
        kept = fill(network, found[name])
        if not kept.whole and not kept.partly:
            raise ConfigError(
                f"nothing of the {name} in {source} fits '{trainer.config.recipe}': its networks are others; type the "
                "recipe that made it, or leave start out"
            )
        lines.append(f"{name} from {source}: {kept}")
    if average := found.get("average", found.get("generator")):
        fill(trainer.average, average)
    return lines


def sources(place: str) -> dict[str, Tensors]:
    """`generator`, perhaps `average` and `discriminator`: the tensors of each by name. Raises as `start_from`."""
    from organza.hub import load
    from organza.hub.folder import whole
    from organza.training.run import Run

    path = Path(place)
    if path.is_file():
        from organza.hub.foreign import read

        file = read(path)
        both = {"generator": file.generator, "discriminator": file.discriminator}
        return {name: network.tensors for name, network in both.items() if network is not None}
    if (path / "checkpoints").is_dir():
        state, _ = Run(path).newest_state()
        if state is not None:
            return {**state["networks"], "average": state["average"]}
    model = load(path)
    beside = path / "discriminator" / "model.safetensors"
    judge = {"discriminator": whole(beside)} if beside.is_file() else {}
    return {"generator": model.generator.state_dict(), **judge}


@torch.no_grad()
def fill(network: nn.Module, source: Tensors) -> Kept:
    """Copy what fits of `source` into a network, in place; counters stay the network's own."""
    kept, known = Kept(), {name.replace(SPECTRAL, ".weight"): tensor for name, tensor in source.items()}
    for name, own in network.state_dict().items():
        plain = name.replace(SPECTRAL, ".weight")
        other = known.pop(plain, None)
        if not own.is_floating_point():
            continue
        how = "new" if other is None else _fits(plain, own.shape, other.shape)
        getattr(kept, how).append(plain)
        if other is not None and how != "new":
            overlap = tuple(slice(min(a, b)) for a, b in zip(own.shape, other.shape, strict=True))
            own[overlap].copy_(other[overlap])
    kept.unused += known
    return kept


def _fits(name: str, own: torch.Size, other: torch.Size) -> str:
    if own == other:
        return "whole"
    differing = [a != b for a, b in zip(own, other, strict=False)]
    by_label = "embed" in name or "shared" in name
    return "partly" if len(own) == len(other) and sum(differing) == 1 and not by_label else "new"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
