"""A pickle is a program; this reads one without running it.

A machine of our own goes through the instructions. It makes numbers, text and containers. Whatever the file names (a
class, a function) stays a `Name`, and whatever it would call stays a `Record` of what was to be called with what:
nothing is imported, looked up or called, so that there is nothing to break out of. Instructions, the nesting of open
containers and bytes that are made are counted, and too many of them are refused.
"""

from __future__ import annotations

import io
import pickletools
import struct
from collections import Counter
from collections.abc import Callable
from typing import Any

from organza.hub.records import Budget, Name, Record
from organza.training.checkpoint import DamagedError

OPEN = 50_000  # values on the stack
SMALL_INT = 2**60  # of a key; larger ones can be made to collide
LONGEST_INT = 512  # bits; torch's own mark has 77, and longer ones cost much as text
LONGEST_KEY = 16  # of a tuple, whose hash is made anew for each use
LONGEST_NAME = 1_000  # letters; a name is put together anew for each use, too
NEWEST = 5  # protocol
DICTS = {
    ("collections", "OrderedDict"), ("collections", "defaultdict"), ("collections", "Counter"), ("builtins", "dict"),
    ("__builtin__", "dict"), ("dnnlib.util", "EasyDict"), ("dnnlib", "EasyDict"),
}  # fmt: skip


def unpickled(
    file: io.BytesIO, budget: Budget, seen: Counter[str], persistent: Callable[[Any], Any] | None = None,
    records: list[Record] | None = None,
) -> Any:  # fmt: skip
    """The value of the next pickle in `file`, which is left behind it. Names are counted in `seen`, calls kept.

    `persistent` tells what stands for a persistent id. Raises DamagedError for a damaged file and for one that asks
    for too much.
    """
    machine = _Machine(budget, seen, persistent, [] if records is None else records)
    size = file.getbuffer().nbytes
    try:
        for opcode, argument, _ in pickletools.genops(file):
            budget.step()
            if opcode.name == "FRAME" and (argument or 0) > size - file.tell():
                raise DamagedError("damaged pickle (it ends too early)")
            if opcode.name == "STOP":
                return machine.pop()
            machine.take(opcode.name, argument)
    except DamagedError:
        raise
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError, struct.error) as problem:
        raise DamagedError(f"damaged pickle ({type(problem).__name__}: {str(problem)[:100]})") from None
    raise DamagedError("damaged pickle (it does not end)")


class _Mark:
    """The place on the stack where a container begins."""


