"""Files of two folders, of which one was made of the other, brought in line by their names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from organza.config import ConfigError
from organza.data.attributes import joined
from organza.data.files import open_files
from organza.data.listing import list_folder, list_zip
from organza.data.prepare import Preparation
from organza.data.progress import SILENT


def names_of(source: Any, split: str, count: int) -> tuple[str, ...]:
    """Of the `count` images of a folder or a zip that could be read, in their order; none of other sources."""
    path = Path(source).expanduser() if isinstance(source, (str, Path)) else None
    if path is None or not (path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip")):
        return ()
    try:
        with list_folder(path, split) if path.is_dir() else list_zip(path, split) as listing:
            names = tuple(entry.name for entry in listing.entries)
            if len(names) != count:  # some were left out, as told: those that were not, by the cache of `open_dataset`
                names = open_files(joined(listing, SILENT, asked=False), Preparation(), SILENT).names
    except ConfigError:  # a folder of arrays, or of MNIST's files
        return ()
    return names if len(names) == count else ()


def in_line(results: Sequence[str], reals: Sequence[str], what: str) -> list[int]:
    """For each result the number of the real of the same name.

    Endings, folders around all and what all names of a side end with, such as -x4, do not count. Raises ConfigError
    where names do not match one to one.
    """
    made, kept = _stems(results), _stems(reals)
    of_made, of_kept = Counter(made), Counter(kept)
    if of_made != of_kept or len(of_made) < len(made):
        fits = {stem for stem in made if of_made[stem] == of_kept[stem] == 1}
        alone, left = (
            [name for name, stem in zip(names, stems, strict=True) if stem not in fits]
            for names, stems in ((results, made), (reals, kept))
        )
        raise ConfigError(
            f"{what} compares each result with the real of its name, but names do not match one to one: "
            f"{len(alone)} of {len(results)} results, such as {alone[0]}, and {len(left)} of {len(reals)} reals, such "
            f"as {left[0]}; give both the same names, but for an ending of all such as -x4, or leave {what} out"
        )
    place = {stem: number for number, stem in enumerate(kept)}
    return [place[stem] for stem in made]


def _stems(names: Sequence[str]) -> list[str]:
    """Names without what all of them share at the end, and without the folders around all."""
    paths = [PurePosixPath(name).with_suffix("").parts for name in names]
    while len({path[0] for path in paths}) == 1 and all(len(path) > 1 for path in paths):
        paths = [path[1:] for path in paths]
    stems = ["/".join(path) for path in paths]
    columns = enumerate(zip(*(stem[::-1] for stem in stems), strict=False))
    shared = next((place for place, letters in columns if len(set(letters)) > 1), min(map(len, stems)))
    return [stem[: len(stem) - shared] for stem in stems]
