"""Settings that cannot work together, each with the field, the reason and what to type; found before anything runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from organza.augment import augmentation
from organza.config import Augment, Codes, Config, Player, Replay, Schedule, Targets
from organza.games import GAMES
from organza.losses import LOSSES
from organza.models import Role, complete, is_equalized
from organza.penalties import PENALTIES


def contradictions(config: Config) -> Iterator[str]:
    """What is wrong with a configuration, whatever the data."""
    checks: tuple[Callable[[Config], Iterable[str]], ...] = (
        _counts, _shares, _schedules, _optimizers, _turns, _players, _frozen, _penalties, _heads, _told, _bounded,
        _shown, _ahead, _replay, _translation,
    )  # fmt: skip
    for check in checks:
        yield from check(config)


def _counts(config: Config) -> Iterator[str]:
    turns = {"generator.turns": config.generator.turns, "discriminator.turns": config.discriminator.turns}
    sizes = {"batch": config.batch, "accumulate": config.accumulate, "images": config.images, **turns}
    every = dataclasses.asdict(config.output)
    intervals = {f"output.{k}": v for k, v in every.items() if k not in ("score", "pictures", "evaluate")}
    if config.output.score < 0:
        yield f"output.score is {config.output.score}; it takes 0 or more images from one score to the next, or true"
    if config.output.evaluate < 0:
        yield f"output.evaluate is {config.output.evaluate}; it takes a number of samples such as 10000, true or false"
    for field, value in {**sizes, **intervals, "augment.speed": config.augment.speed}.items():
        if value < 1:
            yield f"{field} is {value}; it takes 1 or more"
    if not 0 <= config.seed < 2**32:
        yield f"seed is {config.seed}; it takes a whole number from 0 to 4294967295"


def _shares(config: Config) -> Iterator[str]:
    shares = {f"targets.{k}": v for k, v in dataclasses.asdict(config.targets).items()}
    shares |= {"replay.share": config.replay.share}
    shares |= _ends("augment.probability", config.augment.probability) | _ends("top_k", config.top_k)
    for field, value in shares.items():
        if not 0 <= value <= 1:
            yield f"{field} is {value}; it takes a number from 0 to 1"
    if min(_ends("top_k", config.top_k).values()) == 0:
        yield "top_k 0 leaves no fake to learn from; it takes more than 0, such as 0.5"
    if config.batch == 1 and min(_ends("top_k", config.top_k).values()) < 1:
        yield "top_k chooses among the fakes of a batch, and batch is 1; add --top_k 1, or --batch 2"
    if not 0 <= config.dropout < 1:
        yield f"dropout is {config.dropout}; it takes a share from 0 to below 1, such as 0.3"
    if config.balance is not None and not 0.5 <= config.balance < 1:
        yield f"balance is {config.balance}; it takes a share of reals from 0.5 to below 1, such as 0.8, or none"
    if config.augment.target is not None and not 0 < config.augment.target < 1:
        yield f"augment.target is {config.augment.target}; it takes a number between 0 and 1, such as 0.6, or none"


def _schedules(config: Config) -> Iterator[str]:
    for field, schedule in _scheduled(config, ""):
        if schedule.images < 0:
            yield f"{field}.images is {schedule.images}; it takes 0 or more"
        if not 0 <= schedule.hold <= max(schedule.images, 0):
            yield f"{field}.hold is {schedule.hold}; it takes a number from 0 to its images, {schedule.images}"
    if config.pace <= 0:
        yield f"pace is {config.pace}; it takes more than 0, such as 0.1 for a tenth of the recipe's images"
    if min(_ends("noise", config.noise).values()) < 0:
        yield "noise is a deviation; it takes 0 or more, such as 0.1"
    if min(_ends("blur", config.blur).values()) < 0:
        yield "blur is a deviation in pixels; it takes 0 or more, such as 2"
    if min(_ends("", config.ema.half_life).values()) < 0:
        yield "ema.half_life is below 0; it takes images, such as 20000, or 0 for the raw weights"
    if min(weights := _ends("", config.game_weight).values()) < 0:
        yield f"game_weight is {min(weights)}, which rewards G for what D sees through; it takes 0 or more"
    if max(weights) == 0 and not config.generator.penalties:
        yield "game_weight 0 leaves G nothing to learn; it takes more than 0, or G needs penalties such as pixel"
    if config.ema.ramp is not None and config.ema.ramp <= 0:
        yield f"ema.ramp is {config.ema.ramp}; it takes a share above 0, such as 0.05, or none"


def _optimizers(config: Config) -> Iterator[str]:
    for role, player in _roles(config):
        settings, name = player.optimizer, f"{role}.optimizer"
        rates = _ends("", settings.lr).values()
        if min(rates) < 0 or max(rates) == 0:
            yield f"{name}.lr is {max(rates) and min(rates)}; it takes a number above 0, such as 0.0002"
        for field, value in (_ends("beta1", settings.beta1) | _ends("beta2", settings.beta2)).items():
            if not 0 <= value < 1:
                yield f"{name}.{field} is {value}; it takes a number from 0 to below 1, such as 0.9"
        for field, value in (("eps", settings.eps), ("weight_decay", settings.weight_decay)):
            if value < 0:
                yield f"{name}.{field} is {value}; it takes 0 or more"
        if settings.mapping <= 0:
            yield f"{name}.mapping is {settings.mapping}; it takes a share above 0, such as 0.01"


def _turns(config: Config) -> Iterator[str]:
    turns = config.generator.turns, config.discriminator.turns
    if config.share_fakes and (set(turns) != {1} or config.accumulate > 1):
        yield (
            "share_fakes uses one generator pass for one turn of each player, but generator.turns is "
            f"{turns[0]}, discriminator.turns {turns[1]} and accumulate {config.accumulate}; add --share_fakes false"
        )
    parts = max(config.accumulate, 1)
    if config.batch % parts:
        yield (
            f"batch {config.batch} does not divide into accumulate={parts} micro-batches of equal size; type "
            f"--batch {-(-config.batch // parts) * parts}"
        )


def _players(config: Config) -> Iterator[str]:
    for role, player in _roles(config):
        if player.clip is not None and player.clip <= 0:
            yield f"{role}.clip is {player.clip}; it takes the largest norm of a gradient, such as 1, or none"
        if is_equalized(player.model.name, role):
            yield from _scaled(role, player)
        if player.weight_clip is None:
            continue
        if player.weight_clip <= 0:
            yield f"{role}.weight_clip is {player.weight_clip}; it takes a number above 0, such as 0.01"
        if player.spectral_norm:
            yield (
                f"{role}.weight_clip cuts weights that spectral_norm divides by their norm anyway; add "
                f"--{role}.weight_clip none or --{role}.spectral_norm false"
            )
        if pulled := [p.name for p in player.penalties if p.name in ("gradient-norm", "dragan")]:
            yield (
                f"{role}.weight_clip keeps slopes far below 1, to which the penalty {pulled[0]} pulls them; add "
                f"--{role}.weight_clip none, or leave the penalty out"
            )


def _scaled(role: Role, player: Player) -> Iterator[str]:
    """Of weights that are standard normal ones, scaled as the network runs: nothing else may set or norm them."""
    has = f"and those of '{player.model.name}' are large by design and scaled as it runs"
    asked = {"weight_clip": player.weight_clip, "spectral_norm": player.spectral_norm, "init": player.init}
    for field, usual in (("weight_clip", None), ("spectral_norm", False), ("init", "own")):
        if asked[field] != usual:
            yield f"{role}.{field} is of plain weights, {has}; add --{role}.{field} {str(usual).lower()}"
    if "orthogonal" in (penalty.name for penalty in player.penalties):
        yield f"{role}.penalties.orthogonal is of plain weights, {has}; leave the penalty out"


def _frozen(config: Config) -> Iterator[str]:
    for role, player in _roles(config):
        if player.frozen < 0:
            yield f"{role}.frozen is {player.frozen}; it takes 0 or more layers, such as 4"


def _penalties(config: Config) -> Iterator[str]:
    for role, player in _roles(config):
        names = [penalty.name for penalty in player.penalties]
        for penalty in player.penalties:
            name, rule = f"{role}.penalties.{penalty.name}", PENALTIES[penalty.name]
            if penalty.every < 1:
                yield f"{name}.every is {penalty.every}; it takes 1 or more"
            if min(_ends("", penalty.weight).values()) < 0:
                yield f"{name}.weight is below 0, which rewards what it should punish; it takes 0 or more"
            if role not in rule.players:
                yield f"{name}: this penalty belongs to the {rule.players[0]}; move it to {rule.players[0]}.penalties"
            if names.count(penalty.name) > 1:
                yield f"{role}.penalties names {penalty.name} twice; name it once, with a larger --{name}.weight"


def _heads(config: Config) -> Iterator[str]:
    """Whether what a penalty reads is there, and both players play along."""
    named = {role: {penalty.name for penalty in player.penalties} for role, player in _roles(config)}
    read = {
        role: {rule.head: name for name, rule in PENALTIES.items() if rule.head and name in names}
        for role, names in named.items()
    }
    either, coded = read["generator"] | read["discriminator"], config.codes != Codes()
    if (fewest := min((*config.codes.categorical, 2))) < 2:
        yield f"codes.categorical has a code of {fewest} values; each takes 2 or more, such as 10"
    if config.codes.continuous < 0:
        yield f"codes.continuous is {config.codes.continuous}; it takes 0 or more"
    if "classes" in either and not config.conditional:
        yield (
            f"the penalty {either['classes']} reads the class of a sample, but there are no labels; add --conditional "
            "true"
        )
    if "codes" in either and not coded:
        yield "the penalty mutual-information reads codes, but there are none; add --codes.categorical 10"
    if coded and "codes" not in either:
        yield (
            "codes have no effect unless G has to make them legible: type the recipe 'infogan', or give both players "
            "the penalty mutual-information"
        )
    for role, other in (("generator", "discriminator"), ("discriminator", "generator")):
        for head in read[role].keys() - read[other].keys():
            name, add = read[role][head], next(n for n, rule in PENALTIES.items() if rule.head == head)
            yield (
                f"the penalty {name} is the {role}'s alone, but D has to learn to read and G to be legible; add "
                f"--{other}.penalties {','.join([*(p.name for p in getattr(config, other).penalties), add])}"
            )


def _told(config: Config) -> Iterator[str]:
    """What D is told about its samples, and what counts its answers."""
    critic, targets = LOSSES[config.loss].border is None, config.targets
    if critic and dataclasses.replace(targets, flip=0.0) != Targets():
        yield (
            f"targets smooth a yes or no, but the loss {config.loss} has neither; leave targets.real at 1, "
            "targets.fake and targets.spread at 0"
        )
    if targets.real <= targets.fake:
        yield (
            f"targets.real {targets.real} is not above targets.fake {targets.fake}, so that D cannot tell them apart; "
            "type --targets.real 1 --targets.fake 0"
        )
    if targets.flip >= 0.5:
        yield f"targets.flip {targets.flip} swaps half of the samples or more; it takes less, such as 0.05"
    if critic and (config.augment.target is not None or config.balance is not None):
        field = "balance" if config.augment.target is None else "augment.target"
        yield (
            f"{field} counts how often D calls a real sample real, but the logits of {config.loss} have no zero; add "
            f"--{field} none"
        )


def _bounded(config: Config) -> Iterator[str]:
    """Without a bound on its slope a critic's loss has no least value, and the game no end (arXiv:1701.07875)."""
    critic = config.discriminator
    bounds = {"gradient-norm", "dragan", "r1", "r2"} & {penalty.name for penalty in critic.penalties}
    own = "spectral" in critic.model.options and complete(critic.model, "discriminator").options["spectral"]
    if LOSSES[config.loss].border is None and not (bounds or critic.weight_clip or critic.spectral_norm or own):
        names = ",".join([*(penalty.name for penalty in critic.penalties), "gradient-norm"])
        ways = f"--discriminator.penalties {names} --discriminator.penalties.gradient-norm.weight 10"
        if complete(critic.model, "discriminator").options.get("norm") == "batch":  # slopes are of each sample alone
            ways += " --discriminator.model.norm none"
        if not is_equalized(critic.model.name, "discriminator"):  # neither is for weights that are scaled as they run
            ways += ", --discriminator.spectral_norm true or --discriminator.weight_clip 0.01"
        yield f"the loss {config.loss} needs a critic with a bounded slope; add {ways}"


