"""What a file of weights holds: pickles, and torch's two forms of them, opened without running or importing anything.

`opened` gives the value with every tensor as a `Record`, of which `organza.hub.tensors` makes one. The forms: a bare
pickle, in which each tensor's numbers are a pickle of their own; torch's old form, a row of pickles with the numbers
behind them; its new form, a zip of a pickle and one member for each storage. A TorchScript program is such a zip with
code beside these, which is not read. A file of safetensors has tensors alone.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from organza.data.cache import available_memory
from organza.hub.records import Budget, Name, Record, hostile
from organza.hub.tensors import BLOB, Storage, bytes_of, tensor_of
from organza.hub.unpickle import unpickled
from organza.training.checkpoint import DamagedError

Form = Literal["pickle", "torch", "torch, old form", "TorchScript, its code not read", "safetensors"]
MAGIC, PROTOCOL = 119547037146038801333356, 1001  # of torch's old form
DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
BROKEN = (
    zipfile.BadZipFile, struct.error, EOFError, LookupError, OSError, OverflowError, RuntimeError, ValueError,
)  # fmt: skip
"""What `zipfile` raises for broken and for unusual files."""
BLOBS_DEEP = 2  # a storage in a pickle in a pickle
TENSOR = Name("torch._utils", "_rebuild_tensor_v2")
MEMBERS = 50_000  # of a zip; torch writes one for each tensor
ENTRY = b"PK\x01\x02"  # how each begins in the list of members


@dataclass
class Contents:
    """An opened file: its value, and every name in it with how often it is there."""

    path: Path
    form: Form
    value: Any
    names: Counter[str]
    budget: Budget
    size: int  # bytes

    def tensor(self, value: Any) -> Tensor:
        """`tensor_of` a value of this file."""
        return tensor_of(value, self.budget)

    def must_be_harmless(self) -> None:
        """Raise DamagedError for a file that would call what no file of weights needs."""
        if found := hostile(self.names):
            raise DamagedError(
                f"{self.path} is refused: it would call {', '.join(found[:5])}, which no file of weights needs. "
                f"Nothing of it was executed; do not open it with other programs (organza convert {self.path.name} "
                "--list shows all that it names)"
            )


OTHERS: dict[tuple[bytes, ...], str] = {
    (b"<!doctype", b"<html", b"<?xml"): "a web page and no weights, as dead addresses give; download it anew",
    (b"version https://git-lfs",): "a pointer of Git LFS and no weights; type git lfs pull in its folder",
    (b"\x89png", b"\xff\xd8\xff", b"gif8", b"riff"): "a picture and no weights",
}
"""What people take for weights, by how it begins."""


def opened(path: Path) -> Contents:
    """Open a pickle, a torch file or safetensors.

    Raises FileNotFoundError, and DamagedError, which names the file, for one that is damaged, too large for the memory
    or of another kind.
    """
    size = path.stat().st_size
    if size * 3 > available_memory():
        raise DamagedError(f"{path} has {size / 1e9:.1f} GB; opening it takes three times as much memory as is free")
    content, budget, names = path.read_bytes(), Budget(size), Counter()
    try:
        form, value = _parsed(content, budget, names, 0)
    except DamagedError as problem:
        raise DamagedError(f"{path} cannot be read: {_other_kind(content[:64]) or problem}") from None
    return Contents(path, form, value, names, budget, size)


def _other_kind(start: bytes) -> str | None:
    """What a file that holds no weights is instead, by its first bytes."""
    for beginnings, kind in OTHERS.items():
        if start.lstrip().lower().startswith(beginnings):
            return f"it is {kind}"
    return None if start else "it is empty; download it again"


def _parsed(content: bytes, budget: Budget, names: Counter[str], depth: int) -> tuple[Form, Any]:
    if depth > BLOBS_DEEP:
        raise DamagedError("pickles in pickles in pickles")
    if content[:4] == b"PK\x03\x04":
        return _zipped(content, budget, names, depth)
    if content[8:9] == b"{" and int.from_bytes(content[:8], "little") <= len(content) - 8:
        return "safetensors", _safe(content, budget)
    if content[257:262] == b"ustar":
        raise DamagedError("a tar archive, torch's form before 2017; save it anew with a torch of that time")
    file, records = io.BytesIO(content), []
    value = unpickled(file, budget, names, records=records)
    if value != MAGIC or isinstance(value, bool):
        _open_blobs(records, budget, names, depth)
        return "pickle", value
    return "torch, old form", _old(file, content, budget, names, depth)


def _safe(content: bytes, budget: Budget) -> dict[str, Record]:
    """The tensors of safetensors, as records like those of a pickle."""
    try:
        about = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__") or {}
        tensors = load(content)
    except (SafetensorError, LookupError, RecursionError, ValueError) as problem:
        raise DamagedError(f"damaged safetensors ({problem})") from None
    if about.keys() & {"checksum", "organza"}:
        raise DamagedError("weights of Organza, which stand in a folder with what describes them; give the folder")
    budget.make(len(content))
    return {
        name: Record(TENSOR, (Storage(made.dtype, made.numel(), numbers=made.flatten()), 0, made.shape, made.stride()))
        for name, made in tensors.items()
    }


def _open_blobs(records: list[Record], budget: Budget, names: Counter[str], depth: int) -> None:
    """Open what would be opened in turn; the `state` of each record becomes what is inside."""
    for record in records:
        if record.is_of(*BLOB):
            content = bytes_of(record.args[0] if record.args else None)
            budget.make(len(content) + 64)  # one blob may be asked for again and again
            record.state = _parsed(content, budget, names, depth + 1)[1]


def _old(file: io.BytesIO, content: bytes, budget: Budget, names: Counter[str], depth: int) -> Any:
    """The rest of torch's old form: protocol, system, the value, the names of the storages, and their numbers."""
    storages: dict[str, Storage] = {}

    def storage(told: Any) -> Storage:
        dtype, key, count = _storage_id(told)
        if len(told) > 5 and told[5] is not None:
            raise DamagedError("a view of a storage, which torch has not written since 2017")
        return storages.setdefault(key, Storage(dtype, count))

    if unpickled(file, budget, names) != PROTOCOL:
        raise DamagedError("an unknown version of torch's old form")
    system = unpickled(file, budget, names)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise DamagedError("numbers with the high byte first are not read")
    records: list[Record] = []
    value = unpickled(file, budget, names, storage, records)
    keys, view = unpickled(file, budget, names), memoryview(content)
    if not isinstance(keys, list) or set(map(str, keys)) != storages.keys() or len(keys) != len(storages):
        raise DamagedError("the tensors and the list of their numbers do not agree")
    place = file.tell()
    for key in keys:
        made, first = storages[str(key)], place + 8
        if int.from_bytes(view[place:first], "little") != made.count or len(view) < first:
            raise DamagedError("a tensor has another length than it declares")
        place = first + made.count * made.dtype.itemsize
        if place > len(view):
            raise DamagedError("the file ends too early")
        made.read = lambda part=view[first:place]: part
    _open_blobs(records, budget, names, depth)
    return value


