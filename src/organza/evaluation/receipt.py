"""What an evaluation leaves: every score with its interval, its floor and its protocol, as JSON and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from organza.config import ConfigError
from organza.training.run import write_json

FORMAT = 1


@dataclass(frozen=True)
class Score:
    """One number with what it depends on; `must_compare` tells whether two of them compare."""

    name: str  # with the network, such as fd-inception-legacy
    value: float
    protocol: str
    better: int  # 1 if less is better, -1 if more is, 0 where neither
    n_real: int
    n_fake: int
    low: float | None = None  # bounds of 95 %, of chance in the samples at this N
    high: float | None = None
    floor: float | None = None  # the same of reals against reals at an N as near as they allow
    floor_n: int | None = None  # of the smaller part
    asked: str = ""  # under which name, such as fid
    details: Mapping[str, Any] = field(default_factory=dict)
    real: str = ""  # name and split of the real data; "" where the metric asks the model alone
    real_fingerprint: str = ""  # of the real samples as they were compared
    truncation: float | None = None  # of the generated ones


@dataclass(frozen=True)
class Receipt:
    """All scores of one comparison."""

    scores: tuple[Score, ...]
    fake: Mapping[str, Any]
    real: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, str]]  # name -> resizer and sha256
    environment: Mapping[str, Any]
    seconds: float
    notes: tuple[str, ...] = ()
    seed: int = 0  # of intervals (bootstrap), floors and random pairs; that of the samples is in `fake`
    format: int = FORMAT

    def __getitem__(self, name: str) -> Score:
        """A score by its name or by that which was asked for. Raises KeyError with those that there are."""
        for score in self.scores:
            if name in (score.name, score.asked):
                return score
        raise KeyError(f"no score '{name}'; there are {', '.join(score.name for score in self.scores)}")

    def save(self, path: str | Path) -> None:
        """Write JSON, whole or not at all. Raises OSError."""
        write_json(Path(path), asdict(self))

    @classmethod
    def load(cls, path: str | Path) -> Receipt:
        """What `save` wrote. Raises FileNotFoundError, and ConfigError for another file."""
        try:
            about = json.loads(Path(path).read_text())
            scores = tuple(Score(**score) for score in about.pop("scores"))
            receipt = cls(scores=scores, **about | {"notes": tuple(about["notes"])})
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise ConfigError(f"{path} is no receipt of organza evaluate: {problem!r}") from None
        if receipt.format != FORMAT:
            raise ConfigError(f"{path} has format {receipt.format}; this version of Organza reads {FORMAT}")
        return receipt

    def lacks(self, other: Receipt) -> bool:
        """Whether the other tells a score, of its protocol, reals and truncation, that is not here."""
        mine = [_terms(score) | {"N": score.n_fake} for score in self.scores]
        return any(_terms(score) | {"N": score.n_fake} not in mine for score in other.scores)

    def table(self) -> list[tuple[str, str, str, str, str]]:
        """Name, value, interval, floor and N of each score, in words; the first row is the head."""
        head = ("score", "value", "95 % interval", "real against real", "N fake / real")
        return [head, *(_row(score) for score in self.scores)]

    def for_card(self) -> dict[str, dict[str, Any]]:
        """The scores as `organza.hub.card` and the report take them."""
        return {score.name: _card_row(score) for score in self.scores}


def must_compare(one: Score, two: Score) -> None:
    """Raise ConfigError where two scores differ in protocol, real data or truncation, with what differs."""
    a, b = _terms(one), _terms(two)
    same = {"real data"} if one.real_fingerprint == two.real_fingerprint else set()  # whatever its name
    if differ := [name for name in a if a[name] != b[name] and name not in same]:
        told = "\n".join(f"  {name}: {a[name]}\n  {' ' * len(name)}  {b[name]}" for name in differ)
        raise ConfigError(
            f"{one.name} = {one.value:.4g} and {two.name} = {two.value:.4g} do not compare; they differ in\n{told}\n"
            "evaluate both with the same network, N, real data (--real, --split) and --truncation"
        )


def _terms(score: Score) -> dict[str, str]:
    """What two scores must have in common."""
    return {
        "score": score.name,
        "protocol": score.protocol,
        "truncation": "none" if score.truncation is None else f"{score.truncation:g}",
        "real data": f"{score.real or 'unknown'} (fingerprint {score.real_fingerprint or 'unknown'})",
    }


def _row(score: Score) -> tuple[str, str, str, str, str]:
    interval = "" if score.low is None or score.high is None else f"{score.low:.4g} to {score.high:.4g}"
    floor = "" if score.floor is None else f"{score.floor:.4g} (N {score.floor_n:,})"
    arrow = {1: " ↓", -1: " ↑", 0: ""}[score.better]
    return score.name + arrow, f"{score.value:.4g}", interval, floor, f"{score.n_fake:,} / {score.n_real:,}"


def _card_row(score: Score) -> dict[str, Any]:
    """With all that `must_compare` asks for: a card keeps scores of several evaluations."""
    bounds = {} if score.low is None else {"low": score.low, "high": score.high}
    told = [score.protocol, *([f"against {score.real}"] if score.real else [])]
    told += [] if score.truncation is None else [f"truncation {score.truncation:g}"]
    reals = {"real": score.real} if score.real else {}
    return {"value": score.value, "n": score.n_fake, "protocol": "; ".join(told)} | reals | bounds
