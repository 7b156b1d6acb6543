"""`organza translate PATHS… --model MODEL`: pictures and films through a network that was trained on pairs or kinds."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes

from organza.cli import pictures
from organza.cli.console import Console
from organza.cli.words import seed_of, told

if TYPE_CHECKING:
    from organza.data.still import Still
    from organza.hub.tiling import Told
    from organza.hub.translator import Translator


@dataclass(frozen=True)
class Options:
    """Translate pictures and films by a network of pix2pix, CycleGAN, CUT and their kin.

    Of any size: sides that the network cannot divide are mirrored and cut again. PNGs are written, with the
    transparency and the 16 bits of the source. A file that cannot be read is reported, the others go on, and the exit
    code is 1. Results are the same each time; noise comes from the seed.
    """

    paths: pictures.Paths
    model: pictures.Model = ""
    out: pictures.Out = "translated"
    reverse: Annotated[bool, FlagCreatePairsOff, told(help="from B to A, where both ways were learned")] = False
    degrade: Annotated[
        bool, FlagCreatePairsOff, told(help="make sources of the pictures first, as training did: outlines, greys, …")
    ] = False
    label: Annotated[str, told(metavar="CLASS", help="what results shall be; of attributes, all they have: A,B")] = ""
    style: Annotated[
        str, told(metavar="PICTURE", help="whose style results shall have (munit, stargan-v2, spade with an encoder)")
    ] = ""  # fmt: skip
    seed: Annotated[str, told(metavar="S", help="of the noise of a network that has some (default 0)")] = ""
    through: OmitArgPrefixes[pictures.Through] = field(default_factory=pictures.Through)


def main(argv: list[str]) -> None:
    """Parse, translate, write, say where. Raises ConfigError, ValueError, FileNotFoundError, OSError; SystemExit(1)."""
    options = tyro.cli(Options, args=pictures.joined(argv), prog="organza translate")
    pictures.must_name_model(options.model, "a run, such as runs/pix2pix-emoji-pairs")
    how = options.through.settings()
    how.update(seed=seed_of(options.seed), label=options.label or None, reverse=options.reverse)

    def job(translator: Translator, console: Console) -> pictures.Job:
        """A file translated, label maps read as the training read its own."""
        from organza.data.still import read_still
        from organza.hub.stills import (
            degraded_still,
            layout_shown,
            read_layout_still,
            style_of_still,
            translate_still,
        )

        if options.style:
            style = read_still(Path(options.style).expanduser())
            for problem in style.notes:
                console.note(problem)
            how["style"] = style_of_still(translator, style, options.reverse)
        maps = translator.layout_classes > 0
        read = partial(read_layout_still, translator) if maps else None
        show, note = partial(layout_shown, translator) if maps else None, pictures.once(console.note)

        def change(still: Still, told: Told) -> Still:
            source = degraded_still(translator, still) if options.degrade else still
            return translate_still(translator, source, told=told, note=note, **how)

        return pictures.Job(change, "-a" if options.reverse else "-b", "Translated", read=read, show=show)

    pictures.run("translate", options, job)
