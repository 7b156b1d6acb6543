"""From a configuration and data to a game: what is built, and what is refused because it could not work."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import torch
from torch import nn

from organza import config as configs
from organza.config import Config, ConfigError, closest
from organza.data.store import ImageStore
from organza.games import GAMES
from organza.games.latent import DuePenalty, LatentGame
from organza.losses import LOSSES
from organza.models import build, complete
from organza.penalties import PENALTIES
from organza.training.precision import autocast, pick_precision
from organza.training.schedule import value_at


def resolve(config: Config) -> Config:
    """The configuration with every option of its networks written out. Raises ConfigError for what cannot work."""
    for kind, name, catalogue in (("loss", config.loss, LOSSES), ("game", config.game, GAMES)):
        if name not in catalogue:
            raise ConfigError(f"unknown {kind} '{name}'{closest(name, catalogue)}")
    for penalty in config.discriminator.penalties:
        if penalty.name not in PENALTIES:
            raise ConfigError(f"unknown penalty '{penalty.name}'{closest(penalty.name, PENALTIES)}")
    for problem in _contradictions(config):
        raise ConfigError(problem)
    generator = dataclasses.replace(config.generator, model=complete(config.generator.model, "generator"))
    critic = dataclasses.replace(config.discriminator, model=complete(config.discriminator.model, "discriminator"))
    return dataclasses.replace(config, generator=generator, discriminator=critic)


def _contradictions(config: Config) -> Iterable[str]:
    turns = {"generator.turns": config.generator.turns, "discriminator.turns": config.discriminator.turns}
    sizes = {"batch": config.batch, "accumulate": config.accumulate, "images": config.images, **turns}
    intervals = {f"output.{k}": v for k, v in dataclasses.asdict(config.output).items() if k != "score"}
    for field, value in {**sizes, **intervals}.items():
        if value < 1:
            yield f"{field} is {value}; it takes 1 or more"
    if not 0 <= config.seed < 2**32:
        yield f"seed is {config.seed}; it takes a whole number from 0 to 4294967295"
    for penalty in config.discriminator.penalties:
        if penalty.every < 1:
            yield f"discriminator.penalties.{penalty.name}.every is {penalty.every}; it takes 1 or more"
    if config.share_fakes and (set(turns.values()) != {1} or config.accumulate > 1):
        yield (
            "share_fakes uses one generator pass for one turn of each player, but generator.turns is "
            f"{config.generator.turns}, discriminator.turns {config.discriminator.turns} and accumulate "
            f"{config.accumulate}; add --share_fakes false"
        )
    if config.generator.penalties:
        yield "generator.penalties has no effect in the latent game: its penalties belong to the discriminator"
    if config.batch % config.accumulate:
        yield f"batch {config.batch} does not divide into accumulate={config.accumulate} micro-batches of equal size"


def check_data(config: Config, store: ImageStore, processes: int) -> None:
    """Raise ConfigError when the data cannot feed this configuration."""
    if config.conditional and (store.labels is None or not store.classes):
        raise ConfigError(
            f"recipe '{config.recipe}' is conditional, but '{store.name}' has no labels: put the images into one "
            "folder for each class, or choose an unconditional recipe such as dcgan"
        )
    if config.batch % (config.accumulate * processes):
        raise ConfigError(
            f"batch {config.batch} does not divide over {processes} processes with accumulate={config.accumulate}; "
            f"type --batch {-(-config.batch // (config.accumulate * processes)) * config.accumulate * processes}"
        )
    if config.data.flip and len(store.shape) != 3:
        raise ConfigError("data.flip mirrors images, but these samples are points; add --data.flip false")


def build_game(config: Config, store: ImageStore, device: torch.device) -> LatentGame:
    """The networks on the device, and the game between them."""
    classes = len(store.classes) if config.conditional else 0
    generator = build(config.generator.model, "generator", store.shape, classes)
    discriminator = build(config.discriminator.model, "discriminator", store.shape, classes)
    dtype, _ = pick_precision(config.precision, device)
    networks = _placed(generator, device), _placed(discriminator, device)
    return GAMES[config.game](*networks, LOSSES[config.loss], autocast(device, dtype))


def due_penalties(player: configs.Player, turn: int, images: int) -> list[DuePenalty]:
    """The penalties of this turn; one with an interval of k is due every k-th turn with k times its weight."""
    return [
        DuePenalty(penalty.name, PENALTIES[penalty.name], value_at(penalty.weight, images) * penalty.every)
        for penalty in player.penalties
        if turn % penalty.every == 0
    ]


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    """On the device, convolutions with their channels last, which is the layout that CPUs and tensor cores like."""
    if device.type != "cpu":
        network.to(device)
    for parameter in network.parameters():
        if parameter.dim() == 4:  # not Module.to, which cannot change the layout of the fake tensors of a plan
            parameter.data = parameter.data.clone(memory_format=torch.channels_last)
    return network