def _shown(config: Config) -> Iterator[str]:
    augment, policy, fakes = config.augment, config.augment.policy, config.augment.fakes_for_reals
    adapts, ends = augment.target is not None, _ends("", augment.probability).values()
    if policy:
        augmentation(policy)  # names an unknown word
    if policy and fakes:
        yield (
            "augment.fakes_for_reals and augment.policy would share one probability; add --augment.policy none or "
            "--augment.fakes_for_reals false"
        )
    if not policy and not fakes and adapts:
        yield "augment.target adapts a probability that nothing uses; add --augment.policy bgc"
    elif not policy and not fakes and augment != Augment():
        yield "augment has no effect without a policy; add --augment.policy diffaugment"
    elif adapts and isinstance(augment.probability, Schedule):
        yield "augment.probability cannot follow a schedule and adapt to augment.target; type a number, such as 0"
    elif adapts and max(ends) == 1:
        yield (
            "augment.probability is where its adaptation begins, and 1 leaves no sample as it is; type "
            "--augment.probability 0"
        )
    elif fakes and max(ends) == 1:
        yield "augment.fakes_for_reals with probability 1 shows no real sample; type --augment.probability 0.2"
    elif (policy or fakes) and not adapts and max(ends) == 0:
        yield "augment.probability 0 changes nothing; type a larger one, or add --augment.target 0.6"
    elif not adapts and augment.speed != Augment().speed:
        yield "augment.speed has no effect unless the probability adapts; add --augment.target 0.6"


