"""`organza data check|preview|convert DATA`: look at data, show it, or turn it into one file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from organza.config import ConfigError, coerce

if TYPE_CHECKING:
    from organza.data import DataReport

Data = Annotated[str, Positional, arg(metavar="DATA", help="a name, a folder, a zip, an array file or hf:org/name")]
Split = Annotated[str, arg(help="part of the data: train, test, …")]
Resolution = Annotated[str, arg(metavar="SIDE|HEIGHT,WIDTH", help="resize to this size; none keeps it")]
Crop = Annotated[Literal["none", "center"], arg(help="stretch to another aspect, or cut out its centre")]
Window = Annotated[str, arg(metavar="SIDE|HEIGHT,WIDTH", help="cut into tiles for it, as restorations do")]
Channels = Annotated[Literal["keep", "grey", "rgb", "rgba"], arg(help="change the colours")]

_SHOWN = 8  # entries of a long list
_EVERY = 5.0  # seconds between two plain lines about the same work


def main(argv: list[str]) -> None:
    """Run one of the three. Raises ConfigError and FileNotFoundError with what to type next."""
    # The library's messages name the configuration's fields; here the same words work.
    words = [word.replace("--data.", "--", 1) if word.startswith("--data.") else word for word in argv]
    tyro.extras.subcommand_cli_from_dict(
        {"check": check, "preview": preview, "convert": convert},
        args=words,
        prog="organza data",
        description="Check, show or convert data. DATA is a name, a folder, a zip, an array file or hf:org/name.",
    )


def check(
    data: Data,
    /,
    split: Split = "train",
    resolution: Resolution = "none",
    crop: Crop = "none",
    channels: Channels = "keep",
    window: Window = "none",
    layout_classes: Annotated[int, arg(help="one of two folders holds label maps of so many classes")] = 0,
    json: Annotated[bool, FlagCreatePairsOff, arg(help="print the whole report as JSON")] = False,
) -> None:
    """Counts, sizes, modes, corrupt files, duplicates, class balance, pairs, mean and deviation, fingerprint, licence.

    The exit code is 2 where training would refuse the data.
    """
    from organza.data import check as run

    size, cut = _size(resolution), _size(window, "window")
    with _Watcher() as watcher:
        report = run(
            data, split=split, resolution=size, crop=crop, channels=channels, window=cut,
            layout_classes=layout_classes, progress=watcher,
        )  # fmt: skip
    _print_json(report) if json else _print_table(report)
    if report.problem:
        raise ConfigError(report.problem)


def preview(
    data: Data,
    /,
    split: Split = "train",
    resolution: Resolution = "none",
    crop: Crop = "none",
    channels: Channels = "keep",
    out: Annotated[Path, arg(help="the picture to write")] = Path("preview.png"),
    n: Annotated[int, arg(aliases=("-n",), help="how many samples")] = 64,
    augment: Annotated[
        tuple[str, ...],
        arg(metavar="WORD", help="flip, which mirrors half; bgc, diffaugment, geom, brightness:0.5 and the like"),
    ] = (),
    probability: Annotated[float, arg(help="how often each of bgc and the like acts")] = 1.0,
) -> None:
    """Write a picture of some samples, as training sees them."""
    from organza.data import preview as run

    size, words = _size(resolution), coerce(",".join(augment), tuple[str, ...], "augment")
    with _Watcher() as watcher:
        path = run(
            data, out, n, augment=words, probability=probability, split=split, resolution=size, crop=crop,
            channels=channels, progress=watcher,
        )  # fmt: skip
    print(path)


def convert(
    data: Data,
    /,
    split: Split = "train",
    resolution: Resolution = "none",
    crop: Crop = "none",
    channels: Channels = "keep",
    out: Annotated[Path, arg(help="the zip to write")] = Path("data.zip"),
    format: Annotated[Literal["png", "webp"], arg(help="of the images, lossless")] = "png",
) -> None:
    """Write a zip in StyleGAN's layout: lossless images and dataset.json."""
    from organza.data import convert as run

    size = _size(resolution)
    with _Watcher() as watcher:
        path = run(
            data, out, format=format, split=split, resolution=size, crop=crop, channels=channels, progress=watcher
        )
    print(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)")


