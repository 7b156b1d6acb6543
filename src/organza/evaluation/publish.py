"""A receipt in a run folder is told by the run's report, by the model's card and by the model itself."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from organza.config import ConfigError
from organza.evaluation.receipt import Receipt
from organza.evaluation.subjects import Subject
from organza.hub.card import model_card
from organza.report.page import write_report
from organza.training.run import write_json, write_text

NAME = "evaluation.json"


def publish(run: Path, receipt: Receipt) -> list[str]:
    """Put the scores of `receipt`, which lies in the folder `run`, where its readers look; what could not be done.

    A card that somebody has edited is left alone. Raises OSError.
    """
    problems, model = [], run / "model"
    about = json.loads((model / "config.json").read_text())
    before = _card(run, about)
    about["training"]["scores"] = {**about["training"].get("scores", {}), **receipt.for_card()}
    card = model / "README.md"
    if card.is_file() and card.read_text() == before:
        write_text(card, _card(run, about))
    else:
        problems.append(f"{card} was edited and is left as it is; the scores are in {run / NAME}")
    write_json(model / "config.json", about)
    write_report(run)
    return problems


def kept_aside(out: Path, receipt: Receipt) -> list[str]:
    """Rename a receipt that is in the place of this one and tells scores that this one lacks; a note of it."""
    try:
        before = Receipt.load(out)
    except (ConfigError, FileNotFoundError):
        return []
    if not receipt.lacks(before):
        return []
    numbered = (out.with_name(f"{out.stem}-{number}{out.suffix}") for number in itertools.count(1))
    aside = next(place for place in numbered if not place.exists())
    out.rename(aside)
    return [f"{out.name} was there, with other scores: it is {aside.name} now"]


def untold(fake: Subject) -> list[str]:
    """Where a model folder was judged: that its card does not tell the scores, and who does."""
    folder = Path(fake).expanduser() if isinstance(fake, (str, Path)) else None
    folder = folder.parent if folder and folder.name == "model.safetensors" else folder
    if folder is None or not (folder / "model.safetensors").is_file():
        return []
    run = folder.parent
    if folder.name == "model" and (run / "summary.json").is_file():
        return [f"the card and the report of {run} do not tell these scores; for that type: organza evaluate {run}"]
    return [f"the card of {folder} is left as it is; a run that is judged tells its scores on its card: judge it"]


def _card(run: Path, about: dict[str, Any]) -> str:
    """The draft as the training writes it."""
    summary, env = (json.loads((run / name).read_text()) for name in ("summary.json", "env.json"))
    facts = {"recipe": about["recipe"], "organza": env["organza"], "hardware": env["hardware"]}
    return model_card(summary | about["training"] | facts, draft=True)