def _zipped(content: bytes, budget: Budget, names: Counter[str], depth: int) -> tuple[Form, Any]:
    """Torch's new form. Members are stored as they are; compressed ones are refused, of which bombs are made."""
    if content.count(ENTRY) > MEMBERS:
        raise DamagedError(f"a zip of more than {MEMBERS:,} members: no file of weights needs so many")
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        members = _members(archive, len(content))
        root = _root(members)
        if members.get(f"{root}byteorder") and archive.read(f"{root}byteorder").strip() != b"little":
            raise DamagedError("numbers with the high byte first are not read")
        storages: dict[str, Storage] = {}

        def storage(told: Any) -> Storage:
            dtype, key, count = _storage_id(told)
            name = f"{root}data/{key}"
            if name not in members or members[name].file_size != count * dtype.itemsize:
                raise DamagedError("a tensor has another length than it declares")
            return storages.setdefault(key, Storage(dtype, count, lambda: _member(archive, name)))

        records: list[Record] = []
        value = unpickled(io.BytesIO(archive.read(f"{root}data.pkl")), budget, names, storage, records)
    except DamagedError:
        raise
    except BROKEN as problem:
        raise DamagedError(f"damaged zip ({problem})") from None
    _open_blobs(records, budget, names, depth)
    return "TorchScript, its code not read" if f"{root}constants.pkl" in members else "torch", value


def _members(archive: zipfile.ZipFile, size: int) -> dict[str, zipfile.ZipInfo]:
    """By name, without code. Raises DamagedError for what torch does not write, and for members that share bytes."""
    members = {member.filename: member for member in archive.infolist()}
    if len(members) != len(archive.infolist()):
        raise DamagedError("a zip with two members of one name")
    if any(name.startswith("/") or ".." in name.split("/") for name in members):
        raise DamagedError("a zip with members outside of its folder")
    members = {name: member for name, member in members.items() if "/code/" not in f"/{name}"}
    if any(member.compress_type or member.compress_size != member.file_size for member in members.values()):
        raise DamagedError("a zip with compressed members; torch makes none")
    if sum(member.file_size for member in members.values()) > size:
        raise DamagedError("a zip whose members are larger than the file")
    return members


def _root(members: dict[str, zipfile.ZipInfo]) -> str:
    found = [name[: -len("data.pkl")] for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(found) != 1:
        raise DamagedError("a zip without a data.pkl: no file of torch")
    return found[0]


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except BROKEN as problem:
        raise DamagedError(f"damaged zip ({problem})") from None


def _storage_id(told: Any) -> tuple[torch.dtype, str, int]:
    """(dtype, key, count) of ('storage', type, key, place, count)."""
    if not isinstance(told, tuple) or len(told) < 5 or told[0] != "storage" or not isinstance(told[1], Name):
        raise DamagedError("a reference to something outside")
    dtype = DTYPES.get(told[1].name)
    if dtype is None or told[1].module not in ("torch", "torch.cuda", "torch.storage"):
        raise DamagedError(f"numbers of the type {told[1]}, which are not read")
    if not isinstance(told[2], (str, int)) or not isinstance(told[4], int) or not 0 <= told[4] < 2**40:
        raise DamagedError("damaged pickle (a storage without a name or a length)")
    return dtype, str(told[2]), told[4]