def _ahead(config: Config) -> Iterator[str]:
    critic = config.discriminator
    if config.unroll < 0:
        yield f"unroll is {config.unroll}; it takes 0 or more steps"
    if config.unroll <= 0:
        return
    if critic.optimizer.name == "sgd":
        yield "unroll looks ahead by the rules of Adam and RMSprop; add --discriminator.optimizer.name adam"
    if config.accumulate > 1:
        yield "unroll looks ahead of whole batches, not of micro-batches; add --accumulate 1"
    if config.compile:
        yield "unroll needs second derivatives, which compiled passes lack; add --compile false"


def _replay(config: Config) -> Iterator[str]:
    replay, size = config.replay, config.replay.size
    if replay.share == 0:
        if size != Replay().size:
            yield "replay.size has no effect without a share; add --replay.share 0.5"
        return
    if "zcr" in {penalty.name for penalty in config.discriminator.penalties}:
        yield (
            "the penalty zcr compares fakes with what G makes of noise nearby, but those of replay are by an earlier "
            "G; add --replay.share 0, or leave the penalty out"
        )
    if GAMES.get(config.game, GAMES["latent"]).beside or config.targets.known:
        yield "replay keeps no sources of its fakes, by which D judges them here; add --replay.share 0"
    if size < config.batch:
        yield f"replay.size is {size}, less than one batch; type --replay.size {config.batch * 8}"


