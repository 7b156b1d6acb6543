"""`organza report RUN`: write the page of a run anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def main(argv: list[str]) -> None:
    """Parse, write the page, say where it is. Raises FileNotFoundError where there is no run."""
    path = tyro.cli(report, args=argv, prog="organza report")
    print(f"{path}\nOpen it in a browser; it needs no network.")


def report(run: Annotated[Path, tyro.conf.Positional]) -> Path:
    """Write RUN/report.html anew from what is in the run folder.

    Args:
        run: a run folder, such as runs/dcgan-mnist
    """
    from organza.report.folder import is_run
    from organza.report.page import write_report

    if not is_run(run):
        raise FileNotFoundError(
            f"'{run}' is not a run folder (no config.json, summary.json or log.jsonl){_advice(run)}"
        )
    return write_report(run).resolve()


def _advice(run: Path) -> str:
    """What to type: a run that was probably meant, else how to list or make one."""
    runs = sorted(file.parent for place in (run, run.parent, Path("runs")) for file in place.glob("*/config.json"))
    names = list(dict.fromkeys(map(str, runs)))
    if not names:
        return "; make one with: organza train dcgan --data mnist --out runs/first"
    rest = f" (or {', '.join(names[1:6])})" if names[1:] else ""
    return f"; type: organza report {names[0]}{rest}"
