"""The commands that findings end with: train again with a change, or go on."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterator
from typing import Any

from organza.config import Changes, Config, ConfigError, Model, Penalty, Schedule, Size, override, to_dict
from organza.health.advice import ROLES
from organza.health.evidence import Case
from organza.recipes import RECIPES
from organza.training.fit import fitted

SIZES: tuple[Size, ...] = ("laptop", "paper")


def train_again(case: Case, changes: Changes) -> str:
    """The run's own command with changes, into a new folder; for none the data are what to look at."""
    source, out = shlex.quote(case.config.data.source), shlex.quote(f"{place(case)}-next")
    if not changes:
        return f"organza data check {source}"
    options = min((_options(case, changes, size) for size in SIZES), key=len)
    return " ".join([f"organza train {case.config.recipe} --data {source}", *options, f"--out {out}"])


def go_on(case: Case, least: int = 1) -> str:
    """The command that trains the run for as long again, and to `least` images."""
    return f"organza train --out {shlex.quote(place(case))} --resume --images {max(2 * case.run.images, least)}"


def place(case: Case) -> str:
    """The run folder, as it was given."""
    return case.run.path.as_posix()


def word(value: Any) -> str:
    """The value of a field as one types it; of penalties the names."""
    if isinstance(value, tuple):
        return ",".join(word(item) for item in value) or "none"
    if isinstance(value, Penalty):
        return value.name
    if isinstance(value, Schedule):
        return json.dumps(to_dict(value))
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _options(case: Case, changes: Changes, size: Size) -> list[str]:
    """All in which a run with changes differs from its recipe in this size; the changes come last, whatever they are.

    How often the folder is written stays out, but where the autopilot looks as often.
    """
    after = override(case.config, changes)
    wanted, own = _fields(after), _own(case, after, size)
    apart = [name for name, value in wanted.items() if name not in own or own[name] != value]
    untold = ("recipe", "data.source") if after.autopilot else ("recipe", "data.source", "output.")
    names = [*(name for name in apart if name not in changes and not name.startswith(untold)), *changes]
    options = [option for name in names for option in _typed(name, wanted[name], own.get(name))]
    return [*(["--size paper"] if size == "paper" else []), *options]


def _own(case: Case, after: Config, size: Size) -> dict[str, Any]:
    """What the recipe has for such samples, with the options of networks that `after` has in place of its own.

    Nothing where that is not known.
    """
    if not case.shape or after.recipe not in RECIPES:
        return {}
    try:
        usual, wanted = _fields(RECIPES[after.recipe](case.shape, size)), _fields(after)
        named = {name: wanted[name] for role in ROLES if wanted[name := f"{role}.model"] != usual[name]}
        own = _fields(fitted(after.recipe, case.shape, size, named | {"pace": after.pace}))
        return own | {name: usual[name] for name in (*named, "pace")}
    except ConfigError:  # the recipe has no such size for them, or none with these networks alone
        return {}


def _fields(node: Any, name: str = "") -> dict[str, Any]:
    """All that one option can say, by its dotted name: a network, each of its options, a schedule, all penalties."""
    if isinstance(node, Model):
        return {name: node.name} | {f"{name}.{key}": value for key, value in node.options.items()}
    if isinstance(node, Schedule) or not dataclasses.is_dataclass(node):
        return {name: node}
    found: dict[str, Any] = {}
    for field in dataclasses.fields(node):
        found |= _fields(getattr(node, field.name), f"{name}.{field.name}" if name else field.name)
    return found


def _typed(name: str, value: Any, own: Any) -> Iterator[str]:
    """A field as options of the command line, where the recipe has `own`: penalties keep the weights that they have."""
    yield f"--{name} {shlex.quote(word(value))}"
    if not (isinstance(value, tuple) and value and isinstance(value[0], Penalty)):
        return
    for penalty in value:
        usual = {p.name: p for p in own or ()}.get(penalty.name, Penalty(name=penalty.name, weight=1.0))
        for part in ("weight", "every"):
            if own is None or getattr(penalty, part) != getattr(usual, part):
                yield f"--{name}.{penalty.name}.{part} {shlex.quote(word(getattr(penalty, part)))}"