def _translation(config: Config) -> Iterator[str]:
    kind = GAMES.get(config.game, GAMES["latent"])
    for role, player in _roles(config):
        for penalty in player.penalties:
            name, wanted = f"{role}.penalties.{penalty.name}", PENALTIES[penalty.name].of
            if wanted != "all" and not kind.translates:
                yield f"{name} is of translations; leave it out, or take a recipe such as pix2pix"
            elif wanted == "pairs" and not kind.paired:
                yield f"{name} compares with counterparts; add --game paired, or leave it out"
            elif penalty.name == "cycle" and not (kind.both_ways or kind.domains):
                yield f"{name} needs the way back; add --game cycle, or leave it out"
            if (makers := PENALTIES[penalty.name].makers) and config.generator.model.name not in makers:
                yield (
                    f"{name} reads what '{config.generator.model.name}' does not have; type --generator.model "
                    f"{' or '.join(makers)}, or leave it out"
                )
    yield from _encoder_of_styles(config)
    data = config.data
    if not kind.translates and (data.degrade, data.direction, data.window) != ("none", "AtoB", None):
        yield (
            "data.degrade, data.direction and data.window are of translations; leave them out, or take a recipe such "
            "as pix2pix"
        )
    if not 0 <= data.heldout <= 0.5:
        yield f"data.heldout is {data.heldout}; it takes a share from 0 to 0.5, such as 0.05"
    elif data.heldout and kind.translates and not kind.domains:
        yield "data.heldout has no effect here: translations keep their test images, or each tenth; leave it out"
    if config.data.attributes and not (config.conditional and kind.domains):
        yield "data.attributes are what 'stargan' alone reads of an image; leave them out, or type the recipe stargan"
    if config.data.layout_classes and (not kind.translates or kind.both_ways or kind.domains):
        yield "data.layout_classes is of games that start from label maps; add --game paired, or leave it out"
    elif config.data.layout_classes and config.data.degrade != "none":
        yield f"data.degrade {config.data.degrade} makes sources of images, not of label maps; leave one of both out"
    elif config.data.layout_classes < 0:
        yield f"data.layout_classes is {config.data.layout_classes}; it takes the number of classes, or 0 for images"
    if kind.translates and config.codes != Codes():
        yield "codes are read from noise, of which translations have none; leave codes out"
    if kind.translates and config.augment.fakes_for_reals:
        yield "augment.fakes_for_reals draws fakes from noise; add --augment.fakes_for_reals false"
    if config.perceptual != "auto" and not looks(config):
        yield (
            f"perceptual {config.perceptual} is what penalties look through, and none of these looks; leave perceptual "
            "out, or take a recipe such as esrgan"
        )
    if kind.domains and not config.conditional:
        yield "game domains translates between classes; add --conditional true"
    if kind.both_ways and config.data.degrade != "none":
        yield f"data.degrade {config.data.degrade} makes sources in one way only; add --game paired"


