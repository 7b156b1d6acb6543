"""The tensors and arrays of a file of weights, made of the records of what the file would have called."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from organza.hub.records import Budget, Record
from organza.training.checkpoint import DamagedError

TENSORS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
PARAMETERS = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
BLOB = ("torch.storage._load_from_bytes",)
NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")
ARRAYS = tuple(f"{module}._reconstruct" for module in NUMPY)
SCALARS = tuple(f"{module}.scalar" for module in NUMPY)
BUFFERS = ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
KINDS, SIZES = "biufc", ("1", "2", "4", "8", "16")  # of numpy's numbers, and their bytes; objects are none
BYTES = ("bytes", "bytearray")


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


def is_tensor(value: Any) -> bool:
    """Whether a value of the file is a tensor or an array."""
    return isinstance(value, Record) and value.is_of(*TENSORS, *PARAMETERS, *ARRAYS, *BUFFERS)


def shape_of(value: Record) -> tuple[int, ...]:
    """The declared shape of a tensor or array. Raises DamagedError."""
    if value.is_of(*PARAMETERS) and value.args and isinstance(value.args[0], Record):
        value = value.args[0]  # which is no parameter again, or it is no tensor
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
        dtype, content = _dtype(value.args[0]), bytes_of(value.args[1])
        if len(content) != dtype.itemsize:
            raise DamagedError("a number of numpy has the wrong length")
        return np.frombuffer(content, dtype)[0].item()
    return value


def _strided(record: Record, budget: Budget) -> Tensor:
    """What torch would make of a storage, an offset, sizes and strides, each within bounds."""
    storage = record.args[0] if record.args else None
    storage = storage.state if isinstance(storage, Record) and storage.is_of(*BLOB) else storage
    if not isinstance(storage, Storage) or len(record.args) < 4:
        raise DamagedError("a tensor without numbers")
    size, stride, offset = _sizes(record.args, 2), _sizes(record.args, 3), record.args[1]
    if type(offset) is not int or offset < 0 or len(size) != len(stride):
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
        content, dtype, order = bytes_of(record.args[0]), _dtype(record.args[1]), record.args[3:4] == ("F",)
    elif isinstance(record.state, tuple) and len(record.state) == 5:
        dtype, order, content = _dtype(record.state[2]), record.state[3] is True, bytes_of(record.state[4])
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
    state = (3, "=") if code is None or record.state is None else record.state
    if not isinstance(state, tuple) or len(state) < 2 or any(part is not None for part in state[2:5]):
        raise DamagedError("an array of something else than numbers")  # of arrays, or of several fields
    order = state[1]
    known = isinstance(code, str) and code[:1] in KINDS and code[1:] in SIZES and order in list("<>=|")
    try:
        if known:
            return np.dtype(f"{'<' if order in '=|' else order}{code}")
    except TypeError:  # no kind has this size
        pass
    raise DamagedError("an array of something else than numbers")


def _sizes(values: tuple[Any, ...], place: int) -> tuple[int, ...]:
    found = values[place] if len(values) > place else None
    found = (found,) if isinstance(found, int) else found
    if not isinstance(found, (tuple, list)) or len(found) > 8:
        raise DamagedError("damaged pickle (the shape of a tensor)")
    if not all(type(side) is int and 0 <= side < 2**40 for side in found):
        raise DamagedError("damaged pickle (the shape of a tensor)")
    return tuple(found)


def bytes_of(value: Any) -> bytes:
    """Bytes, in whatever form the protocols have them. Raises DamagedError for something else."""
    if isinstance(value, Record) and value.is_of(*(f"{m}.{t}" for m in ("builtins", "__builtin__") for t in BYTES)):
        value = value.args[0] if value.args else b""
    if isinstance(value, str):  # of Python 2
        value = value.encode("latin-1", errors="replace")
    if not isinstance(value, (bytes, bytearray)):
        raise DamagedError("something else stands in the place of bytes")
    return bytes(value)
