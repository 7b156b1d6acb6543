"""`organza sample MODEL`: samples as one picture, a folder of pictures or an array."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from organza.cli.console import Console
from organza.cli.words import number, numbers, told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.cli.writing import Writer
    from organza.hub import GAN

BATCH = 256
LARGEST_GRID = 10_000  # samples in one picture


@dataclass(frozen=True)
class Options:
    """Draw samples from a trained GAN; each sample comes from its seed alone.

    PATH may end in .png (one grid), .npy (the array alone: images uint8 [N, C, H, W], points float32 [N, D]) or .npz
    (images or points, seeds, labels); else it is a folder, with one picture for each seed.
    """

    model: Annotated[
        str, Positional, arg(metavar="MODEL", help="a run, a folder with model.safetensors, or hf:ORG/NAME")
    ]
    n: Annotated[
        str, told(aliases=("-n",), metavar="N", help="how many (default 64)")
    ] = ""  # fmt: skip
    seed: Annotated[str, told(metavar="S", help="the first seed, the next follow (default 0)")] = ""
    seeds: Annotated[str, told(metavar="A-B,C", help="these seeds instead, such as 0-15,42")] = ""
    labels: Annotated[
        str,
        told(
            metavar="LABELS",
            help="numbers, names or ranges (7, dog,cat, 0-9), taken in turn (default: every class in turn)",
        ),
    ] = ""
    truncation: Annotated[str, told(metavar="T", help="cut the noise off at -T and T: less variety, such as 0.7")] = ""
    out: Annotated[str, told(metavar="PATH", help="what to write (default samples/RECIPE-seed0.png)")] = ""
    device: Annotated[str, told(metavar="auto|cpu|cuda|mps", help="where to compute (default auto)")] = "auto"
    no_provenance: Annotated[
        bool,
        FlagCreatePairsOff,
        told(help="leave out the mark that says a model made the picture"),
    ] = False


def main(argv: list[str]) -> None:
    """Parse, sample, write, say where. Raises ConfigError, ValueError, FileNotFoundError and OSError."""
    options = tyro.cli(Options, args=argv, prog="organza sample")
    seeds, truncation = _seeds(options), number(options.truncation, float, "truncation")
    with Console() as console:
        console.wait("loading torch")
        from organza.cli.writing import Writer, target
        from organza.training.precision import pick_device

        gan = load_named(options.model, str(pick_device(options.device)))
        labels = _labels(options.labels, gan, len(seeds))
        kind, path = target(options.out, gan, seeds, LARGEST_GRID)
        writer = Writer(gan, kind, path, seeds, labels, marked=not options.no_provenance)
        started = time.monotonic()
        for done in _drawn(gan, writer, seeds, labels, truncation):
            rate = done / max(time.monotonic() - started, 1e-9)
            console.step(f"sampling ({rate:,.0f} a second)", done, len(seeds))
        written = writer.close()
    console.lines(written)


def _drawn(
    gan: GAN, writer: Writer, seeds: Sequence[int], labels: Sequence[int] | None, truncation: float | None
) -> Iterator[int]:
    """Draw and hand over one batch after another; how many are done."""
    for start in range(0, len(seeds), BATCH):
        part = slice(start, start + BATCH)
        chosen = None if labels is None else labels[part]
        writer.take(gan.sample(seeds=seeds[part], labels=chosen, truncation=truncation, batch=BATCH))
        yield min(start + BATCH, len(seeds))


def _seeds(options: Options) -> list[int]:
    if options.seeds and (options.n or options.seed):
        raise ConfigError("the samples are named twice: give --seeds alone, or -n and --seed")
    if options.seeds:
        return numbers(options.seeds, "seeds")
    first, how_many = number(options.seed, int, "seed") or 0, number(options.n, int, "n")
    if how_many is not None and how_many < 1:
        raise ConfigError(f"n is {how_many}; it takes 1 or more")
    return list(range(first, first + (64 if how_many is None else how_many)))


def _labels(text: str, gan: GAN, how_many: int) -> list[int] | None:
    """A label for each sample, those of the text in turn. Raises ValueError for an unknown one."""
    if not text:
        every = gan.label_numbers(None, how_many)
        return None if every is None else every.tolist()
    words: list[int | str] = []
    for part in text.split(","):
        is_range = part.strip() not in gan.classes and part.count("-") == 1 and part.replace("-", "").isdigit()
        words += numbers(part, "labels") if is_range else [part.strip()]
    found = gan.label_numbers(words, len(words))
    return None if found is None else [int(found[i % len(found)]) for i in range(how_many)]


def load_named(model: str, device: str, verb: str = "sample") -> GAN:
    """`organza.load`, whose FileNotFoundError also says what to type."""
    import organza

    try:
        return organza.load(model, device)
    except FileNotFoundError as problem:
        advice = "" if model.startswith("hf:") else _advice(Path(model), verb)
        raise FileNotFoundError(f"{problem}{advice}") from None


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