def _encoder_of_styles(config: Config) -> Iterator[str]:
    maker, both_ways = config.generator.model, GAMES.get(config.game, GAMES["latent"]).both_ways
    encodes = maker.name == "spade" and complete(maker, "generator").options["encoder_width"] != 0
    names = [penalty.name for penalty in config.generator.penalties]
    codes = "codes" in names
    if encodes and both_ways:
        yield "generator.model.encoder_width reads the styles of one way; add --game paired, or leave it out"
    elif encodes and not codes:
        yield (
            "generator.model.encoder_width puts styles where no noise finds them; type --generator.penalties "
            f"{','.join([*names, 'codes'])}"
        )
    elif maker.name == "spade" and codes and not encodes:
        yield (
            "generator.penalties.codes keeps an encoder near its noise, and there is none; type --generator.model.vae "
            "true --generator.model.encoder_width 64"
        )


def named(config: Config) -> set[str]:
    """The penalties of both players."""
    return {penalty.name for _, player in _roles(config) for penalty in player.penalties}


def looks(config: Config) -> bool:
    """Whether a penalty looks through a trained network."""
    return any(PENALTIES[name].looks for name in named(config))


def _roles(config: Config) -> tuple[tuple[Role, Player], tuple[Role, Player]]:
    return ("generator", config.generator), ("discriminator", config.discriminator)


def _ends(field: str, value: float | Schedule) -> dict[str, float]:
    """The values that a scheduled field takes first and last."""
    return {f"{field}.start": value.start, f"{field}.end": value.end} if isinstance(value, Schedule) else {field: value}


def _scheduled(node: Any, path: str) -> Iterator[tuple[str, Schedule]]:
    """Every schedule in a configuration, by its dotted field."""
    if isinstance(node, Schedule):
        yield path, node
    elif isinstance(node, tuple):
        for number, item in enumerate(node):
            yield from _scheduled(item, f"{path}.{getattr(item, 'name', number)}")
    elif dataclasses.is_dataclass(node):
        for field in dataclasses.fields(node):
            yield from _scheduled(getattr(node, field.name), f"{path}.{field.name}".lstrip("."))
