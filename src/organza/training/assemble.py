"""From a configuration and data to a game: what is built, and what is refused because it could not work."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from shutil import which
from typing import Any

import torch
from torch import Tensor, nn

from organza import config as configs
from organza.config import Config, ConfigError, Shape, closest
from organza.data.catalogue import open_data
from organza.data.degrade import degradation
from organza.data.pairs import open_domains, open_pairs
from organza.data.progress import SILENT, Progress
from organza.data.store import ImageStore
from organza.draws import number_of
from organza.games import GAMES
from organza.games.latent import DuePenalty, LatentGame
from organza.games.view import View
from organza.layers.codes import Reader
from organza.layers.init import initialise
from organza.layers.patches import PatchSampler
from organza.layers.spectral import add_spectral_norm
from organza.losses import LOSSES
from organza.models import Role, build, complete, is_two_way, reads_attributes, reads_by_itself, translator
from organza.models.both_ways import both_ways
from organza.penalties import PENALTIES
from organza.penalties.eyes import chosen, open_eyes
from organza.training.batches import to_range
from organza.training.contradictions import contradictions, looks, named
from organza.training.distributed import world
from organza.training.precision import autocast, pick_precision
from organza.training.schedule import value_at
from organza.training.scoring import check_score

SEEN_FOR_DEVIATION = 10_000  # samples
HUES = {"hue", "saturation"}  # augmentations that leave grey as it is
GROWTH = ("fade", "stable", "first")  # of networks that grow, and both players must


def resolve(config: Config) -> Config:
    """The configuration with every option of its networks written out. Raises ConfigError for what cannot work."""
    for kind, name, catalogue in (("loss", config.loss, LOSSES), ("game", config.game, GAMES)):
        if name not in catalogue:
            raise ConfigError(f"unknown {kind} '{name}'{closest(name, catalogue)}")
    for penalty in (*config.generator.penalties, *config.discriminator.penalties):
        if penalty.name not in PENALTIES:
            raise ConfigError(f"unknown penalty '{penalty.name}'{closest(penalty.name, PENALTIES)}")
    for problem in contradictions(config):
        raise ConfigError(problem)
    maker, judge = config.generator.model, config.discriminator.model
    whole = complete(judge, "discriminator")
    asked = dataclasses.replace(whole, options={name: whole.options[name] for name in judge.options})
    generator = _grown(complete(maker, "generator"), maker, asked)
    discriminator = _grown(whole, judge, generator)
    _must_grow_together(generator, discriminator)
    return dataclasses.replace(
        config,
        perceptual=chosen(config.perceptual) if looks(config) else config.perceptual,
        generator=dataclasses.replace(config.generator, model=generator),
        discriminator=dataclasses.replace(config.discriminator, model=discriminator),
    )


def _grown(network: configs.Model, asked: configs.Model, other: configs.Model) -> configs.Model:
    """The network with the other player's way to grow, where what was asked for does not say."""
    taken = (network.options.keys() & other.options.keys() & set(GROWTH)) - asked.options.keys()
    return dataclasses.replace(network, options={**network.options, **{name: other.options[name] for name in taken}})


def _must_grow_together(generator: configs.Model, discriminator: configs.Model) -> None:
    for name in GROWTH:
        mine, other = generator.options.get(name), discriminator.options.get(name)
        if None not in (mine, other) and mine != other:
            raise ConfigError(
                f"both players grow together, but generator.model.{name} is {mine} and discriminator.model.{name} "
                f"{other}; add --discriminator.model.{name} {mine}"
            )


def open_for(config: Config, progress: Progress = SILENT) -> ImageStore:
    """The data of a game: samples, or what is translated and what it shall become. Raises as `open_dataset`."""
    kind = GAMES.get(config.game, GAMES["latent"])  # an unknown one is named by `resolve`
    if not kind.translates:
        return open_data(config.data, labelled=config.conditional, progress=progress)
    if kind.domains and config.data.degrade == "none":
        return open_domains(config.data, progress)
    return open_pairs(config.data, kind.paired, progress)


