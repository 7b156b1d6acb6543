"""Commands to type after a diagnosis: the run's own, with a change."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from organza.config import Config, Schedule, to_dict
from organza.health.evidence import Case
from organza.recipes import RECIPES


def usual_config(case: Case) -> Config | None:
    """What the recipe has for such samples, as far as both are known."""
    known = case.shape and case.config.recipe in RECIPES
    return RECIPES[case.config.recipe](case.shape, "laptop") if known else None


def rate_of(config: Config, role: str) -> float:
    """The learning rate of a player, where a schedule begins."""
    rate: Any = getattr(config, role).optimizer.lr
    return rate.start if isinstance(rate, Schedule) else float(rate)


def train_again(case: Case, advice: str) -> str:
    """The run's own command with a change, into a new folder."""
    changed = set(advice.split())
    mine = " ".join(flag for flag in _flags(case) if flag.split()[0] not in changed)
    start, out = f"organza train {case.config.recipe} --data", shlex.quote(f"{place(case)}-next")
    return " ".join(filter(None, (start, shlex.quote(case.config.data.source), mine, advice, f"--out {out}")))


def _flags(case: Case) -> Iterator[str]:
    """What the run changed of its recipe, as options; records that no option can say are left out."""
    if (recipe := usual_config(case)) is None:
        return
    usual = dict(_flat(to_dict(recipe)))
    for name, value in _flat(to_dict(case.config)):
        plain = isinstance(value, (int, float, str)) or value is None
        if plain and usual.get(name, value) != value and not name.startswith(("data.", "output.")):
            yield f"--{name} {'none' if value is None else shlex.quote(str(value))}"


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def go_on(case: Case) -> str:
    """The command that trains the run for as long again."""
    return f"organza train --out {shlex.quote(place(case))} --resume --images {2 * max(case.run.images, 1)}"


def place(case: Case) -> str:
    """The run folder, as it was given."""
    return case.run.path.as_posix()
