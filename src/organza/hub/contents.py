"""What a file of weights holds: pickles, and torch's two forms of them, opened without running or importing anything.

`opened` gives the value with every tensor as a `Record`; `tensor_of` makes a tensor of one. The forms: a bare pickle,
in which each tensor's numbers are a pickle of their own; torch's old form, a row of pickles with the numbers behind
them; its new form, a zip of a pickle and one member for each storage.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from organza.data.cache import available_memory
from organza.hub.unpickle import Budget, Name, Record, hostile, unpickled
from organza.training.checkpoint import DamagedError

Form = Literal["pickle", "torch", "torch, old form"]
MAGIC, PROTOCOL = 119547037146038801333356, 1001  # of torch's old form
DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
TENSORS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
BLOB = ("torch.storage._load_from_bytes",)
NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
ARRAYS = tuple(f"{module}._reconstruct" for module in NUMPY)
SCALARS = tuple(f"{module}.scalar" for module in NUMPY)
BUFFERS = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
KINDS = "biufc"  # of numpy's numbers; objects are none
BYTES = ("bytes", "bytearray")
BLOBS_DEEP = 2  # a storage in a pickle in a pickle


@dataclass(eq=False)
class Storage:
    """The numbers of some tensors; `read` fetches their bytes, and `numbers` keeps them."""

    dtype: torch.dtype
    count: int
    read: Callable[[], bytes | memoryview] | None = None
    numbers: Tensor | None = None

    def whole(self, budget: Budget) -> Tensor:
        """All numbers, [count]. Raises DamagedError when the bytes are not as many."""
        if self.numbers is None:
            content = self.read() if self.read else b""
            if len(content) != self.count * self.dtype.itemsize:
                raise DamagedError(f"a tensor declares {self.count:,} numbers and has {len(content):,} bytes")
            budget.make(len(content))
            self.numbers = (
                torch.frombuffer(bytearray(content), dtype=self.dtype) if self.count else torch.empty(0).to(self.dtype)
            )
        return self.numbers


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


def opened(path: Path) -> Contents:
    """Open a pickle or a torch file.

    Raises FileNotFoundError, and DamagedError, which names the file, for one that is damaged, too large for the memory
    or of another kind.
    """
    size = path.stat().st_size
    if size * 3 > available_memory():
        raise DamagedError(f"{path} has {size / 1e9:.1f} GB; opening it takes three times as much memory as is free")
    budget, names = Budget(size), Counter()
    try:
        form, value = _parsed(path.read_bytes(), budget, names, 0)
    except DamagedError as problem:
        raise DamagedError(f"{path} cannot be read: {problem}") from None
    return Contents(path, form, value, names, budget, size)


def is_tensor(value: Any) -> bool:
    """Whether a value of the file is a tensor or an array."""
    return isinstance(value, Record) and value.is_of(*TENSORS, *PARAMETERS, *ARRAYS, *BUFFERS)


def shape_of(value: Record) -> tuple[int, ...]:
    """The declared shape of a tensor or array. Raises DamagedError."""
    if value.is_of(*PARAMETERS) and value.args and isinstance(value.args[0], Record):
        return shape_of(value.args[0])
    if value.is_of(*TENSORS):
        return _sizes(value.args, 2)
    if value.is_of(*ARRAYS):
        return _sizes(value.state if isinstance(value.state, tuple) else (), 1)
    if value.is_of(*BUFFERS):
        return _sizes(value.args, 2)
    raise DamagedError(f"no tensor: {value.name}")


def tensor_of(value: Any, budget: Budget) -> Tensor:
    """A tensor of a record: float32 for all kinds of real numbers, else as it is. Raises DamagedError."""
    if isinstance(value, Record) and value.is_of(*PARAMETERS) and value.args:
        value = value.args[0]
    if not isinstance(value, Record) or not is_tensor(value):
        raise DamagedError("something else stands in the place of a tensor")
    of_numpy = value.is_of(*ARRAYS, *BUFFERS)
    tensor = torch.from_numpy(_array(value, budget)) if of_numpy else _strided(value, budget)
    return tensor.float() if tensor.is_floating_point() else tensor


def number_of(value: Any) -> Any:
    """A plain value of what numpy has wrapped; others as they are."""
    if isinstance(value, Record) and value.is_of(*SCALARS) and len(value.args) == 2:
        dtype, content = _dtype(value.args[0]), _bytes(value.args[1])
        if len(content) != dtype.itemsize:
            raise DamagedError("a number of numpy has the wrong length")
        return np.frombuffer(content, dtype)[0].item()
    return value


def _parsed(content: bytes, budget: Budget, names: Counter[str], depth: int) -> tuple[Form, Any]:
    if depth > BLOBS_DEEP:
        raise DamagedError("pickles in pickles in pickles")
    if content[:4] == b"PK\x03\x04":
        return "torch", _zipped(content, budget, names, depth)
    if content[257:262] == b"ustar":
        raise DamagedError("a tar archive, torch's form before 2017; save it anew with a torch of that time")
    file, records = io.BytesIO(content), []
    value = unpickled(file, budget, names, records=records)
    if value != MAGIC or isinstance(value, bool):
        _open_blobs(records, budget, names, depth)
        return "pickle", value
    return "torch, old form", _old(file, content, budget, names, depth)


def _open_blobs(records: list[Record], budget: Budget, names: Counter[str], depth: int) -> None:
    """Open what would be opened in turn; the `state` of each record becomes what is inside."""
    for record in records:
        if record.is_of(*BLOB):
            content = _bytes(record.args[0] if record.args else None)
            budget.make(64)
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


def _zipped(content: bytes, budget: Budget, names: Counter[str], depth: int) -> Any:
    """Torch's new form. Members are stored as they are; compressed ones are refused, of which bombs are made."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
        members = {member.filename: member for member in archive.infolist()}
        if len(members) != len(archive.infolist()):
            raise DamagedError("a zip with two members of one name")
        if any(member.compress_type or member.compress_size != member.file_size for member in members.values()):
            raise DamagedError("a zip with compressed members; torch makes none")
        if sum(member.file_size for member in members.values()) > len(content):
            raise DamagedError("a zip whose members are larger than the file")
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
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError) as problem:
        raise DamagedError(f"damaged zip ({problem})") from None
    _open_blobs(records, budget, names, depth)
    return value