def check_data(config: Config, store: ImageStore, processes: int) -> None:
    """Raise ConfigError when the data cannot feed this configuration."""
    if config.conditional and (store.labels is None or not store.classes):
        raise ConfigError(
            f"recipe '{config.recipe}' is conditional, but '{store.name}' has no labels: put the images into one "
            "folder for each class, choose an unconditional recipe such as dcgan, or try --conditional false"
        )
    if config.conditional and store.has_attributes and not _reads_attributes(config):
        raise ConfigError(
            f"'{store.name}' has a table of attributes ({_few(store.classes)}), and 'stargan' alone reads several "
            f"attributes of an image; type the recipe stargan, or for '{config.recipe}' put the images into one folder "
            "for each class and leave data.attributes out"
        )
    if config.batch % (config.accumulate * processes):
        raise ConfigError(
            f"batch {config.batch} does not divide over {processes} processes with accumulate={config.accumulate}; "
            f"type --batch {-(-config.batch // (config.accumulate * processes)) * config.accumulate * processes}"
        )
    if (window := config.data.window) and (window[0] > store.shape[1] or window[1] > store.shape[2]):
        raise ConfigError(
            f"data.window cuts {window[0]}x{window[1]} out of images of {store.shape[1]}x{store.shape[2]}; add "
            f"--data.window {min(*store.shape[1:], *window)}, or a larger --data.resolution"
        )
    if window and (window[0] % store.scale or window[1] % store.scale):
        raise ConfigError(
            f"data.window cuts {window[0]}x{window[1]} out of images that are {store.scale} times as large as their "
            f"counterparts; its sides must divide by {store.scale}"
        )
    if config.unroll and processes > 1:
        raise ConfigError("unroll looks ahead in one process only; start it without torchrun, or add --unroll 0")
    if len(store.shape) != 3:
        _check_points(config)
    elif (policy := config.augment.policy) and store.shape[0] < 3 and {w.partition(":")[0] for w in policy} <= HUES:
        raise ConfigError(
            f"augment.policy {','.join(policy)} changes nothing of greys, and '{store.name}' has no colours; type "
            "--augment.policy bgc, or none"
        )
    check_score(config, store)


def _reads_attributes(config: Config) -> bool:
    judge = config.discriminator.model.name
    return reads_attributes(config.generator.model.name, "generator") and reads_attributes(judge, "discriminator")


