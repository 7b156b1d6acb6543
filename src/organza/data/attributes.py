"""Attribute tables: what each image of a source has of several attributes, such as CelebA's `list_attr_celeba.txt`.

Understood are, in the folder or zip itself:

- files called `list_attr….txt`, `attributes.csv` and the like, in CelebA's form (the number of images, the names, a row
  `000001.jpg -1 1 …` for each image) or as a CSV or TSV with a head (`filename,Black_Hair,…`);
- any other CSV or TSV whose first column is called `filename` or the like, if all of its first row are values;

and of the first kind also those one folder above. Values are 0 and 1, -1 and 1, or false and true. A row names its file
by the path, by the name, or by the name without its ending. Blanks and commas in names become `_`.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from organza.config import ConfigError
from organza.data.progress import Progress

if TYPE_CHECKING:
    from organza.data.listing import Listing

SHOWN = 3  # names in a message
_NAMED = re.compile(r"(list_attr.*|attributes)\.(txt|csv|tsv)", re.IGNORECASE)
_FILES = ("file", "filename", "file_name", "image", "image_id", "image_name", "img", "name", "path")  # first heads
_VALUES = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "false": 0, "-1": -1, "-1.0": -1}
_KEYS: tuple[Callable[[str], str], ...] = (
    lambda name: name.removeprefix("./"),
    lambda name: PurePosixPath(name).name,
    lambda name: PurePosixPath(name).stem,
)


@dataclass(frozen=True)
class TableFile:
    """A file that may hold a table, not read yet."""

    where: str
    read: Callable[[], bytes]
    own: bool  # it lies in the source itself, not above it


@dataclass(frozen=True)
class Table:
    """The values -1, 0 and 1 of each file that has a row, in the order of the names."""

    where: str
    names: tuple[str, ...]
    rows: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Match:
    """A listing whose labels are those of a table, and what was on one side alone."""

    listing: Listing
    table: Table
    without_row: tuple[str, ...]  # images, which are left out
    without_image: tuple[str, ...]  # names in rows

    def notes(self) -> Iterator[str]:
        """What the user should read."""
        count = len(self.without_row) + len(self.listing)
        if self.without_row:
            yield (
                f"{len(self.without_row):,} of {count:,} images have no row in {self.table.where} and are left out "
                f"({_some(self.without_row)})"
            )
        if self.without_image:
            yield (
                f"{len(self.without_image):,} of {len(self.table.rows):,} rows of {self.table.where} name no image "
                f"that is read ({_some(self.without_image)})"
            )


def tables_in(files: Mapping[str, Callable[[], bytes]], where: str) -> tuple[TableFile, ...]:
    """The files of a source, by path and each with a way to read it, that may hold its table."""
    names = [name for name in files if "/" not in name and _may_hold(name)]
    return tuple(TableFile(f"{where}/{name}", files[name], True) for name in sorted(names))


def tables_above(source: Path) -> tuple[TableFile, ...]:
    """The files beside a folder or a zip that are called as tables are."""
    folder = source.resolve().parent
    found = sorted(path for path in folder.glob("*.*") if _NAMED.fullmatch(path.name) and path.is_file())
    return tuple(TableFile(str(path), path.read_bytes, False) for path in found)


def joined(listing: Listing, progress: Progress, asked: bool = False) -> Listing:
    """The listing with the labels of its table, if it has one; what is left out is told. Raises as `matched`."""
    found = matched(listing, asked)
    if found is None:
        return listing
    for note in found.notes():
        progress.note(note)
    return found.listing


def matched(listing: Listing, asked: bool = False) -> Match | None:
    """The listing with the labels of its table; None without one, and where other labels are there and nobody asked.

    Raises ConfigError for two tables, for one that is damaged, and for one in the source that names none of its images.
    """
    from organza.data.listing import labels_of

    if not listing.tables or (not asked and labels_of(listing)[0] is not None):
        return None
    own = [file for file in listing.tables if file.own and _NAMED.fullmatch(Path(file.where).name)]
    own = own or [file for file in listing.tables if file.own and _looks_so(file)]
    files = own or [file for file in listing.tables if not file.own]
    if len(files) > 1:
        raise ConfigError(f"two tables of attributes: {files[0].where} and {files[1].where}; take one of them away")
    if not files:
        return None
    table = read_table(files[0].read(), files[0].where)
    return _match(listing, table, files[0].own)


def read_table(content: bytes, where: str) -> Table:
    """The table in a file. Raises ConfigError with the line for what is none."""
    try:
        lines = _lines(content)
    except csv.Error as problem:  # such as a cell of 128 KB
        raise ConfigError(f"{where} is no table: {problem}") from None
    if not lines:
        raise ConfigError(f"{where} is empty; it takes a head, filename,Male,…, and a row for each image")
    told = int(lines.pop(0)[1][0]) if len(lines[0][1]) == 1 and lines[0][1][0].isdigit() else None
    if len(lines) < 2:
        raise ConfigError(f"{where} has no rows; it takes one for each image: 000001.jpg -1 1 …")
    head, width = lines[0][1], len(lines[1][1]) - 1
    names = tuple(re.sub(r"[\s,]+", "_", name) for name in (head[1:] if len(head) == width + 1 else head))
    if names and all(name.lower() in _VALUES for name in names):
        raise ConfigError(f"{where}:{lines[0][0]}: a row in the place of the head; write one above: filename,Male,…")
    if not names or "" in names or len(set(names)) < len(names):
        raise ConfigError(f"{where}:{lines[0][0]}: names are empty or there twice; give each attribute its own")
    rows: dict[str, tuple[int, ...]] = {}
    seen: set[int] = set()
    for number, cells in lines[1:]:
        row = _row(cells, names, f"{where}:{number}")
        if cells[0] in rows:
            raise ConfigError(f"{where}:{number}: a second row of {cells[0]}; keep one of them")
        rows[cells[0]] = row
        seen.update(row)
        if {0, -1} <= seen:
            raise ConfigError(f"{where}:{number}: both 0 and -1 are in the table; take one of them for what is not")
    if told is not None and told != len(rows):
        raise ConfigError(f"{where} has {len(rows):,} rows, but its first line says {told:,}; fetch it again")
    return Table(where, names, rows)


def _row(cells: Sequence[str], names: Sequence[str], where: str) -> tuple[int, ...]:
    if len(cells) != len(names) + 1:
        raise ConfigError(f"{where}: {len(cells) - 1} values for {len(names)} attributes; each takes one")
    values = [_VALUES.get(cell.lower()) for cell in cells[1:]]
    if None in values:
        at = values.index(None)
        raise ConfigError(f"{where}: {names[at]} is '{cells[at + 1]}'; it takes 0 or 1, -1 or 1, false or true")
    return tuple(value for value in values if value is not None)


def _match(listing: Listing, table: Table, own: bool) -> Match | None:
    """The rows with their images, by the first way to name files that finds any."""
    images = [entry.name for entry in listing.entries]
    for key in _KEYS:
        words = {key(name) for name in images}
        rows = _once([(key(name), name) for name in table.rows], words, f"of {table.where}")
        if not words & rows.keys():
            continue
        found = _once([(key(name), name) for name in images], rows, f"that {table.where} means")
        found = {word: name for word, name in found.items() if word in rows}
        labels = {name: [int(value > 0) for value in table.rows[rows[word]]] for word, name in found.items()}
        about = {**(listing.about or {}), "labels": labels, "classes": list(table.names)}
        return Match(
            replace(listing.keep(labels.__contains__), about=about), table,
            tuple(name for name in images if name not in labels),
            tuple(name for word, name in rows.items() if word not in found),
        )  # fmt: skip
    if own:
        raise ConfigError(
            f"{table.where} has no row for any image of {listing.where} (a row is of {next(iter(table.rows))}, an "
            f"image is {images[0]}); name the files as they are, or take the table away"
        )
    return None  # what lies above a folder may be of another one


def _once(pairs: Sequence[tuple[str, str]], wanted: Container[str], what: str) -> dict[str, str]:
    """The pairs as a mapping. Raises ConfigError where two files have one name that is wanted."""
    found = dict(pairs)
    if len(found) < len(pairs):
        often = Counter(word for word, _ in pairs if word in wanted).most_common(1)
        if often and often[0][1] > 1:
            word, two = often[0][0], [name for other, name in pairs if other == often[0][0]][:2]
            raise ConfigError(f"two files {what} are called {word}: {', '.join(two)}; write paths into the table")
    return found


def _lines(content: bytes) -> list[tuple[int, list[str]]]:
    """The cells of each line that has some, with its number."""
    text = content.decode("utf-8-sig", "replace").splitlines()
    first = "".join([line for line in text if line.strip()][:2])
    mark = next((mark for mark in ",;\t" if mark in first), None)
    cells = (line.split() for line in text) if mark is None else csv.reader(text, delimiter=mark)
    kept = (([cell.strip() for cell in row], number) for number, row in enumerate(cells, 1))
    return [(number, row) for row, number in kept if any(row)]


def _may_hold(name: str) -> bool:
    return bool(_NAMED.fullmatch(name)) or (name.lower().endswith((".csv", ".tsv")) and not name.startswith("."))


def _looks_so(file: TableFile) -> bool:
    """Whether head and first row are those of at least two attributes; a single column may be anything."""
    try:
        lines = [row for _, row in _lines(b"\n".join(file.read().splitlines()[:3]))]
    except csv.Error:  # a file of something else
        return False
    if len(lines) < 2 or lines[0][0].lower() not in _FILES:
        return False
    values = lines[1][1:]
    return len(values) > 1 and len(lines[0]) == len(lines[1]) and all(cell.lower() in _VALUES for cell in values)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
