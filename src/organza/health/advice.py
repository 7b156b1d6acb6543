"""What to change after a finding, as fields of the configuration.

Each remedy names the mildest change that is not in use yet, so that a second look gives the next one. `organza doctor`
prints them as a command (`command.py`), and the autopilot makes them while the run trains.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from organza.config import Changes, Config, Penalty, Player, Schedule
from organza.health.evidence import Case
from organza.losses import LOSSES
from organza.models import Role
from organza.recipes import RECIPES

FASTER = 10.0  # than the recipe's own learning rate: far off
ROLES: tuple[Role, ...] = ("generator", "discriminator")
NOISE = 0.1
ADA_TARGET = 0.6  # arXiv:2006.06676, section 3.1
TAMING = {"r1": 1.0, "r2": 1.0, "gradient-norm": 10.0, "dragan": 10.0}  # penalties that hold D back, usual weights
ON_POINTS = 0.01  # of these weights: between narrow modes D's slope is steep
HEAVIER, HEAVIEST = 3.0, 10.0  # one change of a weight, and the most over what is usual


def usual_config(case: Case) -> Config | None:
    """What the recipe has for such samples, as far as both are known."""
    known = case.shape and case.config.recipe in RECIPES
    return RECIPES[case.config.recipe](case.shape, "laptop") if known else None


def rate_of(config: Config, role: str) -> float:
    """The learning rate of a player, where a schedule begins."""
    return first(player(config, role).optimizer.lr)


def first(value: float | Schedule) -> float:
    """A value, or where its schedule begins."""
    return value.start if isinstance(value, Schedule) else float(value)


def player(config: Config, role: str) -> Player:
    """`generator` or `discriminator` of a configuration."""
    return config.generator if role == "generator" else config.discriminator


def slower(case: Case, *roles: str, by: float = 10.0) -> Changes:
    """The recipe's own optimiser for the players that are far off it; if none is, the rates of all over `by`."""
    usual, config = usual_config(case), case.config
    changes: dict[str, Any] = {}
    for role in roles:
        if usual is None:
            break
        mine, own = player(config, role).optimizer, player(usual, role).optimizer
        if rate_of(config, role) > FASTER * rate_of(usual, role) or mine.name != own.name:
            names = [field.name for field in dataclasses.fields(own)]
            differs = [name for name in names if getattr(mine, name) != getattr(own, name)]
            changes |= {f"{role}.optimizer.{name}": getattr(own, name) for name in differs}
    rates = {f"{role}.optimizer.lr": scaled(player(config, role).optimizer.lr, 1 / by) for role in roles}
    return changes or rates


def scaled(value: float | Schedule, factor: float) -> float | Schedule:
    """A value or both ends of its schedule, to three digits."""
    if isinstance(value, Schedule):
        return dataclasses.replace(value, start=value.start * factor, end=value.end * factor)
    return float(f"{value * factor:.3g}")


def more_penalty(case: Case, name: str) -> Changes:
    """`name` for D at its usual weight; where gradients have a penalty, three times its weight, to ten times the usual.

    Nothing where that is reached.
    """
    before = case.config.discriminator.penalties
    after = tuple(_heavier(case, penalty) if penalty.name in TAMING else penalty for penalty in before)
    if not any(penalty.name in TAMING for penalty in before):
        after = (*before, Penalty(name=name, weight=_usual_weight(case, name)))
    return {} if after == before else {"discriminator.penalties": after}


def _usual_weight(case: Case, name: str) -> float:
    return TAMING[name] * (1.0 if case.is_image else ON_POINTS)


def _heavier(case: Case, penalty: Penalty) -> Penalty:
    usual = usual_config(case)
    own = [first(p.weight) for p in usual.discriminator.penalties if p.name == penalty.name] if usual else []
    most = HEAVIEST * (own[0] if own else _usual_weight(case, penalty.name))
    may = HEAVIER * first(penalty.weight) <= most
    return dataclasses.replace(penalty, weight=scaled(penalty.weight, HEAVIER)) if may else penalty


