"""`organza inpaint PATHS… --mask MASK --model MODEL`: holes of pictures and films filled."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import OmitArgPrefixes

from organza.cli import pictures
from organza.cli.console import Console
from organza.cli.words import number, told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.cli.pictures import Change, Task
    from organza.hub.translator import Translator

GROW, FEATHER = 4, 2  # pixels


@dataclass(frozen=True)
class Options:
    """Fill holes of pictures and films by a network of LaMa or DeepFill.

    A mask is a picture of the same size, white in the hole; of a folder of masks the one that has the picture's name
    is taken: NAME_mask.png, NAME_mask001.png or NAME.png. Outside the hole every pixel stays as it is. PNGs are
    written, with the transparency and the 16 bits of the source. A file that cannot be filled is reported, the others
    go on, and the exit code is 1.
    """

    paths: pictures.Paths
    mask: Annotated[str, told(metavar="MASK", help="a picture, white in the hole, or a folder of them")] = ""
    model: pictures.Model = ""
    out: pictures.Out = "filled"
    grow: Annotated[str, told(metavar="N", help="pixels by which the hole grows first (default 4)")] = ""
    feather: Annotated[str, told(metavar="N", help="pixels within its edge over which both mix (default 2)")] = ""
    through: OmitArgPrefixes[pictures.Through] = field(default_factory=pictures.Through)


def main(argv: list[str]) -> None:
    """Parse, fill, write, say where. Raises ConfigError, ValueError, FileNotFoundError, OSError; SystemExit(1)."""
    options = tyro.cli(Options, args=pictures.joined(argv), prog="organza inpaint")
    pictures.must_name_model(options.model, "a run of the recipe inpaint or lama")
    if not options.mask:
        raise ConfigError("no mask is named; type --mask MASK: a picture, white in the hole, or a folder of them")
    masks = Path(options.mask).expanduser()
    if not masks.exists():
        raise FileNotFoundError(f"no mask {masks}; --mask takes a picture, white in the hole, or a folder of them")
    how = options.through.settings()
    how |= {"grow": _pixels(options.grow, "grow", GROW), "feather": _pixels(options.feather, "feather", FEATHER)}

    def job(translator: Translator, console: Console) -> pictures.Job:
        """The holes of a file filled, masks among the files left alone."""
        from organza.hub.filling import fill_still, mask_for, must_fill, read_mask

        must_fill(translator)
        note = pictures.once(console.note)

        def change_of(task: Task) -> Change:
            mask = read_mask(mask_for(task.source, masks))
            return lambda still, told: fill_still(translator, still, mask, told=told, note=note, **how)

        return pictures.Job(pictures.ByFile(change_of), "-filled", "Filled", lambda task: _is_mask(task, masks))

    pictures.run("inpaint", options, job)


def _pixels(text: str, name: str, usual: int) -> int:
    found = number(text, int, name)
    return usual if found is None else found


def _is_mask(task: Task, masks: Path) -> bool:
    """Whether a file of a folder of pictures is one of its masks."""
    if masks.is_file():
        return task.source.samefile(masks)
    return task.source.parent.samefile(masks) and bool(re.search(r"_mask\d*$", task.source.stem))
