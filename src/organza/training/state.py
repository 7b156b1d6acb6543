"""The state of a trainer: taken, put back exactly, or carried over into another configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from organza.config import Changes, ConfigError, override, to_dict
from organza.training.assemble import resolve
from organza.training.checkpoint import optimizer_state, restore_module, restore_optimizer
from organza.training.distributed import of_all_processes, rank, world

if TYPE_CHECKING:
    from organza.training.trainer import Trainer


def snapshot(trainer: Trainer) -> dict[str, Any]:
    """All that decides how a run goes on, as copies and numbers; every process must ask."""
    device, players = trainer.device, trainer.players
    generators = {"cpu": of_all_processes(torch.get_rng_state().to(_meeting_place(device)))}
    if device.type == "cuda":
        generators["cuda"] = of_all_processes(torch.cuda.get_rng_state(device).to(device))
    return _copied({
        "counters": {"images": trainer.images, "steps": trainer.steps, "seconds": trainer.seconds,
                     "rollbacks": trainer.rollbacks, "rate": trainer.rate, "nonfinite": trainer.nonfinite,
                     "device": device.type},
        "changes": json.dumps(to_dict(trainer.changes)),
        "turns": {name: player.turns_taken for name, player in players.items()},
        "networks": {name: player.network.state_dict() for name, player in players.items()},
        "average": trainer.average.state_dict(),
        "optimizers": {name: optimizer_state(player.optimizer) for name, player in players.items()},
        "batches": trainer.batches.state(),
        "random": generators,
        "recent": trainer.recent.state(),
        "replay": trainer.replay.state(),
    })  # fmt: skip


def put_back(trainer: Trainer, state: dict[str, Any]) -> None:
    """Let a trainer go on exactly where `state` was taken, with the changes that were in force then.

    Raises DamagedError when it belongs to other networks, ConfigError when it was taken on another kind of device.
    """
    if (device := state["counters"]["device"]) != trainer.device.type:
        raise ConfigError(f"this run was trained on {device}, whose random numbers {trainer.device.type} does not "
                          f"have; resume it with --device {device}")  # fmt: skip
    changes = json.loads(state.get("changes", "{}")) if trainer.own.autopilot else {}
    if changes != to_dict(trainer.changes):
        trainer.build(changes)
    _fill(trainer, state)


def adopt(trainer: Trainer, changes: Changes) -> None:
    """Let a trainer go on from here with changes to the run's own configuration. Raises ConfigError for no such one."""
    resolve(override(trainer.own, changes))  # before anything is lost
    state, augment = snapshot(trainer), trainer.config.augment
    trainer.build(changes)
    if trainer.config.augment != augment:
        state["recent"] |= {"adaptive": trainer.recent.adaptive}  # begins where the new setting says
    _fill(trainer, state)


def take_networks(trainer: Trainer, state: dict[str, Any]) -> None:
    """Weights, average and optimisers of an earlier `state`; the images seen, and all else, stay as they are."""
    for name, player in trainer.players.items():
        restore_module(player.network, state["networks"][name])
        restore_optimizer(player.optimizer, state["optimizers"][name])
    restore_module(trainer.average, state["average"])
    trainer.guard.clear()
    trainer.window.clear()


def _fill(trainer: Trainer, state: dict[str, Any]) -> None:
    take_networks(trainer, state)
    for name, player in trainer.players.items():
        player.turns_taken = state["turns"][name]
    trainer.batches.restore(state["batches"])
    trainer.recent.restore(state["recent"])
    trainer.replay.restore(state["replay"])
    for name in ("images", "steps", "rollbacks", "seconds", "rate"):
        setattr(trainer, name, state["counters"][name])
    trainer.nonfinite = state["counters"].get("nonfinite", 0)  # runs before 0.2 did not count
    for kind, rows in state["random"].items():
        if len(rows) == world():  # with another number of processes dropout starts anew
            row = rows[rank()].cpu().clone()  # torch misreads a view
            torch.set_rng_state(row) if kind == "cpu" else torch.cuda.set_rng_state(row, trainer.device)


def _copied(tree: Any) -> Any:
    """The tree with copies of its tensors on the CPU, which the next step cannot change."""
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    return tree.detach().to("cpu", copy=True) if isinstance(tree, Tensor) else tree


def _meeting_place(device: torch.device) -> torch.device:
    """Where tensors are exchanged between processes: NCCL takes only CUDA's."""
    return device if device.type == "cuda" else torch.device("cpu")
