"""`organza inpaint PATHS… --mask MASK --model MODEL`: holes of pictures and films filled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from organza.cli import options as shared
from organza.cli import pictures
from organza.cli.console import Console
from organza.cli.words import number, told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.cli.pictures import Change, Task

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
    suffix: pictures.Suffix = ""
    tile: pictures.Tile = ""
    overlap: pictures.Overlap = ""
    half: pictures.Half = False
    device: shared.Device = "auto"
    no_page: pictures.NoPage = False
    no_provenance: shared.NoProvenance = False


def main(argv: list[str]) -> None:
    """Parse, fill, write, say where. Raises ConfigError, ValueError, FileNotFoundError, OSError; SystemExit(1)."""
    options = tyro.cli(Options, args=pictures.joined(argv), prog="organza inpaint")
    pictures.must_name_model(options.model, "a run of the recipe inpaint or lama")
    if not options.mask:
        raise ConfigError("no mask is named; type --mask MASK: a picture, white in the hole, or a folder of them")
    masks, out = Path(options.mask).expanduser(), Path(options.out).expanduser()
    if not masks.exists():
        raise FileNotFoundError(f"no mask {masks}; --mask takes a picture, white in the hole, or a folder of them")
    how = pictures.how(options.tile, options.overlap, options.half)
    how |= {
        name: _pixels(getattr(options, name), name, usual) for name, usual in (("grow", GROW), ("feather", FEATHER))
    }
    with Console() as console:
        console.wait("loading torch")
        from organza.hub.filling import fill_still, mask_for, must_fill, read_mask
        from organza.report.provenance import CHANGED_TYPE, packet

        translator = pictures.open_translator(options.model, options.device, "inpaint")
        must_fill(translator)
        work = pictures.tasks(options.paths, out, options.suffix or "-filled")
        work = [task for task in work if not _is_mask(task, masks)]
        name = translator.recipe or translator.model.name
        mark = "" if options.no_provenance else packet(name, translator.sha256, None, CHANGED_TYPE)

        def change_of(task: Task) -> Change:
            mask = read_mask(mask_for(task.source, masks))
            return lambda still, told: fill_still(translator, still, mask, told=told, note=console.note, **how)

        outcome = pictures.change_all(
            work, pictures.ByFile(change_of), options, out, mark, f"Filled by {name}", console
        )
    pictures.end(outcome, out, console)


def _pixels(text: str, name: str, usual: int) -> int:
    found = number(text, int, name)
    return usual if found is None else found


def _is_mask(task: Task, masks: Path) -> bool:
    """Whether a file of a folder of pictures is one of its masks."""
    if masks.is_file():
        return task.source.samefile(masks)
    return task.source.parent.samefile(masks) and "_mask" in task.source.stem
