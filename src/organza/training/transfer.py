"""Transfer: both players start from trained networks, and a report says what was kept.

Networks need not be equal: another size, other labels, more channels. What has the same name and shape is kept; what
differs along one axis is kept where it overlaps, such as the mapping of noise when labels join it; all else begins
anew. Rows and columns of labels are never kept for other labels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from organza.config import Changes, Config, ConfigError, Model, Shape
from organza.hub.judge import judge_in, model_in

if TYPE_CHECKING:
    from organza.training.trainer import Trainer

Tensors = Mapping[str, Tensor]
NAMED = 3  # in a line of the report
OF_TRAINING = ("mixing", "dropout")  # options of networks that no weights tell, and that stay the recipe's
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


@dataclass
class Source:
    """Trained networks by name (`generator`, perhaps `average` and `discriminator`), and their origin."""

    networks: Mapping[str, Tensors]
    words: str  # which file or run they come from, for a card
    licence: str = ""  # of the weights, where it is known
    models: Mapping[str, Model] = field(default_factory=dict)  # of the networks, as far as they are described
    shape: Shape = ()  # of their samples


@dataclass
class Start:
    """What a trainer was given: one line for each network, and what the card of its model says of it."""

    lines: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)


def as_begun(source: str, config: Config, shape: Shape, changes: Changes) -> Changes:
    """The changes, and the sizes of the networks that training starts from where neither these nor the data differ.

    Networks of a recipe's own sizes would keep next to nothing of them. Raises as `start_from`.
    """
    found = sources(source)
    if tuple(found.shape[-2:]) != tuple(shape[-2:]):
        return changes
    own = {"generator": config.generator.model, "discriminator": config.discriminator.model}
    like = {
        f"{role}.model.{option}": value
        for role, model in found.models.items()
        if changes.get(f"{role}.model", own[role].name) == model.name
        for option, value in model.options.items()
        if option not in OF_TRAINING
    }
    return like | dict(changes)


def start_from(trainer: Trainer, source: str) -> Start:
    """Give a new trainer the networks of a run, of a model folder or of a foreign file.

    Raises FileNotFoundError where there is none, ValueError for a damaged or refused file, and ConfigError when nothing
    of it fits.
    """
    found = sources(source)
    players = {"generator": trainer.game.generator, "discriminator": trainer.game.discriminator}
    start, given = Start(), []
    for name, network in players.items():
        if name not in found.networks:
            start.lines.append(f"{source} holds no {name}: it begins anew")
            continue
        kept = fill(network, found.networks[name])
        if not kept.whole and not kept.partly:
            raise ConfigError(
                f"nothing of the {name} in {source} fits '{trainer.config.recipe}': its networks are others; type the "
                "recipe that made it, or leave start out"
            )
        start.lines.append(f"{name} from {source}: {kept}")
        given.append(name)
    if average := found.networks.get("average", found.networks.get("generator")):
        fill(trainer.average, average)
    start.facts = {"started_from": f"the {' and the '.join(given)} of {found.words}"}
    start.facts |= {"source_licence": found.licence} if found.licence else {}
    return start


def sources(place: str) -> Source:
    """The networks that lie in a place. Raises as `start_from`."""
    from organza.hub import load
    from organza.hub.pretrained import PREFIX, WITH_JUDGE, fetched
    from organza.training.run import Run

    path = fetched(place.removeprefix(PREFIX), parts=WITH_JUDGE) if place.startswith(PREFIX) else Path(place)
    if path.is_file():
        from organza.hub.foreign import read

        file = read(path)
        both = {"generator": file.generator, "discriminator": file.discriminator}
        networks = {name: network.tensors for name, network in both.items() if network is not None}
        models = {name: network.model for name, network in both.items() if network is not None}
        return Source(networks, file.file, file.licence, models, file.shape)
    if (path / "checkpoints").is_dir():
        state, _ = Run(path).newest_state()
        if state is not None:
            run, networks = Run(path), {**state["networks"], "average": state["average"]}
            models = {"generator": run.config.generator.model, "discriminator": run.config.discriminator.model}
            return Source(networks, *_of_run(path), models, tuple(run.summary.get("data", {}).get("shape", ())))
    model = load(path)
    folder = path / "model" if (path / "model" / "config.json").is_file() else path
    judge = {"discriminator": tensors} if (tensors := judge_in(folder)) else {}
    name = place if place.startswith(PREFIX) else path.resolve().name
    told = _told(f"{name} (a model of '{model.recipe}', sha256 {model.sha256})", model.training, model.licence)
    models = {"generator": model.model} | ({"discriminator": model_in(folder)} if judge else {})
    return Source({"generator": model.generator.state_dict(), **judge}, *told, models, model.shape)


def _of_run(path: Path) -> tuple[str, str]:
    """Words and licence of a run, whose model may not be written yet."""
    from organza.hub.folder import FILES
    from organza.training.run import Run

    weights, about = (path / "model" / name for name in FILES)
    told = json.loads(about.read_text()) if about.is_file() else {}
    digest = f", sha256 {hashlib.sha256(weights.read_bytes()).hexdigest()}" if weights.is_file() else ""
    words = f"{path.resolve().name} (a run of '{Run(path).config.recipe}'{digest})"
    return _told(words, told.get("training", {}), str(told.get("licence", "")))


def _told(words: str, training: Mapping[str, Any], licence: str) -> tuple[str, str]:
    """What a model tells of itself; where it comes from weights of others, these and their licence too."""
    of_others = training.get("file") or training.get("started_from")
    came = "converted from" if training.get("file") else "started from"
    known = str(training.get("source_licence") or training.get("licence") or licence)
    return f"{words}, {came} {of_others}" if of_others else words, known


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
