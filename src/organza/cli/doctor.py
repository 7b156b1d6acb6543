"""`organza doctor`: is this machine ready, and what to do where it is not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NoReturn

import tyro
from tyro.conf import FlagCreatePairsOff

from organza.cli.console import Console
from organza.cli.words import told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.health.machine import Finding

MARKS = {"ok": ("OK", "green"), "warning": ("warning", "yellow"), "problem": ("PROBLEM", "bold red")}


@dataclass(frozen=True)
class Options:
    """Look at this machine by trying it: versions, devices, speed, memory, disk, data and extras.

    The exit code is 1 where something must be done before training, else 0. Bug reports want the output of --json; look
    at the folders that it names before you paste it.
    """

    device: Annotated[str, told(metavar="auto|cpu|cuda|mps", help="what to time (default auto)")] = "auto"
    json: Annotated[bool, FlagCreatePairsOff, told(help="print the findings as JSON")] = False


def main(argv: list[str]) -> None:
    """Examine and print. Raises ConfigError for a run or an unknown device, SystemExit(1) for a problem."""
    options, rest = tyro.cli(Options, args=argv, prog="organza doctor", return_unknown_args=True)
    if rest:
        _refuse(rest[0])
    with Console() as console:
        if not options.json:
            console.wait("looking at this machine")
        from organza.health.machine import examine

        findings = examine(device=options.device)
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        _render(console, findings)
    if any(finding.status == "problem" for finding in findings):
        raise SystemExit(1)


def _refuse(word: str) -> NoReturn:
    if word.startswith("-"):
        raise ConfigError(f"unknown option '{word}'; see organza doctor --help")
    raise ConfigError(
        f"doctor looks at this machine, and cannot look at a run such as '{word}' yet; type organza doctor, or for the "
        f"curves and notes of the run: organza report {word}"
    )


def _render(console: Console, findings: Sequence[Finding]) -> None:
    rows = [
        (*MARKS[finding.status], finding.name, finding.told + (f"\n-> {finding.advice}" if finding.advice else ""))
        for finding in findings
    ]
    console.marked(rows)
    counts = {status: sum(f.status == status for f in findings) for status in ("problem", "warning")}
    told = [f"{count} {word}{'s' if count > 1 else ''}" for word, count in counts.items() if count]
    console.lines([("", "")] if console.lively else [])
    console.lines([("result", ", ".join(told) if told else "ready: organza train")])