class _Watcher:
    """Long work on stderr: a bar with the time left on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.console = Console(stderr=True)  # it honours NO_COLOR
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bars = Progress(*columns, console=self.console, transient=True) if self.console.is_terminal else None
        self.tasks: dict[str, Any] = {}
        self.told = time.monotonic()

    def __enter__(self) -> _Watcher:
        if self.bars:
            self.bars.start()
        return self

    def __exit__(self, *problem: object) -> None:
        if self.bars:
            self.bars.stop()

    def step(self, what: str, done: int, total: int) -> None:
        """So much of something is done; a total of 0 is unknown."""
        if self.bars:
            if what not in self.tasks:
                self.tasks[what] = self.bars.add_task(what, total=total or None)
            self.bars.update(self.tasks[what], completed=done)
        elif time.monotonic() - self.told > _EVERY:
            self.told = time.monotonic()
            self._line(f"{what}: {done} of {total or 'unknown'}")

    def note(self, message: str) -> None:
        """A line for the user."""
        self._line(message)

    def _line(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _size(text: str, what: str = "resolution") -> tuple[int, int] | None:
    return coerce(text, tuple[int, int] | None, what)


def _print_json(report: DataReport) -> None:
    print(json.dumps(report.to_dict(), indent=2, ensure_ascii=False))


def _print_table(report: DataReport) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, rows = Console(), _rows(report)
    if not console.is_terminal:
        print("\n".join(f"{key}: {value}" for key, value in rows))
        return
    table = Table(show_header=False, title=f"organza data check {report.name}", title_justify="left")
    for key, value in rows:
        table.add_row(Text(key, style="bold"), Text(value))
    console.print(table)


def _rows(report: DataReport) -> list[tuple[str, str]]:
    copies = sum(len(group) - 1 for group in report.duplicates)
    groups = [" = ".join(group[:4]) + (" = …" if len(group) > 4 else "") for group in report.duplicates]
    rows = [
        ("samples", f"{report.count:,}".replace(",", " ")),
        ("shape", " x ".join(map(str, report.shape)) + f" {report.dtype}" if report.shape else ""),
        ("sizes (width x height)", _counts(report.sizes)),
        ("modes", _counts(report.modes)),
        ("turned by EXIF", str(report.turned or "")),
        ("classes", f"{len(report.classes)}: {_counts(report.classes)}" if report.classes else "none"),
        *_attributes(report),
        ("captions", str(report.captions or "none")),
        ("pairs, for translations", report.pairs),
        ("mean", _numbers(report.mean)),
        ("deviation", _numbers(report.std)),
        ("corrupt, left out", _list(len(report.corrupt), [f"{k} ({v})" for k, v in report.corrupt.items()])),
        ("smaller than the window, left out", _list(len(report.small), [*report.small]) if report.small else ""),
        ("exact duplicates", _list(copies, groups)),
        ("fingerprint", report.fingerprint),
        ("licence", report.licence or "unknown"),
    ]
    return [(key, value) for key, value in rows if value]


def _attributes(report: DataReport) -> list[tuple[str, str]]:
    """What a table tells of the images, none where there is none."""
    shares = [f"{name} ({count / max(report.count, 1):.1%})" for name, count in report.attributes.items()]
    rows = [("attributes", _list(len(shares), shares))] if shares else []
    if report.table:
        rows += [
            ("table of attributes", report.table),
            ("images without a row, left out", _list(len(report.without_row), [*report.without_row])),
            ("rows without an image", _list(len(report.without_image), [*report.without_image])),
        ]
    return rows


def _counts(counts: dict[str, int]) -> str:
    shown = ", ".join(f"{key} ({count})" for key, count in list(counts.items())[:_SHOWN])
    return shown + (f" and {len(counts) - _SHOWN} more" if len(counts) > _SHOWN else "")


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4f}" for value in values[:_SHOWN])


def _list(count: int, items: list[str]) -> str:
    if not count:
        return "none"
    return f"{count}: " + "; ".join(items[:_SHOWN]) + (" …" if len(items) > _SHOWN else "")
