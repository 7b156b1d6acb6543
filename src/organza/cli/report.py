"""`organza report RUN`: write the page of a run anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from organza.cli.words import must_be_run


def main(argv: list[str]) -> None:
    """Parse, write the page, say where it is. Raises FileNotFoundError where there is no run."""
    path = tyro.cli(report, args=argv, prog="organza report")
    print(f"{path}\nOpen it in a browser; it needs no network.")


def report(run: Annotated[Path, tyro.conf.Positional]) -> Path:
    """Write RUN/report.html anew from what is in the run folder.

    Args:
        run: a run folder, such as runs/dcgan-mnist
    """
    from organza.report.page import write_report

    must_be_run(run, "report")
    return write_report(run).resolve()