_MARK = _Mark()
_PUSHED = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8", "FLOAT", "BINFLOAT",
}  # fmt: skip
_SINGLES: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set, "MARK": lambda: _MARK,
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack and the memo; each method is an instruction of the format."""

    def __init__(
        self, budget: Budget, seen: Counter[str], persistent: Callable[[Any], Any] | None, records: list[Record]
    ) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.budget, self.seen, self.persistent, self.records = budget, seen, persistent, records

    def take(self, name: str, argument: Any) -> None:
        """Follow one instruction. Raises DamagedError for those that no file of weights has."""
        if name in _PUSHED:
            if isinstance(argument, int) and argument.bit_length() > LONGEST_INT:
                raise DamagedError(f"a number of {argument.bit_length():,} bits")
            self.stack.append(argument)
        elif name in _SINGLES:
            self.stack.append(_SINGLES[name]())
        elif name in _TUPLES:
            parts = self.stack[-_TUPLES[name] :]
            if len(parts) < _TUPLES[name] or _MARK in parts:
                raise DamagedError("damaged pickle (its stack is empty)")
            self.stack[-_TUPLES[name] :] = [tuple(parts)]
        elif (method := getattr(self, f"on_{name.lower()}", None)) is not None:
            method(argument)
        elif name == "PROTO" and argument > NEWEST:
            raise DamagedError(f"protocol {argument} of pickles; the newest that is read is {NEWEST}")
        elif name not in ("PROTO", "FRAME"):
            raise DamagedError(f"the instruction {name}, which no file of weights needs")
        if len(self.stack) > OPEN:
            raise DamagedError(f"more than {OPEN:,} values at once: no file of weights needs so many")

    def pop(self) -> Any:
        """The last value."""
        value = self.stack.pop()
        if value is _MARK:
            raise DamagedError("damaged pickle (a container in the place of a value)")
        return value

    def since_mark(self) -> list[Any]:
        """The values of the container that was opened last."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise DamagedError("damaged pickle (no container is open)")

    def called(self, function: Any, args: Any, state: Any = None) -> None:
        """What would be called: a container, or a record."""
        if not isinstance(args, tuple):
            raise DamagedError("damaged pickle (a call without arguments)")
        self.stack.append(self.made(function, args, state))

    def made(self, function: Any, args: tuple[Any, ...], state: Any) -> Any:
        """A plain container where the name means one, else the record of a call."""
        key = (function.module, function.name) if isinstance(function, Name) else ("", "")
        values = args[0] if args and isinstance(args[0], (list, tuple)) else []
        if key in DICTS:
            self.budget.step(len(values))
            return {_key(pair[0]): pair[1] for pair in values}
        if key[0] in ("builtins", "__builtin__") and key[1] in ("set", "frozenset"):
            self.budget.step(len(values))
            return {_key(value) for value in values}
        if key == ("_codecs", "encode") and args and isinstance(args[0], str):  # how bytes were written once
            self.budget.make(len(args[0]))
            return args[0].encode("latin-1")
        if key[0] in ("copyreg", "copy_reg") and args and isinstance(args[0], Name):
            return self.made(args[0], (), None)
        name = function if isinstance(function, Name) else None
        record = Record(name, args if name else (function, args), state)
        self.records.append(record)
        return record

    def named(self, module: Any, name: Any) -> Name:
        """A name, counted. Raises DamagedError for what is no printable text."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise DamagedError("damaged pickle (a name that is no text)")
        if len(module) + len(name) > LONGEST_NAME:
            raise DamagedError(f"a name of {len(module) + len(name):,} letters")
        if not f"{module}{name}".isprintable():
            raise DamagedError("damaged pickle (a name that steers a terminal)")
        self.seen[f"{module}.{name}"] += 1
        return Name(module, name)

    def on_global(self, argument: str) -> None:
        self.stack.append(self.named(*argument.split(" ", 1)))

    def on_stack_global(self, _: None) -> None:
        name, module = self.pop(), self.pop()
        self.stack.append(self.named(module, name))

    def on_inst(self, argument: str) -> None:
        self.called(self.named(*argument.split(" ", 1)), tuple(self.since_mark()))

    def on_obj(self, _: None) -> None:
        if not (parts := self.since_mark()):
            raise DamagedError("damaged pickle (a call of nothing)")
        self.called(parts[0], tuple(parts[1:]))

    def on_reduce(self, _: None) -> None:
        args, function = self.pop(), self.pop()
        self.called(function, args)

    on_newobj = on_reduce

    def on_newobj_ex(self, _: None) -> None:
        words, args, function = self.pop(), self.pop(), self.pop()
        self.called(function, args, words or None)

    def on_build(self, _: None) -> None:
        state, made = self.pop(), self.stack[-1]
        if isinstance(made, Record):
            made.state = state
        elif not isinstance(made, dict):  # of a dict it is what belongs to its class
            raise DamagedError("damaged pickle (a state of what has none)")

    def on_list(self, _: None) -> None:
        self.stack.append(self.since_mark())

    def on_tuple(self, _: None) -> None:
        self.stack.append(tuple(self.since_mark()))

    def on_frozenset(self, _: None) -> None:
        self.stack.append({_key(value) for value in self.since_mark()})

    def on_dict(self, _: None) -> None:
        values, made = self.since_mark(), {}
        _set(made, values)
        self.stack.append(made)

    def on_append(self, _: None) -> None:
        value = self.pop()
        _add(self.stack[-1], [value])

    def on_appends(self, _: None) -> None:
        values = self.since_mark()
        _add(self.stack[-1], values)

    on_additems = on_appends

    def on_setitem(self, _: None) -> None:
        value, key = self.pop(), self.pop()
        _set(self.stack[-1], [key, value])

    def on_setitems(self, _: None) -> None:
        values = self.since_mark()
        _set(self.stack[-1], values)

    def on_pop(self, _: None) -> None:
        self.stack.pop()

    def on_pop_mark(self, _: None) -> None:
        self.since_mark()

    def on_dup(self, _: None) -> None:
        self._again(self.stack[-1])

    def on_get(self, place: int) -> None:
        self._again(self.memo[place])

    def _again(self, value: Any) -> None:
        """A value once more; a name is counted each time."""
        if isinstance(value, Name):
            self.seen[str(value)] += 1
        self.stack.append(value)

    on_binget = on_long_binget = on_get

    def on_put(self, place: int) -> None:
        if place < 0:
            raise DamagedError("damaged pickle (a value is kept in no place)")
        self.memo[place] = self.stack[-1]

    on_binput = on_long_binput = on_put

    def on_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def on_persid(self, argument: Any) -> None:
        if self.persistent is None:
            raise DamagedError("damaged pickle (a reference to outside)")
        self.stack.append(self.persistent(argument))

    def on_binpersid(self, _: None) -> None:
        self.on_persid(self.pop())


def _key(value: Any) -> Any:
    """A key that costs nothing to hash. Raises DamagedError."""
    if isinstance(value, (str, bytes, bool, Name, Record)) or value is None:
        return value
    if isinstance(value, int) and abs(value) < SMALL_INT:
        return value
    if isinstance(value, tuple) and len(value) <= LONGEST_KEY and all(_is_part(part) for part in value):
        return value
    raise DamagedError(f"a key of the type {type(value).__name__}")


def _is_part(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and abs(value) < SMALL_INT)


def _add(target: Any, values: list[Any]) -> None:
    if isinstance(target, list):
        target += values
    elif isinstance(target, set):
        target |= {_key(value) for value in values}
    elif isinstance(target, Record):
        target.items += values
    else:
        raise DamagedError("damaged pickle (something is added to what takes nothing)")


def _set(target: Any, values: list[Any]) -> None:
    if len(values) % 2:
        raise DamagedError("damaged pickle (a key without a value)")
    pairs = [(_key(key), value) for key, value in zip(values[::2], values[1::2], strict=True)]
    if isinstance(target, dict):
        target.update(pairs)
    elif isinstance(target, Record):
        target.items += pairs
    else:
        raise DamagedError("damaged pickle (something is set in what takes nothing)")
