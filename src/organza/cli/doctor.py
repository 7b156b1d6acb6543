"""`organza doctor [RUN]`: is this machine ready, or what is wrong with this run; and what to do."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from organza.cli.console import Console
from organza.cli.words import must_be_run, told

if TYPE_CHECKING:
    from organza.health import diagnosis, machine

MARKS = {
    "ok": ("OK", "green"), "note": ("note", "cyan"), "warning": ("warning", "yellow"),
    "problem": ("PROBLEM", "bold red"),
}  # fmt: skip
Row = tuple[str, str, str, str]


@dataclass(frozen=True)
class Options:
    """Look at a run: what is wrong by its log, its samples and its data, and what to try. Without RUN, at this machine.

    What it finds is kept in RUN/diagnosis.json and in the report.

    Of a machine it tries versions, devices, speed, memory, disk, data and extras. The exit code is 1 where there is a
    problem, else 0. Bug reports want the output of --json; look at the folders that it names before you paste it.
    """

    run: Annotated[str, Positional, told(metavar="[RUN]", help="a run folder; without one, this machine")] = ""
    device: Annotated[str, told(metavar="auto|cpu|cuda|mps", help="where to draw a run's samples; what to time")] = (
        "auto"
    )
    json: Annotated[bool, FlagCreatePairsOff, told(help="print the findings as JSON")] = False


def main(argv: list[str]) -> None:
    """Examine and print. Raises FileNotFoundError for no run, ConfigError, and SystemExit(1) for a problem."""
    options = tyro.cli(Options, args=argv, prog="organza doctor")
    with Console() as console:
        if not options.json:
            console.wait("looking at the run" if options.run else "looking at this machine")
        findings = _findings(options, console)
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        console.marked([_row(finding) for finding in findings])
        _result(console, Counter(finding.status for finding in findings), options.run)
    if any(finding.status == "problem" for finding in findings):
        raise SystemExit(1)


def _findings(options: Options, console: Console) -> Sequence[diagnosis.Finding] | Sequence[machine.Finding]:
    if options.run:
        must_be_run(Path(options.run).expanduser(), "doctor")  # before torch is imported

        from organza.health.diagnosis import keep_diagnosis
        from organza.report.page import write_report
        from organza.training.precision import pick_device

        device = pick_device("cpu" if options.device == "auto" else options.device)
        findings = keep_diagnosis(options.run, console, device)
        write_report(Path(options.run).expanduser())
        return findings
    from organza.health.machine import examine

    return examine(device=options.device)


def _row(finding: Any) -> Row:
    lines = [finding.told, f"-> {finding.advice}" if finding.advice else ""]
    if causes := getattr(finding, "causes", ""):
        lines[0] += f" ({finding.confidence}; see {finding.shown})"
        lines.insert(1, f"because: {causes}")
    return (*MARKS[finding.status], finding.name, "\n".join(line for line in lines if line))


def _result(console: Console, counts: Counter[str], run: str) -> None:
    words = {name: counts[name] for name in ("problem", "warning") if counts[name]}
    told = ", ".join(f"{count} {word}{'s' if count > 1 else ''}" for word, count in words.items())
    console.lines([("", "")] if console.lively else [])
    console.lines([("result", told or ("nothing wrong was found" if run else "ready: organza train"))])
