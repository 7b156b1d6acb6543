"""What the verbs that change pictures share: which files, where to, their progress, the bad ones and the page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from tyro.conf import FlagCreatePairsOff, Positional, arg

from organza.cli import options as shared
from organza.cli.console import Console
from organza.cli.words import number, told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.data.still import Still
    from organza.hub.translator import Translator
    from organza.report.before_after import BeforeAfter

    Change = Callable[[Still, Callable[[int, int], None]], Still]

FAILED = 1  # exit code when some files could not be changed; the others are there

Paths = Annotated[
    tuple[str, ...], Positional, arg(metavar="PATHS", help="pictures, films and folders of them", help_behavior_hint="")
]
Model = Annotated[str, told(metavar="MODEL", help="a run, a model folder, hf:ORG/NAME, or a published file")]
Out = Annotated[str, told(metavar="DIR", help="the folder to write")]


@dataclass(frozen=True)
class Through:
    """How pictures go through a network, and what is written beside them."""

    tile: Annotated[
        str, told(metavar="N", help="side of the tiles in pixels; 0: whole pictures (default the model's)")
    ] = ""  # fmt: skip
    overlap: Annotated[str, told(metavar="N", help="pixels that a tile sees beyond its side (default 24)")] = ""
    half: Annotated[
        bool, FlagCreatePairsOff, told(help="half precision, where the device has it: faster on most GPUs")
    ] = False  # fmt: skip
    device: shared.Device = "auto"
    suffix: Annotated[str, told(metavar="TEXT", help="behind the names of what is written")] = ""
    no_page: Annotated[bool, FlagCreatePairsOff, told(help="write no page of pictures before and after")] = False
    no_provenance: shared.NoProvenance = False

    def settings(self) -> dict[str, Any]:
        """The arguments of `Translator.translate`. Raises ConfigError."""
        side = number(self.tile, int, "tile")
        overlap = number(self.overlap, int, "overlap")
        return {"tile": 2**30 if side == 0 else side, "overlap": overlap, "half": self.half}


class Verb(Protocol):
    """The options of every verb that changes pictures."""

    @property
    def paths(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def out(self) -> str: ...  # noqa: D102
    @property
    def through(self) -> Through: ...  # noqa: D102


@dataclass(frozen=True)
class Task:
    """A file to change and where to write it."""

    source: Path
    target: Path
    is_film: bool


@dataclass(frozen=True)
class ByFile:
    """A change that is another one for each file."""

    of: Callable[[Task], Change]


@dataclass(frozen=True)
class Job:
    """What a verb does with its network: change, what stands behind names, page's title, files left alone.

    `read` opens files that are no ordinary pictures, of which there are no films, and `show` makes them visible.
    """

    change: Change | ByFile
    suffix: str
    title: str
    spared: Callable[[Task], bool] = lambda task: False
    read: Callable[[Path], Still] | None = None
    show: Callable[[Still], Still] | None = None


@dataclass
class Outcome:
    """What became of the files."""

    written: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    page: Path | None = None

    def lines(self, out: Path) -> list[tuple[str, str]]:
        """For the console."""
        lines = [("written", f"{len(self.written):,} in {out}/" if len(self.written) != 1 else str(self.written[0]))]
        lines += [("page", str(self.page))] if self.page else []
        return lines + ([("failed", f"{len(self.failed):,}: {'; '.join(self.failed[:5])}")] if self.failed else [])


def joined(argv: Sequence[str]) -> list[str]:
    """The words with `--suffix -x4` made `--suffix=-x4`: a value that begins like an option is none."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] == "--suffix":
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def once(note: Callable[[str], None]) -> Callable[[str], None]:
    """`note`, which tells nothing twice: a batch has many files, and a film many frames."""
    heard: set[str] = set()

    def tell(message: str) -> None:
        if message not in heard:
            heard.add(message)
            note(message)

    return tell


def must_name_model(model: str, example: str) -> None:
    """Raise ConfigError where no model is named."""
    if not model:
        raise ConfigError(f"no model is named; type --model MODEL: {example}")


