"""`organza train [RECIPE]`: train a GAN, and say what to do with it."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import tyro
from tyro.conf import FlagCreatePairsOff, Positional

from organza.cli.console import Console
from organza.cli.options import Device
from organza.cli.words import count_or_none, number, split, told
from organza.config import ConfigError, Size, closest, override
from organza.recipes import RECIPES

if TYPE_CHECKING:
    from organza.training.run import Run

FIXED = ("recipe", "data", "out", "images", "minutes", "seed", "device", "size")
FLAGS = ("resume", "dry_run")
NAMES = ", ".join(RECIPES)


@dataclass(frozen=True)
class Options:
    """Train a GAN and write a run folder with its samples, curves, checkpoints, model and report.

    Every field of the configuration is an option too:
      --batch 32   --loss wasserstein   --generator.model.width 32   --data.resolution 64
    `organza recipes RECIPE` shows them all with their values. Ctrl-C saves; --resume goes on exactly there.
    """

    recipe: Annotated[str, Positional, told(metavar="[RECIPE]", help=f"{NAMES} (default dcgan)")] = ""
    data: Annotated[
        str,
        told(
            metavar="DATA",
            help="a name (mnist, emoji, ring, …), a folder, a zip, an array or hf:org/name (default the recipe's)",
        ),
    ] = ""
    out: Annotated[str, told(metavar="DIR", help="the run folder (default runs/RECIPE-DATA)")] = ""
    images: Annotated[
        str,
        told(
            metavar="N",
            help="end after so many images seen by the discriminator: 200000, 200k, 1M (default the recipe's)",
        ),
    ] = ""
    minutes: Annotated[str, told(metavar="M", help="end after so many minutes")] = ""
    seed: Annotated[str, told(metavar="S", help="decides the whole run (default 0)")] = ""
    device: Device = "auto"
    size: Annotated[
        str,
        told(metavar="laptop|paper", help="for a CPU in minutes, or as published (default laptop)"),
    ] = ""
    resume: Annotated[
        bool,
        FlagCreatePairsOff,
        told(help="go on with the run in --out, or with the newest in runs/"),
    ] = False
    dry_run: Annotated[bool, FlagCreatePairsOff, told(help="print the plan and stop; nothing is written")] = False


def main(argv: list[str]) -> None:
    """Parse, train, tell. Raises what `organza.train` raises; SystemExit with 128 + the signal that stopped the run."""
    words, changes = split(argv, FIXED, FLAGS)
    options = tyro.cli(Options, args=_one_recipe(words), prog="organza train")
    arguments = _arguments(options)
    if not options.resume:
        _fail_early(options.recipe or "dcgan", options.size or "laptop", changes)
    started = time.monotonic()
    with Console() as console:
        console.wait("loading torch")
        from organza.api import train

        console.wait("preparing")
        run = train(**arguments, changes=changes, reporter=console)
    if options.dry_run:
        return
    if run.stopped_by is not None:
        console.lines(_stopped(run, options, time.monotonic() - started))
        raise SystemExit(128 + run.stopped_by)
    console.lines(_finished(run))


def _one_recipe(words: Sequence[str]) -> list[str]:
    """The words with `--recipe=NAME` as the bare NAME. Raises ConfigError for two."""
    plain = [word.removeprefix("--recipe=") for word in words]
    names = [word for word in plain if not word.startswith("-")]
    if len(names) > 1:
        raise ConfigError(f"one recipe at a time, not '{names[0]}' and '{names[1]}'; name data by --data {names[1]}")
    return plain


def _arguments(options: Options) -> dict[str, Any]:
    """For `organza.train`. Raises ConfigError for text that is no number."""
    return {
        "recipe": options.recipe or None,
        "data": options.data or None,
        "out": options.out or None,
        "images": count_or_none(options.images, "images"),
        "minutes": number(options.minutes, float, "minutes"),
        "seed": number(options.seed, int, "seed"),
        "device": options.device,
        "size": options.size or None,
        "resume": options.resume,
        "dry_run": options.dry_run,
    }


def _fail_early(recipe: str, size: str, changes: Mapping[str, Any]) -> None:
    """Raise the ConfigError of a misspelt recipe or field before torch is loaded, which takes seconds."""
    if recipe not in RECIPES:
        raise ConfigError(f"unknown recipe '{recipe}'{closest(recipe, RECIPES)} (organza recipes explains them)")
    override(RECIPES[recipe]((1, 28, 28), cast(Size, size)), changes)


def _finished(run: Run) -> list[tuple[str, str]]:
    from organza.games import GAMES

    summary = run.summary
    done = f"{summary['images']:,} images in {_clock(summary['seconds'])}"
    lines = [("done", done), *_scores(summary), ("report", f"{run.path}/report.html")]
    if GAMES[run.config.game].translates:
        return [*lines, ("use it", f"organza {summary['use']} --model {shlex.quote(str(run.path))}")]
    return [*lines, ("samples", shlex.join(["organza", "sample", str(run.path), "-n", "64"]))]


def _stopped(run: Run, options: Options, seconds: float) -> list[tuple[str, str]]:
    summary = run.summary
    assert run.stopped_by is not None
    name = signal.Signals(run.stopped_by).name
    again = ["organza", "train", "--out", str(run.path), "--resume"]
    if options.minutes and not options.images:
        again += ["--minutes", f"{max(float(options.minutes) - seconds / 60, 0.1):.1f}"]
    if options.device != "auto":
        again += ["--device", options.device]
    return [
        ("stopped", f"by {name} at {summary['images']:,} images, {_clock(summary['seconds'])}; everything is saved"),
        *_scores(summary),
        ("report", f"{run.path}/report.html"),
        ("go on", shlex.join(again)),
    ]


def _scores(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A line for each score, the protocol behind the last of those that share it."""
    scores = summary.get("scores", {})
    lines = [("score", f"{name} {score['value']:g}{_between(score)}") for name, score in scores.items()]
    protocols = dict.fromkeys(score["protocol"] for score in scores.values())
    return [*lines, *(("", protocol) for protocol in protocols)]


def _between(score: Mapping[str, Any]) -> str:
    return f" ({score['low']:.3g} to {score['high']:.3g})" if {"low", "high"} <= score.keys() else ""


def _clock(seconds: float) -> str:
    """`45 s`, `3 min 20 s` or `2 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