def _few(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _check_points(config: Config) -> None:
    if config.data.flip:
        raise ConfigError("data.flip mirrors images, but these samples are points; add --data.flip false")
    if config.augment.policy:
        raise ConfigError(
            "augment.policy moves and colours images, but these samples are points; add --augment.policy none"
        )
    if config.blur != 0:
        raise ConfigError("blur smooths images, but these samples are points; add --blur 0")
    for name in sorted(named(config)):
        if PENALTIES[name].images_only:
            raise ConfigError(f"the penalty {name} needs images, but these samples are points; leave it out")


def build_game(config: Config, store: ImageStore, device: torch.device) -> LatentGame:
    """The networks on the device, and the game between them."""
    classes = len(store.classes) if config.conditional else 0
    generator, discriminator = _networks(config, store, classes)
    _add_heads(discriminator, config, classes)
    _add_heads_of_maker(generator, config, store)
    _weights_as_asked("generator", generator, config.generator)
    _weights_as_asked("discriminator", discriminator, config.discriminator)
    _check_norm(generator, discriminator, config)
    _check_styles(generator, config)
    _check_places(discriminator, config, store)
    dtype, _ = pick_precision(config.precision, device)
    generator, discriminator = _placed(generator, device), _placed(discriminator, device)
    if config.compile:
        _compile(generator, discriminator)
    loss = dataclasses.replace(LOSSES[config.loss], parts=getattr(discriminator, "parts", ()))
    return LatentGame(
        generator, discriminator, loss, autocast(device, dtype),
        View(config.augment.policy, config.augment.fakes_for_reals), config.targets, _deviation(config, store, device),
        config.dropout, config.compile, open_eyes(config.perceptual, str(device)) if looks(config) else None,
        GAMES[config.game].beside,
    )  # fmt: skip


def source_shape(config: Config, store: ImageStore) -> Shape:
    """Of what is translated, as the batches have it (one way). Raises ConfigError for data without."""
    if config.data.degrade != "none":
        return degradation(config.data.degrade).shape(shown_shape(config, store))
    if config.data.layout_classes:
        return (config.data.layout_classes, *_of_sources(config, store))
    if store.sources is not None:
        return (store.sources.shape[1], *_of_sources(config, store))
    if GAMES[config.game].domains:
        return shown_shape(config, store)
    raise ConfigError(f"'{store.name}' has nothing to translate; type --data emoji-pairs, or --data.degrade outline")


def _of_sources(config: Config, store: ImageStore) -> Shape:
    return tuple(side // store.scale for side in shown_shape(config, store)[1:])


def shown_shape(config: Config, store: ImageStore) -> Shape:
    """Of one target, as the batches have it."""
    return store.shape if config.data.window is None else (store.shape[0], *config.data.window)


def results_shape(config: Config, store: ImageStore) -> Shape:
    """Of what G makes and D judges: of a game both ways, images of both kinds side by side on the channels."""
    shape = shown_shape(config, store)
    return (shape[0] + source_shape(config, store)[0], *shape[1:]) if GAMES[config.game].both_ways else shape


def _networks(config: Config, store: ImageStore, classes: int) -> tuple[nn.Module, nn.Module]:
    maker, judge, kind = config.generator.model, config.discriminator.model, GAMES[config.game]
    told = classes if _reads(config) == reads_by_itself(judge.name) else 0
    if not kind.translates:
        return (
            build(maker, "generator", store.shape, classes, config.codes),
            build(judge, "discriminator", store.shape, told),
        )
    source, shape = source_shape(config, store), shown_shape(config, store)
    if kind.both_ways:
        return both_ways(maker, judge, source, shape)
    seen = (source[0] + shape[0], *shape[1:]) if kind.beside else shape
    if is_two_way(maker.name):
        raise ConfigError(f"'{maker.name}' translates both ways at once; add --game cycle")
    return translator(maker, source, shape, classes), build(judge, "discriminator", seen, told)


def _weights_as_asked(role: Role, network: nn.Module, player: configs.Player) -> None:
    """Set and normed by the player's fields. Raises ConfigError for weights that start at zero."""
    try:
        initialise(network, player.init)
        if player.spectral_norm:
            add_spectral_norm(network)
    except ConfigError as problem:
        raise ConfigError(f"{role}.{problem}") from None


def _compile(generator: nn.Module, discriminator: nn.Module) -> None:
    """Put torch.compile behind G's call and D's two steps; names, weights and copies of the networks stay as they are.

    Raises ConfigError where there is no compiler.
    """
    if which("gcc") is None and which("g++") is None and which("cl") is None and which("clang") is None:
        raise ConfigError("compile needs a C++ compiler on the PATH, such as g++; install one, or add --compile false")
    torch.compiler.assume_constant_result(number_of)
    generator.compile()
    for step in ("features", "logits"):
        setattr(discriminator, step, torch.compile(getattr(discriminator, step)))


def _check_norm(generator: nn.Module, discriminator: nn.Module, config: Config) -> None:
    """Raise ConfigError where batch norm would see single samples of vectors, which have no deviation."""
    rows = config.batch // (config.accumulate * world())
    modules = (*generator.modules(), *discriminator.modules())
    if rows == 1 and any(isinstance(module, nn.BatchNorm1d) for module in modules):
        raise ConfigError(
            f"batch norm needs two samples, but batch {config.batch} over {world()} processes with accumulate="
            f"{config.accumulate} leaves one; type --batch {2 * config.batch}"
        )


def _check_styles(generator: nn.Module, config: Config) -> None:
    """Raise ConfigError where a penalty follows styles through a generator that has none."""
    for name in sorted(named(config)):
        if PENALTIES[name].styles and not hasattr(generator, "styles"):
            raise ConfigError(
                f"the penalty {name} follows w to the picture, and '{config.generator.model.name}' has no w; leave it "
                "out, or type --generator.model stylegan2"
            )


def _check_places(discriminator: nn.Module, config: Config, store: ImageStore) -> None:
    """Raise ConfigError where targets depend on a hole that is not there, or on patches that D does not tell."""
    if not config.targets.known:
        return
    if not GAMES[config.game].translates or source_shape(config, store)[0] != store.shape[0] + 1:
        raise ConfigError("targets.known is of pictures with holes; add --data.degrade hole, or --targets.known false")
    if not hasattr(discriminator, "places"):
        raise ConfigError(
            f"targets.known calls patches real, and '{config.discriminator.model.name}' does not say which is which; "
            "add --discriminator.model lama, or --targets.known false"
        )


def due_penalties(player: configs.Player, turn: int, images: int) -> list[DuePenalty]:
    """The penalties of this turn; one with an interval of k is due every k-th turn with k times its weight.

    One whose weight is 0 now is not computed.
    """
    found = []
    for penalty in player.penalties:
        weight = value_at(penalty.weight, images) * penalty.every
        if turn % penalty.every == 0 and weight:
            found.append(DuePenalty(penalty.name, PENALTIES[penalty.name], weight))
    return found


def _reads(config: Config) -> bool:
    """Whether D reads the class instead of being told (AC-GAN)."""
    return "classes" in _heads(config)


def _heads(config: Config) -> dict[str, str]:
    """The parts of D that penalties read with, and one of these penalties."""
    return {PENALTIES[name].head: name for name in sorted(named(config)) if PENALTIES[name].head}


def _add_heads(discriminator: nn.Module, config: Config, classes: int) -> None:
    """What the penalties of this configuration ask of D beside its logits."""
    wanted, read, size = named(config), _heads(config), getattr(discriminator, "feature_size", 0)
    if reads_by_itself(config.discriminator.model.name):
        read.pop("classes", None)
    reading = sorted([*read.values(), *(wanted & {"feature-matching"})])
    if reading and not size:
        raise ConfigError(
            f"the penalty {reading[0]} reads the last features of D, and '{config.discriminator.model.name}' has none "
            "that are one vector for each sample; choose --discriminator.model dcgan, resnet or mlp"
        )
    if config.dropout and not size:
        raise ConfigError(
            f"dropout leaves out some of D's last features, and '{config.discriminator.model.name}' has none that are "
            "one vector for each sample; choose --discriminator.model dcgan, resnet or mlp, or add --dropout 0"
        )
    if "reconstruction" in wanted and not hasattr(discriminator, "reconstruction_error"):
        raise ConfigError("the penalty reconstruction needs D's decoders; type --discriminator.model fastgan")
    heads = {}
    if "classes" in read:
        heads["classes"] = nn.Linear(size, classes)
    if "codes" in read:
        heads["codes"] = Reader(size, config.codes.categorical, config.codes.continuous)
    if heads:
        discriminator.heads = nn.ModuleDict(heads)


def _add_heads_of_maker(generator: nn.Module, config: Config, store: ImageStore) -> None:
    """What penalties of G use beside it."""
    wanted = {penalty.name for penalty in config.generator.penalties}
    if wanted & {"patches", "patches-of-targets"}:
        if not hasattr(generator, "features"):
            raise ConfigError(
                f"the penalty patches reads G's encoder, and '{config.generator.model.name}' has none that it knows; "
                "type --generator.model cyclegan, or leave it out"
            )
        with torch.no_grad():
            encoder: Any = generator
            seen = encoder.features(torch.zeros(1, *source_shape(config, store)))
        generator.heads = nn.ModuleDict({"patches": PatchSampler([x.shape[1] for x in seen])})
    ends = {source_shape(config, store)[0], store.shape[0]} if GAMES[config.game].translates else {3}
    if looks(config) and store.shape[0] not in (1, 3, 4):
        raise ConfigError(
            f"perceptual {config.perceptual} sees images of 1, 3 or 4 channels, not of {store.shape[0]}; add "
            "--data.channels rgb, or leave the penalty out"
        )
    if (coloured := sorted(name for name in named(config) if PENALTIES[name].coloured)) and ends != {3}:
        raise ConfigError(f"the penalty {coloured[0]} is for colours; add --data.channels rgb, or leave it out")


def _deviation(config: Config, store: ImageStore, device: torch.device) -> Tensor | float:
    """Of all numbers of the data, as D sees them; looked up where a penalty asks for it."""
    if "dragan" not in named(config):
        return 1.0
    rows = torch.linspace(0, len(store) - 1, min(len(store), SEEN_FOR_DEVIATION)).long()
    return to_range(store.images[rows]).std().to(device)


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    """On the device, convolutions with their channels last, which is the layout that CPUs and tensor cores like."""
    if device.type != "cpu":
        network.to(device)
    for parameter in network.parameters():
        if parameter.dim() == 4:  # not Module.to, which cannot change the layout of the fake tensors of a plan
            parameter.data = parameter.data.clone(memory_format=torch.channels_last)
    return network