def run(verb: str, options: Verb, job_of: Callable[[Translator, Console], Job]) -> None:
    """Open the model, change every file as its job says, and tell what was written.

    Raises ConfigError, ValueError, FileNotFoundError, OSError, and SystemExit(1) when a file failed.
    """
    out, through = Path(options.out).expanduser(), options.through
    through.settings()  # refused before torch is loaded
    with Console() as console:
        console.wait("loading torch")
        from organza.report.provenance import CHANGED_TYPE, packet

        translator = open_translator(options.model, through.device, verb)
        job = job_of(translator, console)
        work = [task for task in tasks(options.paths, out, through.suffix or job.suffix) if not job.spared(task)]
        if not work:
            raise ConfigError(f"{', '.join(options.paths)}: only masks; name the pictures to fill as well")
        name = translator.recipe or translator.model.name
        mark = "" if through.no_provenance else packet(name, translator.sha256, None, CHANGED_TYPE)
        title = f"{job.title} by {name}"
        outcome = change_all(work, job, out, mark, title, console, not through.no_page)
    console.lines(outcome.lines(out))
    if outcome.failed:
        raise SystemExit(FAILED)


def open_translator(model: str, device: str, verb: str) -> Translator:
    """The model on its device. Raises as `organza.load`, with what to type."""
    from organza.hub import load_translator
    from organza.training.precision import pick_device

    try:
        return load_translator(model, str(pick_device(device)))
    except FileNotFoundError as problem:
        raise FileNotFoundError(
            f"{problem}; --model takes a folder that organza trained or converted, or a published file, such as: "
            f"organza {verb} PICTURE --model RealESRGAN_x4plus.pth"
        ) from None


def tasks(paths: Sequence[str], out: Path, suffix: str) -> list[Task]:
    """A task for each file, of folders for each picture and film in them; none writes over a file of the batch.

    Raises ConfigError and FileNotFoundError.
    """
    from organza.data.still import ENDINGS as PICTURES
    from organza.report.footage import ENDINGS as FILMS

    if not paths:
        raise ConfigError("no picture is named; type PATHS: pictures, films, or folders of them")
    found: list[tuple[Path, Path]] = []  # (file, its place in the folder to write)
    for given in map(lambda text: Path(text).expanduser(), paths):
        if not given.exists():
            raise FileNotFoundError(f"no file or folder {given}")
        if given.is_dir() and _is_inside(given, out):
            raise ConfigError(f"{given} is in the folder to write, from which nothing is read; choose another --out")
        inner = sorted(given.rglob("*")) if given.is_dir() else [given]
        inner = [one for one in inner if one.is_file() and not _is_inside(one, out)] if given.is_dir() else inner
        known = [one for one in inner if one.suffix.lower() in (*PICTURES, *FILMS)] if given.is_dir() else inner
        found += [(one, one.relative_to(given) if given.is_dir() else Path(one.name)) for one in known]
    if not found:
        raise ConfigError(f"no picture or film in {', '.join(paths)}; endings that are read: {' '.join(PICTURES)}")
    taken, sources = dict[Path, Path](), {source.resolve() for source, _ in found}
    made = []
    for source, place in found:
        is_film = source.suffix.lower() in FILMS
        target = _free(out / place.with_name(f"{place.stem}{suffix}{'.mp4' if is_film else '.png'}"), source, taken)
        if target.resolve() in sources:
            raise ConfigError(f"{target} would be overwritten; choose another --out, or a --suffix such as -x4")
        made.append(Task(source, target, is_film))
    return made


def change_all(
    work: Sequence[Task], job: Job, out: Path, mark: str, title: str, console: Console, with_page: bool = True
) -> Outcome:
    """Every file through the job's change, which is told of its progress; a bad one is reported, and the others go on.

    The page of those that were written comes in any case. `mark` is a `provenance.packet`, or empty.
    """
    from organza.report.before_after import BeforeAfter

    outcome, started = Outcome(), time.monotonic()
    page = BeforeAfter(out, title, f"{len(work):,} files.")
    try:
        for i, task in enumerate(work):
            clock = _Clock(console, f"{task.source.name} ({i + 1} of {len(work)})", i, len(work), started)
            task.target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _one(task, mark, clock, page if with_page else None, console, job)
            except (MemoryError, OSError, RuntimeError, ValueError) as problem:
                if isinstance(problem, ConfigError) or _is_full(problem):
                    raise
                outcome.failed.append(_named(task, problem))
                console.note(f"left out: {outcome.failed[-1]}")
            else:
                outcome.written.append(task.target)
    finally:
        outcome.page = page.close()
    return outcome


