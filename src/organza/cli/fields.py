"""The fields of a configuration in words: how each is typed, and what it means."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from organza import config as source
from organza.config import Config, Model, Penalty, Schedule

HIDDEN = ("recipe",)  # it is the first word of the command


@dataclass(frozen=True)
class Field:
    """One field: its dotted path, its value as typed, and the comment of its line in config.py."""

    path: str
    value: str
    meaning: str


def fields_of(config: Config) -> list[Field]:
    """Every field of a configuration that can be typed, in order."""
    return [field for field in _walk(config, "") if field.path not in HIDDEN]


def typed(value: Any) -> str:
    """A value as the command line takes it: `true`, `none`, `96,48`, `0.001`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ",".join(typed(item) for item in value) or "none"
    return "none" if value is None else str(value)


@cache
def meanings() -> Mapping[str, Mapping[str, str]]:
    """Of each dataclass in config.py, its fields and the comments behind them."""
    found: dict[str, dict[str, str]] = {}
    name = ""
    for line in inspect.getsource(source).splitlines():
        if opening := re.match(r"class (\w+)", line):
            name = opening[1]
        elif field := re.match(r"    (\w+): [^#]*(?:#\s*(.*))?$", line):
            found.setdefault(name, {})[field[1]] = field[2] or ""
    return found


def _walk(node: Any, path: str, parent: str = "") -> Iterator[Field]:
    about = meanings().get(type(node).__name__, {})
    for field in dataclasses.fields(node):
        value, here = getattr(node, field.name), f"{path}{field.name}"
        if isinstance(node, Model) and field.name == "options":
            yield from (Field(f"{path}{key}", typed(item), "") for key, item in value.items())
        elif dataclasses.is_dataclass(value):
            scheduled = isinstance(value, Schedule) and about.get(field.name)
            yield from _walk(value, f"{here}.", f"{scheduled}: " if scheduled else "")
        elif value and isinstance(value, tuple) and isinstance(value[0], Penalty):
            for item in value:  # their bare names are not shown: typed, they would stand for weights of 1
                yield from (f for f in _walk(item, f"{here}.{item.name}.") if not f.path.endswith(".name"))
        else:
            yield Field(here, typed(value), parent + about.get(field.name, ""))
