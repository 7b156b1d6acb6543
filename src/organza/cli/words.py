"""The words of a command line: fixed options, fields of the configuration, counts and lists of numbers."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tyro.conf import arg

from organza.config import Config, ConfigError, closest, coerce

UNWRITTEN = (".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".mov", ".webm", ".mkv", ".avi")
"""Endings of pictures and films that no verb writes: a folder of such a name would surprise."""

UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


def told(help: str, **more: Any) -> Any:
    """What the help says of an option, as it stands: defaults are told in its words. `more` goes to `tyro.conf.arg`."""
    return arg(help=help, help_behavior_hint="", **more)


def split(words: Sequence[str], fixed: Collection[str], flags: Collection[str]) -> tuple[list[str], dict[str, Any]]:
    """The words of fixed options (with `--name value` made `--name=value`), and the fields of the configuration.

    A field is `--a.b VALUE`, `--a.b=VALUE`, or a bare `--a.b` where it is true or false. Dashes may stand for
    underscores. Raises ConfigError for an option that is neither, with the closest of both.
    """
    known, changes, rest = [], {}, list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--help":
            known.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        name = field_name(name)
        if name in flags and not equals:
            known.append(f"--{name.replace('_', '-')}")
            continue
        _must_be_known(name, {*fixed, *flags})
        if not equals:
            value = _next_value(name, rest)
        if name in {*fixed, *flags}:
            known.append(f"--{name.replace('_', '-')}={value}")
        else:
            changes[name] = value
    return known, changes


def field_name(word: str) -> str:
    """`share-fakes` -> `share_fakes`; the names of penalties keep their dashes."""
    parts = word.split(".")
    keeps = [i for i, part in enumerate(parts) if i and parts[i - 1] == "penalties"]
    return ".".join(part if i in keeps else part.replace("-", "_") for i, part in enumerate(parts))


def count(text: str, name: str) -> int:
    """`200000`, `200_000`, `200k` or `1.5M` -> the number. Raises ConfigError."""
    found = re.fullmatch(r"([0-9][0-9_]*(?:\.[0-9]+)?(?:e[0-9]+)?)([kmg]?)", text.strip().lower())
    value = float(found[1].replace("_", "")) * UNITS[found[2]] if found else 0.5
    if not value.is_integer():
        raise ConfigError(f"{name} is '{text}'; it takes a whole number, such as 200000, 200_000, 200k or 1M")
    return int(value)


def count_or_none(text: str, name: str) -> int | None:
    """The same, or None for no text. Raises ConfigError."""
    return count(text, name) if text else None


def number(text: str, kind: type[int] | type[float], name: str) -> Any:
    """The number, or None for no text. Raises ConfigError."""
    return coerce(text, kind, name) if text else None


def seed_of(text: str) -> int:
    """The seed of an option, 0 for no text. Raises ConfigError."""
    found = number(text, int, "seed") or 0
    if not 0 <= found < 2**32:  # numpy's limits
        raise ConfigError(f"seed is {found}; it takes a whole number from 0 to {2**32 - 1}")
    return found


def numbers(text: str, name: str) -> list[int]:
    """`0-15,42` -> the numbers, both ends included. Raises ConfigError."""
    found: list[int] = []
    for part in text.replace(" ", "").split(","):
        ends = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if ends is None:
            raise ConfigError(f"{name} has '{part}'; it takes numbers and ranges, such as 0-15,42")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first or last - first >= 10_000_000:
            raise ConfigError(f"{name} has the range '{part}'; it takes the smaller end first, at most 10 million")
        found += range(first, last + 1)
    return found


def some(text: str, name: str) -> list[int] | None:
    """As `numbers`; None for no text and for `all`. Raises ConfigError."""
    return None if text in ("", "all") else numbers(text, name)


def file_name(name: str) -> str:
    """A name as part of a file's."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")


def must_be_run(path: Path, verb: str) -> None:
    """Raises FileNotFoundError for what is no run folder, with what to type: the runs there are, or how to make one."""
    from organza.report.folder import is_run

    if is_run(path):
        return
    near = (file.parent for place in (path, path.parent, Path("runs")) for file in sorted(place.glob("*/config.json")))
    names = sorted(set(map(str, near)))
    rest = f" (or {', '.join(names[1:6])})" if names[1:] else ""
    advice = f"organza {verb} {names[0]}{rest}" if names else "organza train dcgan --data mnist --out runs/first"
    raise FileNotFoundError(
        f"'{path}' is not a run folder (no config.json, summary.json or log.jsonl); "
        f"{'type' if names else 'make one with'}: {advice}"
    )


def _must_be_known(name: str, fixed: Collection[str]) -> None:
    fields = {field.name for field in dataclasses.fields(Config)}
    first = name.split(".")[0]
    if first not in fields and name not in fixed:
        options = {f"--{word}".replace("_", "-") for word in (*fixed, *fields)}
        hint = closest(f"--{first}".replace("_", "-"), options)
        raise ConfigError(f"unknown option '--{name}'{hint if 'mean' in hint else '; see organza train --help'}")


def _next_value(name: str, rest: list[str]) -> str:
    """The value behind `--name`, taken from `rest`; `true` for a bare flag."""
    given = rest[0] if rest and not rest[0].startswith("--") else None
    if _is_flag(name) and (given is None or given.lower() not in ("true", "false")):
        return "true"
    if given is None:
        raise ConfigError(f"--{name} has no value; type --{name} VALUE, or for a switch --{name} true")
    return rest.pop(0)


def _is_flag(name: str) -> bool:
    """Whether the dotted field of the configuration is true or false."""
    kind: Any = Config
    for part in name.split("."):
        hints: Mapping[str, Any] = typing.get_type_hints(kind) if dataclasses.is_dataclass(kind) else {}
        kind = hints.get(part)
    return kind is bool