class _Clock:
    """Progress over all files, as if each took as long, with the time left."""

    def __init__(self, console: Console, what: str, before: int, files: int, started: float) -> None:
        self.console, self.what, self.before, self.files, self.started = console, what, before, files, started

    def __call__(self, done: int, total: int) -> None:
        share = (self.before + done / max(total, 1)) / self.files
        left = (time.monotonic() - self.started) / max(share, 1e-9) * (1 - share)
        minutes, seconds = divmod(int(left + 0.5), 60)
        self.console.step(f"{self.what}, {minutes}:{seconds:02} left: percent", int(100 * share), 100)


def _one(task: Task, mark: str, clock: _Clock, page: BeforeAfter | None, console: Console, job: Job) -> None:
    change = job.change.of(task) if isinstance(job.change, ByFile) else job.change
    if not task.is_film:
        return _picture(task, change, mark, clock, page, console, job)
    if job.read is not None:
        raise ValueError(f"{task.source.name} is a film, which has colours; this network takes label maps")
    return _film(task, change, mark, clock)


def _picture(
    task: Task, change: Change, mark: str, clock: _Clock, page: BeforeAfter | None, console: Console, job: Job
) -> None:  # fmt: skip
    from PIL.PngImagePlugin import PngInfo

    from organza.data.still import read_still, save_still

    before = (job.read or read_still)(task.source)
    for note in before.notes:
        console.note(note)
    after, info = change(before, clock), PngInfo()
    for note in after.notes[len(before.notes) :]:
        console.note(f"{task.source.name}: {note}")
    if mark:
        info.add_itxt("XML:com.adobe.xmp", mark)
    save_still(after, task.target, info)
    if page is not None:
        try:
            page.take(task.source.name, job.show(before) if job.show else before, after)
        except (MemoryError, OSError, ValueError) as problem:
            console.note(f"{task.source.name} is written, but not on the page: {problem}")


def _film(task: Task, change: Change, mark: str, clock: _Clock) -> None:
    from organza.data.pixels import recolour
    from organza.data.still import Still
    from organza.report.footage import FootageWriter, open_footage
    from organza.report.provenance import sentence

    try:
        film = open_footage(task.source)
    except ConfigError as problem:  # without ffmpeg; the pictures of the batch need none
        raise ValueError(f"{task.source.name}: {problem}") from None
    writer = FootageWriter(task.target, film, sentence(mark) if mark else "")
    try:
        for number_, frame in enumerate(film, 1):
            made = change(Still(frame.transpose(2, 0, 1)), lambda done, total: None)
            writer.take(recolour(made.planes.transpose(1, 2, 0), 3))
            clock(number_, max(film.frames, number_))
        writer.close()
    finally:
        writer.abandon()


def _free(target: Path, source: Path, taken: dict[Path, Path]) -> Path:
    """The place, or with the source's ending in its name where another file of this batch has it."""
    if target in taken:
        target = target.with_name(f"{target.stem}-{source.suffix.strip('.').lower() or 'file'}{target.suffix}")
    count, stem = 2, target.stem
    while target in taken:
        target, count = target.with_name(f"{stem}-{count}{target.suffix}"), count + 1
    taken[target] = source
    return target


def _is_inside(path: Path, folder: Path) -> bool:
    return folder.exists() and path.resolve().is_relative_to(folder.resolve())


def _named(task: Task, problem: Exception) -> str:
    """What went wrong, with the name of the file."""
    words = str(problem).strip() or type(problem).__name__
    if isinstance(problem, RuntimeError):
        words = f"the network fails: {words.splitlines()[0]}"
    return words if words.startswith(task.source.name) else f"{task.source.name}: {words}"


def _is_full(problem: Exception) -> bool:
    return isinstance(problem, OSError) and bool(re.search("No space|File too large|quota", str(problem)))