def as_the_recipe(case: Case) -> Changes:
    """What favours D more than the recipe does: its turns, its rate, a rate of G that is far below its own."""
    usual, config = usual_config(case), case.config
    if usual is None:
        return {}
    changes: dict[str, Any] = {}
    if config.discriminator.turns > usual.discriminator.turns:
        changes["discriminator.turns"] = usual.discriminator.turns
    if rate_of(config, "discriminator") > 2 * rate_of(usual, "discriminator"):
        changes["discriminator.optimizer.lr"] = usual.discriminator.optimizer.lr
    if rate_of(config, "generator") < rate_of(usual, "generator") / FASTER:
        changes["generator.optimizer.lr"] = usual.generator.optimizer.lr
    return changes


def against_strength(case: Case) -> Changes:
    """Of D: the recipe's balance, a loss that does not saturate, R1 or more of it, noise, then a slower D."""
    config = case.config
    loss = {"loss": "non-saturating"} if config.loss == "minimax" else {}
    if mild := {**as_the_recipe(case), **loss}:
        return mild
    if penalty := more_penalty(case, "r1"):
        return penalty
    return slower(case, "discriminator", by=4) if config.noise else {"noise": NOISE}


def against_weakness(case: Case) -> Changes:
    """Of D: the recipe's rate, or ten times its own."""
    usual, rate = usual_config(case), rate_of(case.config, "discriminator")
    if usual is not None and rate < rate_of(usual, "discriminator") / 2:
        return {"discriminator.optimizer.lr": usual.discriminator.optimizer.lr}
    return {"discriminator.optimizer.lr": float(f"{10 * rate:.3g}")}


def against_memory(case: Case) -> Changes:
    """Of D: augmentation as strong as its answers to reals ask for; a critic's say nothing, so that it is constant."""
    if case.config.augment.policy:
        return {}
    changes: dict[str, Any] = {"augment.policy": ("color", "translation", "cutout")}
    if LOSSES[case.config.loss].border is not None:
        changes |= {"augment.target": ADA_TARGET, "augment.probability": 0.0, "augment.speed": _quick(case)}
    return changes


def _quick(case: Case) -> int:
    """Images in which ADA's probability may go from 0 to 1: those of the paper, or a quarter of a small budget."""
    return max(min(500_000, case.config.images // 4), 1)


def against_swings(case: Case) -> Changes:
    """R1, which makes the game converge near its solution (arXiv:1801.04406), or more of it, then slower players."""
    return more_penalty(case, "r1") or slower(case, *ROLES, by=4)


def against_growth(case: Case) -> Changes:
    """Of a critic's answers: the recipe's bound, else a penalty on its gradients (arXiv:1704.00028), then slower."""
    usual, clip = usual_config(case), case.config.discriminator.weight_clip
    own = None if usual is None else usual.discriminator.weight_clip
    if own is not None and (clip is None or clip > own):
        return {"discriminator.weight_clip": own, **slower(case, *ROLES, by=1)}
    return more_penalty(case, "gradient-norm") or slower(case, *ROLES, by=4)


def against_collapse(case: Case) -> Changes:
    """Fewer turns of G, rates near the recipe's, then noise, then R1 or more of it, then slower players."""
    usual, config = usual_config(case), case.config
    changes: dict[str, Any] = {"generator.turns": 1} if config.generator.turns > 1 else {}
    for role in ROLES:
        if usual is not None and rate_of(config, role) > 2 * rate_of(usual, role):
            changes[f"{role}.optimizer.lr"] = player(usual, role).optimizer.lr
    if changes:
        return changes
    if not config.noise:
        return {"noise": first(usual.noise if usual is not None and usual.noise else NOISE)}
    return more_penalty(case, "r1") or slower(case, *ROLES, by=4)
