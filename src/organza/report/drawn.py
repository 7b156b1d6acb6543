"""What a picture of the report consists of, and why one may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from organza.health.evidence import FIRST_SEED, Case
from organza.report.curves import Point


class MissingError(ValueError):
    """A picture that cannot be drawn of this run; the message is the reason, for the report."""


@dataclass(frozen=True)
class Part:
    """One image, and in words what it shows."""

    image: Image.Image
    alt: str
    label: str = ""  # above it
    generated: bool = True  # shows samples, and is marked as made by a model


@dataclass(frozen=True)
class Chart:
    """Curves that the page draws: names and points (x, y)."""

    series: Mapping[str, Sequence[Point]]
    title: str
    x: str
    log: bool = False
    border: float | None = None  # x of a vertical line


@dataclass(frozen=True)
class Drawn:
    """A picture: how it is read, what was looked at, and what is seen."""

    told: str
    protocol: str
    parts: tuple[Part, ...] = ()
    chart: Chart | None = None


def must_have(case: Case, *, model: bool = True, data: bool = True, images: bool = False) -> None:
    """Raise MissingError where the model, the data or images are not there."""
    if (model and case.gan is None) or (data and case.store is None):
        raise MissingError("; ".join(case.missing) or "the model or the data are not there")
    if images and not case.is_image:
        raise MissingError("these samples are points, no images")


def looked_at(case: Case) -> str:
    """How many samples and reals, from which seeds, through which network."""
    assert case.store is not None
    turns = ", the classes in turn" if case.gan is not None and case.gan.classes else ""
    seeds = f"{case.count:,} samples of the averaged generator (seeds from {FIRST_SEED:,}{turns})"
    through = f"features of the network {case.network}" if case.is_image else "the points themselves"
    return f"{seeds}, {len(case.rows):,} of {len(case.store):,} reals; {through}"
