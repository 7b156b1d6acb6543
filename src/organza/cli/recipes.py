"""`organza recipes [NAME]`: the catalogue, or every field of one recipe as it can be typed."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Annotated, cast

import rich.console
import tyro
from rich.table import Table
from rich.text import Text
from tyro.conf import FlagCreatePairsOff, Positional

from organza.cli.fields import Field, fields_of
from organza.cli.words import told
from organza.config import Config, ConfigError, Shape, Size, closest, override, to_dict
from organza.recipes import MEASURED, RECIPES

WIDE = 160  # columns where there is no terminal
COLUMNS = ("recipe", "paper", "players", "loss", "budget", "measured")


@dataclass(frozen=True)
class Options:
    """List the recipes, or show every field of one with its value and what it means.

    A line of the second form can be typed behind `organza train NAME`, with another value.
    """

    name: Annotated[str, Positional, told(metavar="[NAME]", help=", ".join(RECIPES))] = ""
    size: Annotated[
        str,
        told(metavar="laptop|paper", help="for a CPU in minutes, or as published (default laptop)"),
    ] = "laptop"
    data: Annotated[
        str,
        told(metavar="DATA|SHAPE", help="fit it to this data, or C,H,W or D (default 1,28,28)"),
    ] = "mnist"
    json: Annotated[bool, FlagCreatePairsOff, told(help="print the configuration as JSON")] = False


def main(argv: list[str]) -> None:
    """Parse and print. Raises ConfigError for an unknown recipe, size or shape."""
    options = tyro.cli(Options, args=argv, prog="organza recipes")
    if options.size not in ("laptop", "paper"):
        raise ConfigError(f"size is '{options.size}'; it takes laptop or paper")
    size, (shape, source) = cast(Size, options.size), _data(options.data)
    if not options.name:
        configs = {name: _config(name, shape, size) for name in RECIPES}
        _print_json({name: to_dict(c) for name, c in configs.items()}) if options.json else _print_all(configs)
        return
    if options.name not in RECIPES:
        raise ConfigError(f"unknown recipe '{options.name}'{closest(options.name, RECIPES)}")
    config = override(RECIPES[options.name](shape, size), {"data.source": source} if source else {})
    _print_json(to_dict(config)) if options.json else _print_one(config, size)


def words_of(config: Config) -> list[str]:
    """The whole configuration as words behind `organza train NAME`."""
    return [word for field in fields_of(config) for word in (f"--{field.path}", field.value)]


def _config(name: str, shape: Shape, size: Size) -> Config:
    """For the table, where a recipe that does not take this shape is shown for digits."""
    try:
        return RECIPES[name](shape, size)
    except ConfigError:
        return RECIPES[name]((1, 28, 28), size)


def _data(text: str) -> tuple[Shape, str]:
    """The shape of one sample, and the name of the data where it has one."""
    if re.fullmatch(r"\d+([,x]\d+){0,2}", text):
        sides = tuple(int(side) for side in re.split("[,x]", text))
        if len(sides) != 2 and all(sides):
            return sides, ""
        raise ConfigError(f"data is '{text}'; a shape is C,H,W for images, such as 3,64,64, or D for points")
    if text == "mnist":
        return (1, 28, 28), text
    import organza  # the data itself must be looked at, with torch

    return organza.open_dataset(text).shape, text


def _print_json(values: object) -> None:
    print(json.dumps(values, indent=2, ensure_ascii=False))


def _print_all(configs: dict[str, Config]) -> None:
    rows = [_row(name, config) for name, config in configs.items()]
    shown = [i for i in range(len(COLUMNS)) if any(row[i] for row in rows)]
    console = _console()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for i in shown:
        table.add_column(COLUMNS[i], style="bold cyan" if i == 0 else None, no_wrap=i in (0, 4))
    for row in rows:
        table.add_row(*(Text(row[i]) for i in shown))
    console.print(table)
    console.print("\norganza recipes NAME shows every field; organza train NAME trains.", highlight=False)


def _row(name: str, config: Config) -> tuple[str, ...]:
    title, year, arxiv = _paper(name)
    networks = dict.fromkeys((config.generator.model.name, config.discriminator.model.name))
    penalties = [p.name + (f" every {p.every}" if p.every > 1 else "") for p in config.discriminator.penalties]
    turns = f", {config.discriminator.turns} turns of D" if config.discriminator.turns > 1 else ""
    players = " / ".join(networks) + turns + (", labels" if config.conditional else "")
    budget = f"{config.images / 1000:,.0f} kimg"
    return (
        name,
        f"{title} {year} {arxiv}",
        players,
        " + ".join([config.loss, *penalties]),
        budget,
        MEASURED.get(name, ""),
    )


def _paper(name: str) -> tuple[str, str, str]:
    """Title, year and arXiv number or doi, from the first sentence of a recipe's docstring: of two papers, its own."""
    head = _docstring(name).split("\n\n")[0].replace("\n", " ")
    papers = re.findall(r'([\w-]+): "(.+?)".*?\b((?:19|20)\d\d), (arXiv:[\d.]*\d|doi:[^\s)]+)', head)
    own = [paper for whose, *paper in papers if whose.lower() == name] or [paper for _, *paper in papers]
    title, year, arxiv = own[0] if own else (head, "", "")
    return title, year, arxiv


def _docstring(name: str) -> str:
    return cleandoc(sys.modules[RECIPES[name].__module__].__doc__ or name)


def _print_one(config: Config, size: Size) -> None:
    console, fields = _console(), fields_of(config)
    console.print(Text(_docstring(config.recipe)))
    if measured := MEASURED.get(config.recipe):
        console.print(Text(f"\nMeasured at the size laptop: {measured} (docs/families.md, docs/stylegan.md)"))
    sized = "" if size == "laptop" else f" --size {size}"
    console.print(Text(f"\nEvery field, as it is typed behind: organza train {config.recipe}{sized}\n", style="bold"))
    for line in _lines(fields, console.width):
        console.print(line, soft_wrap=True)


def _lines(fields: Sequence[Field], width: int) -> list[Text]:
    """A field with its value, and its meaning behind a `#` where there is room: what is copied stays a command."""
    typed = [(f"--{field.path}", shlex.quote(field.value), field.meaning) for field in fields]
    column = min(max(len(f"{name} {value}") for name, value, _ in typed), max(width - 50, 30))
    lines = []
    for name, value, meaning in typed:
        gap = " " * max(column - len(f"{name} {value}"), 0)
        comment = (f"{gap}  # {meaning}", "bright_black") if meaning else ""
        lines.append(Text.assemble((name, "cyan"), f" {value}", comment))
    return lines


def _console() -> rich.console.Console:
    console = rich.console.Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console
