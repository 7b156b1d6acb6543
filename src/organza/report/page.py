"""One static page for a run: what it was, what it made, how it went, and how to use it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from datetime import datetime
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

import organza
from organza.report import gallery, sections
from organza.report.folder import Folder, mapping, read_folder

REFRESH_SECONDS = 30


def write_report(run_dir: Path) -> Path:
    """Write `report.html` into a run folder from what is there, at any moment of the training, and return its path.

    The page opens from disk and loads nothing but the pictures beside it. Raises FileNotFoundError where there is no
    such folder, OSError where it cannot be written.
    """
    run = read_folder(Path(run_dir))
    path = run.path / "report.html"
    part = run.path / f".report.html.{os.getpid()}.part"
    try:
        part.write_text(_page(run), "utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _page(run: Folder) -> str:
    template = files("organza.report").joinpath("page.html").read_text("utf-8")
    first = (sections.header, sections.notes, sections.result, sections.codes, sections.evaluation, sections.diagnosis)
    last = (gallery.pictures, sections.curves, sections.numbers, sections.usage, sections.details)
    body = "\n".join(part(run) for part in (*first, *last)) + _footer()
    refresh = f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">' if run.status == "running" else ""
    return Template(template).substitute(
        title=escape(_title(run)),
        refresh=refresh,
        script_hash=_script_hash(template),
        status=run.status,
        news=round(run.news),
        body=body,
    )


def _title(run: Folder) -> str:
    recipe, data = run.config.get("recipe"), run.data.get("name") or mapping(run.config.get("data")).get("source")
    return " · ".join(str(part) for part in (recipe, data, run.status, "Organza") if part)


def _script_hash(template: str) -> str:
    """Of the page's own script, so that the browser runs no other."""
    script = re.findall(r"<script>(.*?)</script>", template, re.DOTALL)
    assert len(script) == 1
    assert "$" not in script[0]
    return base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()


def _footer() -> str:
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return (
        f"<footer>Written by Organza {organza.__version__}, {now}. "
        "The generated pictures were made by a trained model and show nothing real.</footer>"
    )
