"""From a recipe and changes to a complete configuration: its networks fit the samples, and mistakes are found early."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch

from organza.config import Changes, Config, ConfigError, Data, Model, Output, Schedule, Shape, Size, override
from organza.data.catalogue import DATASETS
from organza.games import GAMES
from organza.layers.geometry import image, must_shrink
from organza.models import HALVING, Role, build
from organza.recipes import RECIPES
from organza.training.assemble import GROWTH, resolve

OFTEN = {"log": 100, "samples": 1_000, "checkpoint": 1_000}  # at the most; grids are named by thousands of images
UNKNOWN: tuple[Shape, ...] = ((1, 28, 28), (3, 32, 32), (3, 256, 256), (2,))


def fitted(recipe: str, shape: Shape, size: Size, changes: Changes) -> Config:
    """The recipe for samples of `shape`, changed. Raises ConfigError for what cannot work.

    A network that is named alone (`--generator.model sngan`) has the options that it has in its own recipe. With
    `pace` its images and all its schedules are so many times as long, so that a short run has every stage, and below 1
    it is written as much more often.
    """
    config = RECIPES[recipe](shape, size)
    if (pace := override(config, {"pace": changes.get("pace", 1.0)}).pace) > 0:  # others are refused below
        config = dataclasses.replace(_paced(config, pace), images=max(round(pace * config.images), 1))
    config = _named_alone(config, "generator", "discriminator", shape, size, changes)
    config = _named_alone(config, "discriminator", "generator", shape, size, changes)
    config = resolve(override(config, changes))
    if {config.generator.model.name, config.discriminator.model.name} & set(HALVING):
        must_shrink(*(config.data.window or image(shape)[1:]))
    return config


def _paced(node: Any, pace: float) -> Any:
    """A configuration, or a part of it, whose schedules, and stages of growth, take `pace` times as many images.

    Of a shorter run grids, checkpoints and lines of the log come sooner, too.
    """
    if isinstance(node, Model):
        stages = {name: round(pace * node.options[name]) for name in ("fade", "stable") if name in node.options}
        return Model(name=node.name, options={**node.options, **stages})
    if isinstance(node, Schedule):
        return dataclasses.replace(node, images=round(pace * node.images), hold=round(pace * node.hold))
    if isinstance(node, Output):
        usual = {name: getattr(node, name) for name in OFTEN}
        often = {name: min(own, max(round(pace * own), OFTEN[name])) for name, own in usual.items()}
        return dataclasses.replace(node, **often)
    if isinstance(node, tuple):
        return tuple(_paced(item, pace) for item in node)
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        return dataclasses.replace(
            node, **{f.name: _paced(getattr(node, f.name), pace) for f in dataclasses.fields(node)}
        )
    return node


def refuse_early(recipe: str, size: Size, data: Data, changes: Changes) -> None:
    """Raise the ConfigError of what could not work with any samples that `data` may have, before it is opened."""
    problems = []
    for shape in _possible(data):
        try:
            config = fitted(recipe, shape, size, changes)
            if data.resolution is not None and not GAMES[config.game].translates:
                with torch.device("meta"):  # a network that cannot have this size says so before images are resized
                    build(config.generator.model, "generator", shape, 10 * config.conditional, config.codes)
                    build(config.discriminator.model, "discriminator", shape, 0)
            return
        except ConfigError as problem:
            problems.append(problem)
    raise problems[0]


def _possible(data: Data) -> tuple[Shape, ...]:
    if data.resolution is not None:
        return ((3, *data.resolution),)
    named = DATASETS.get(data.source)
    return ((2,),) if named is not None and named.points else UNKNOWN


def _named_alone(config: Config, role: Role, other: Role, shape: Shape, size: Size, changes: Changes) -> Config:
    """With the network that changes name in the place of another; it grows as the other player where that has a say."""
    player, opponent, name = getattr(config, role), getattr(config, other), changes.get(f"{role}.model")
    if name == player.model.name or (found := next(_networks(name, role, shape, size), None)) is None:
        return config
    decided = {key for key in GROWTH if key in opponent.model.options or f"{other}.model.{key}" in changes}
    model = Model(name=found.name, options={k: v for k, v in found.options.items() if k not in decided})
    return dataclasses.replace(config, **{role: dataclasses.replace(player, model=model)})


def _networks(name: object, role: Role, shape: Shape, size: Size) -> Iterator[Model]:
    """The network of this name in each recipe that has it."""
    for recipe in RECIPES.values():
        try:
            model = getattr(recipe(shape, size), role).model
        except ConfigError:  # not for this shape
            continue
        if model.name == name:
            yield model
