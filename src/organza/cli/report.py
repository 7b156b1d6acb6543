"""`organza report RUN`: draw the pictures of a run and write its page anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from organza.cli.console import Console
from organza.cli.words import must_be_run, told


@dataclass(frozen=True)
class Options:
    """Write RUN/report.html anew, with pictures of the model as it is now, and with what organza doctor says of it.

    Pictures take some seconds and go to RUN/pictures: nearest reals, best and worst samples, reals without a sample
    near, ways through the noise, precision and recall, spectrum, scores of the discriminator; for points the plane.
    """

    run: Annotated[Path, Positional, told(metavar="RUN", help="a run folder, such as runs/dcgan-mnist")]
    no_pictures: Annotated[
        bool, FlagCreatePairsOff, told(help="write the page alone, with the pictures that are there")
    ] = False


def main(argv: list[str]) -> None:
    """Parse, draw, write, say where. Raises FileNotFoundError where there is no run, and OSError."""
    options = tyro.cli(Options, args=argv, prog="organza report")
    folder = options.run.expanduser()
    must_be_run(folder, "report")  # before torch is imported
    with Console() as console:
        about = None if options.no_pictures else _looked_at(folder, console)
        from organza.report.page import write_report

        page = write_report(folder).resolve()
    console.lines([*_told(about), ("report", str(page)), ("", "open it in a browser; it needs no network")])


def _looked_at(folder: Path, console: Console) -> Mapping[str, Any] | None:
    """What was drawn, None, and a note, where nothing can be; the same of the diagnosis."""
    console.wait("loading torch")
    from organza.health.diagnosis import keep_diagnosis
    from organza.report.pictures import make_pictures

    console.wait("looking at the run")
    try:
        keep_diagnosis(folder, console)
    except ValueError as problem:
        console.note(f"no new diagnosis: {problem}")
    try:
        return make_pictures(folder, console)
    except ValueError as problem:
        console.note(f"no new pictures: {problem}")
        return None


def _told(about: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if about is None:
        return []
    missing = [entry["title"] for entry in about["pictures"] if "missing" in entry]
    count = len(about["pictures"]) - len(missing)
    rest = f"; without {', '.join(missing)} (the report says why)" if missing else ""
    return [("pictures", f"{count} in {about['seconds']:.1f} s{rest}")]
