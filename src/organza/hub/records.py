"""What stands for the things that a pickle names and calls, what reading one may cost, and which names are attacks."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from organza.training.checkpoint import DamagedError

STEPS = 400_000  # instructions; a published file has some ten thousands
_TYPES = {
    "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "long", "object", "range",
    "set", "slice", "str", "tuple", "type", "unicode",
}  # fmt: skip
HARMLESS: dict[str, set[str] | None] = {
    "_codecs": {"encode"}, "argparse": {"Namespace"}, "collections": None, "copy_reg": {"_reconstructor"},
    "copyreg": {"_reconstructor"}, "datetime": None, "decimal": {"Decimal"}, "enum": None,
    "functools": {"partial"}, "pathlib": None, "types": {"SimpleNamespace"}, "uuid": {"UUID"},
    "builtins": _TYPES, "__builtin__": _TYPES,
}  # fmt: skip
"""What files of weights name of Python's own library; none of it is called, all else of it is a sign of an attack."""
SUSPECT = {
    "CDLL", "Unpickler", "builtins", "eval", "exec", "exec_command", "getattr", "import_module", "importlib", "load",
    "load_inline", "load_library", "load_model", "load_module", "load_state_dict_from_url", "loads", "nt", "os",
    "popen", "posix", "read_pickle", "run_path", "runstring", "subprocess", "sys", "system", "unsafe_load",
}  # fmt: skip
"""Behind any name, as in torch.os.system: ways to Python's own library, and what opens or runs another file."""
MANGLED = "___torch_mangle_"  # how TorchScript numbers classes of one name


@dataclass(frozen=True, slots=True)
class Name:
    """Something that the file names, and that is never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, slots=True, repr=False)
class Record:
    """What the file would have made: what it would have called (None: a result of a call), with what, and its state."""

    name: Name | None
    args: tuple[Any, ...]
    state: Any = None
    items: list[Any] = field(default_factory=list)  # appended to it, or (key, value) set in it

    def __repr__(self) -> str:
        """Short: what is inside may stand there many times over, and in itself."""
        return f"<{self.name or 'result of a call'}>"

    def is_of(self, *names: str) -> bool:
        """Whether it comes from one of these dotted names."""
        return str(self.name) in names


class Budget:
    """What one file may cost; shared with all pickles inside it."""

    def __init__(self, size: int) -> None:
        self.steps, self.bytes = STEPS, 5 * size + 2**20

    def step(self, count: int = 1) -> None:
        """Count instructions, or values that one of them makes. Raises DamagedError."""
        self.steps -= count
        if self.steps < 0:
            raise DamagedError(f"more than {STEPS:,} instructions: no file of weights needs so many")

    def make(self, count: int) -> None:
        """Count bytes that are made. Raises DamagedError."""
        self.bytes -= count
        if self.bytes < 0:
            raise DamagedError("it asks for much more memory than it has contents, as bombs do")


def hostile(names: Iterable[str]) -> list[str]:
    """Of dotted names those that no file of weights needs: loaders, and Python's own library but for its data types."""
    return sorted(name for name in names if not _is_harmless(name))


def printable(text: str) -> str:
    """Text of a file without what steers a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _is_harmless(dotted: str) -> bool:
    top, *rest = dotted.split(".")
    if any(part in SUSPECT or (part.startswith("__") and not part.startswith(MANGLED)) for part in rest):
        return False
    if top in HARMLESS:
        allowed = HARMLESS[top]
        return allowed is None or (bool(rest) and rest[0] in allowed)
    return top not in sys.stdlib_module_names and top not in ("__main__", "")
