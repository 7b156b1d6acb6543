"""Public files fetched from their official place: checked, then moved into place whole."""

from __future__ import annotations

import hashlib
import http.client
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from organza.config import ConfigError
from organza.data.progress import Progress

_CHUNK, _TIMEOUT = 1 << 20, 30  # bytes, seconds without any answer


@dataclass(frozen=True)
class Remote:
    """A file that its authors publish, and the MD5 that they publish with it."""

    url: str
    md5: str

    @property
    def file(self) -> str:
        """Its name without the address."""
        return self.url.rsplit("/", 1)[1]


def fetch(remote: Remote, folder: Path, progress: Progress) -> Path:
    """The local copy in `folder`, downloaded if it is not there.

    Raises FileNotFoundError when it cannot be fetched and ConfigError when its checksum is wrong; both say what to do.
    """
    target = folder / remote.file
    if target.is_file():  # only a checked file ever gets this name
        return target
    progress.note(f"fetching {remote.url} into {folder}")

    def check(draft: Path) -> None:
        """Raises ConfigError for another MD5 than the published one."""
        with draft.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != remote.md5:
            raise ConfigError(
                f"{remote.url} has the MD5 {found}, not {remote.md5}: damaged on the way, or changed; try again, "
                f"or put a good copy at {target}"
            )

    try:
        download(remote.url, target, check, progress)
    except (OSError, http.client.HTTPException) as problem:
        raise FileNotFoundError(
            f"{remote.file} is not on this machine and {remote.url} cannot be fetched ({problem}); "
            f"download it elsewhere and put it at {target} (MD5 {remote.md5})"
        ) from None
    return target


def download(url: str, target: Path, check: Callable[[Path], object], progress: Progress) -> None:
    """What a server sends, under the name `target` only when it is whole and `check` does not raise.

    Raises OSError, also for a connection that ends early, http.client.HTTPException, and what `check` raises.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="partial-") as partial:
        draft = Path(partial) / target.name
        _stream(url, draft, f"fetching {target.name}", progress)
        check(draft)
        draft.replace(target)


def _stream(url: str, draft: Path, what: str, progress: Progress) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "organza"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer, draft.open("wb") as file:
        total, done = int(answer.headers.get("Content-Length") or 0), 0
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            done += len(chunk)
            progress.step(what, done, total)
    if total and done != total:
        raise OSError(f"the connection ended after {done} of {total} bytes")
