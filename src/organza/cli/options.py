"""The options that several verbs share, each in one place, and what makes arguments of their words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from tyro.conf import FlagCreatePairsOff, Positional, arg

from organza.cli.words import number, numbers, told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.hub import GAN, Translator
    from organza.latent.drawing import Look
    from organza.layers.style import Noise as NoiseName

Opened = TypeVar("Opened")
Device = Annotated[str, told(metavar="auto|cpu|cuda|mps", help="where to compute (default auto)")]
Model = Annotated[
    str,
    Positional,
    arg(metavar="MODEL", help="a run, a folder with model.safetensors, hf:ORG/NAME, or a file of another project"),
]
Truncation = Annotated[
    str,
    told(
        metavar="T",
        help="less variety: with w (StyleGANs) the share of the way from the mean, -1 to 2, else where the noise is "
        "cut off; such as 0.7",
    ),
]
NoProvenance = Annotated[
    bool,
    FlagCreatePairsOff,
    told(help="leave out the mark that says a model made the picture"),
]


@dataclass(frozen=True)
class LookOptions:
    """How samples look; most of it is for the StyleGANs."""

    truncation: Truncation = ""
    cutoff: Annotated[str, told(metavar="N", help="truncate w in the first N layers alone (default all)")] = ""
    noise: Annotated[
        str, told(metavar="const|random|none", help="of the pixels, StyleGAN and StyleGAN2 (default const)")
    ] = ""  # fmt: skip
    translate: Annotated[
        str, told(metavar="X,Y", help="move the picture right and down, in picture widths (StyleGAN3)")
    ] = ""  # fmt: skip
    rotate: Annotated[str, told(metavar="DEGREES", help="turn the picture counterclockwise (StyleGAN3)")] = ""

    def settings(self) -> Look:
        """As `GAN.sample` takes them. Raises ConfigError for words that are no numbers."""
        return {
            "truncation": number(self.truncation, float, "truncation"),
            "cutoff": number(self.cutoff, int, "cutoff"),
            "noise": cast("NoiseName", self.noise) if self.noise else None,
            "translate": _pair(self.translate) if self.translate else None,
            "rotate": number(self.rotate, float, "rotate"),
        }


@dataclass(frozen=True)
class FilmOptions:
    """How many films stand side by side, how fast they go, and where to."""

    grid: Annotated[str, told(metavar="WxH", help="so many films side by side, such as 3x2 (default 1x1)")] = ""
    fps: Annotated[str, told(metavar="F", help="frames a second (default 30)")] = ""
    out: Annotated[
        str,
        told(
            metavar="PATH",
            help="FILE.gif, FILE.mp4 (by ffmpeg), FILE.png (a still: a row for each film) or a folder of frames "
            "(default a new GIF in samples/)",
        ),
    ] = ""

    def size(self) -> tuple[int, int]:
        """Columns and rows of the grid. Raises ConfigError, also for a wrong rate, before torch is loaded for it."""
        self.rate()
        found = re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,2})", self.grid or "1x1")
        if found is None:
            raise ConfigError(f"grid is '{self.grid}'; it takes columns and rows, such as 3x2")
        return int(found[1]), int(found[2])

    def rate(self) -> float:
        """Frames a second. Raises ConfigError."""
        rate = number(self.fps, float, "fps")
        return 30 if rate is None else rate


def joined(argv: Sequence[str]) -> list[str]:
    """The words with `--translate -0.1,0` made `--translate=-0.1,0`: a value that begins like an option is none."""
    words: list[str] = []
    for word in argv:
        if words and re.match(r"-[\d.]", word) and re.fullmatch(r"--[a-z-]+", words[-1]):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def open_gan(model: str, device: str, verb: str) -> GAN:
    """The model on its device. Raises as `organza.load`, with what to type."""
    from organza.hub import load_gan
    from organza.training.precision import pick_device

    place = str(pick_device(device))
    return _opened(lambda: load_gan(model, place), model, verb)


def open_any(model: str, verb: str) -> GAN | Translator:
    """The model on the CPU, whether it starts from noise or from images. Raises as `open_gan`."""
    from organza.hub import load

    return _opened(lambda: load(model), model, verb)


def _opened(load: Callable[[], Opened], model: str, verb: str) -> Opened:
    try:
        return load()
    except FileNotFoundError as problem:
        advice = "" if model.startswith("hf:") else _advice(Path(model), verb)
        raise FileNotFoundError(f"{problem}{advice}") from None


def named_labels(text: str, gan: GAN) -> list[int]:
    """Labels by number, name or range -> their numbers. Raises ValueError for an unknown one."""
    words: list[int | str] = []
    for part in text.split(","):
        is_range = part.strip() not in gan.classes and part.count("-") == 1 and part.replace("-", "").isdigit()
        words += numbers(part, "labels") if is_range else [part.strip()]
    found = gan.label_numbers(words, len(words))
    assert found is not None
    return found.tolist()


def in_turn(labels: Sequence[Any], count: int) -> list[Any]:
    """`count` labels, from the first on again and again."""
    return [labels[i % len(labels)] for i in range(count)]


def _pair(text: str) -> tuple[float, float]:
    parts = text.split(",")
    if len(parts) != 2 or not all(parts):
        raise ConfigError(f"translate is '{text}'; it takes two numbers, such as 0.1,-0.2")
    return number(parts[0], float, "translate"), number(parts[1], float, "translate")


def _advice(given: Path, verb: str) -> str:
    """What to type: a run that was probably meant, else how to make one."""
    above = [str(place) for place in given.parents if (place / "model" / "model.safetensors").is_file()]
    places = (given.parent, Path("runs"))
    below = {str(file.parents[1]) for place in places for file in place.glob("*/model/model.safetensors")}
    runs = [*above[:1], *sorted(below.difference(above[:1]))]
    if not runs:
        return "; train one with: organza train dcgan --out runs/first"
    rest = f" (or {', '.join(runs[1:6])})" if runs[1:] else ""
    return f"; type: organza {verb} {runs[0]}{rest}"