def _root(members: dict[str, Any]) -> str:
    found = [name[: -len("data.pkl")] for name in members if name.rpartition("/")[2] == "data.pkl"]
    if any(name.rpartition("/")[2] == "constants.pkl" for name in members):
        raise DamagedError("a TorchScript program and no file of weights")
    if len(found) != 1:
        raise DamagedError("a zip without a data.pkl: no file of torch")
    return found[0]


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, RuntimeError) as problem:
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


def _strided(record: Record, budget: Budget) -> Tensor:
    """What torch would make of a storage, an offset, sizes and strides, each within bounds."""
    storage = record.args[0] if record.args else None
    storage = storage.state if isinstance(storage, Record) and storage.is_of(*BLOB) else storage
    if not isinstance(storage, Storage) or len(record.args) < 4:
        raise DamagedError("a tensor without numbers")
    size, stride, offset = _sizes(record.args, 2), _sizes(record.args, 3), record.args[1]
    if not isinstance(offset, int) or offset < 0 or len(size) != len(stride):
        raise DamagedError("damaged pickle (the shape of a tensor)")
    count = math.prod(size)
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if count > storage.count or (count and last >= storage.count):
        raise DamagedError(f"a tensor declares {count:,} numbers where there are {storage.count:,}")
    budget.make(4 * count)
    return storage.whole(budget).as_strided(size, stride, offset).clone(memory_format=torch.contiguous_format)


def _array(record: Record, budget: Budget) -> np.ndarray:
    """A numpy array of (version, shape, dtype, is Fortran's order, bytes), of numbers alone."""
    if record.is_of(*BUFFERS):
        content, dtype, order = _bytes(record.args[0]), _dtype(record.args[1]), record.args[3:4] == ("F",)
    elif isinstance(record.state, tuple) and len(record.state) == 5:
        dtype, order, content = _dtype(record.state[2]), record.state[3] is True, _bytes(record.state[4])
    else:
        raise DamagedError("an array without numbers")
    shape = shape_of(record)
    if math.prod(shape) * dtype.itemsize != len(content):
        raise DamagedError(f"an array declares {math.prod(shape):,} numbers and has {len(content):,} bytes")
    budget.make(2 * len(content))
    array = np.frombuffer(content, dtype).reshape(shape, order="F" if order else "C")
    return np.array(array, dtype.newbyteorder("="), order="C")


def _dtype(record: Any) -> np.dtype:
    """A type of plain numbers; objects, which are pickles again, are refused."""
    code = record.args[0] if isinstance(record, Record) and record.is_of("numpy.dtype") and record.args else None
    order = record.state[1] if code is not None and isinstance(record.state, tuple) and len(record.state) > 1 else "="
    if not isinstance(code, str) or code[:1] not in KINDS or not code[1:].isdecimal() or order not in list("<>=|"):
        raise DamagedError("an array of something else than numbers")
    return np.dtype(f"{'<' if order in '=|' else order}{code}")


def _sizes(values: tuple[Any, ...], place: int) -> tuple[int, ...]:
    found = values[place] if len(values) > place else None
    found = (found,) if isinstance(found, int) else found
    if not isinstance(found, (tuple, list)) or len(found) > 8:
        raise DamagedError("damaged pickle (the shape of a tensor)")
    if not all(type(side) is int and 0 <= side < 2**40 for side in found):
        raise DamagedError("damaged pickle (the shape of a tensor)")
    return tuple(found)


def _bytes(value: Any) -> bytes:
    if isinstance(value, Record) and value.is_of(*(f"{m}.{t}" for m in ("builtins", "__builtin__") for t in BYTES)):
        value = value.args[0] if value.args else b""
    if isinstance(value, str):  # of Python 2
        value = value.encode("latin-1", errors="replace")
    if not isinstance(value, (bytes, bytearray)):
        raise DamagedError("something else stands in the place of bytes")
    return bytes(value)
