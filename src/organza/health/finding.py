"""What a rule of the doctor gives: a finding, with the evidence, where one sees it, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from organza.config import Changes
from organza.health.command import train_again
from organza.health.evidence import Case

Status = Literal["problem", "warning", "note"]
Confidence = Literal["sure", "likely", "possible"]


@dataclass(frozen=True)
class Finding:
    """What was found in a run, the evidence with its figures, and what to do.

    `shown` names the curve or picture of the report that shows it; `advice` is a command, ready to type, which trains
    anew with `changes` to the configuration where there are any.
    """

    name: str
    status: Status
    told: str
    shown: str
    confidence: Confidence
    causes: str
    advice: str
    changes: Changes = field(default_factory=dict)


Rule = Callable[[Case], Iterator[Finding]]


def advised(
    case: Case, name: str, status: Status, told: str, shown: str, confidence: Confidence, causes: str,
    changes: Changes | None = None,
) -> Finding:  # fmt: skip
    """A finding whose advice is to train anew with changes; without any, to look at the data."""
    changes = changes or {}
    return Finding(name, status, told, shown, confidence, causes, train_again(case, changes), changes)
