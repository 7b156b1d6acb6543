"""What every layout is turned into, and how it becomes a network of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from organza.config import ConfigError, Model, Shape
from organza.hub.records import Budget, Name, Record
from organza.hub.tensors import is_tensor, number_of, tensor_of
from organza.layers.planning import planning
from organza.models import Role, build, complete, translator
from organza.training.checkpoint import DamagedError

SCRIPT = "__torch__"
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"
DEEP, MANY = 40, 20_000  # modules in each other, and in all
LONGEST = 200  # letters of the name of a module or a tensor in it; rows of a list
LARGEST = 65_536  # of the numbers that describe a network
LISTS_DEEP = 2  # in each other, as text they could have no end
MEANS_OF = 10_000  # w, where a file holds no mean of them
OFFICIAL = "unknown; official NVIDIA weights are for non-commercial use"
UNKNOWN = "unknown"

Tensors = dict[str, Tensor]


@dataclass
class Part:
    """A network as a file holds it: the arguments of its constructor, its tensors, and the settings of its layers."""

    name: str  # of its class, as far as known
    tensors: dict[str, Any]  # Tensor, but for a listing
    arguments: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # by the name of the layer

    def argument(self, name: str, default: Any = None) -> Any:
        """Of the constructor, wherever it is nested."""
        for place in (self.arguments, *(v for v in self.arguments.values() if isinstance(v, dict))):
            if name in place:
                return number_of(place[name])
        return default

    def setting(self, layer: str, name: str, default: Any = None) -> Any:
        """Of a layer, else of the constructor."""
        own = self.settings.get(layer, {})
        return own[name] if name in own else self.argument(name, default)


@dataclass(frozen=True)
class Network:
    """A network of the catalogue with its weights: `tensors` has all that it needs, under its own names."""

    model: Model
    tensors: Tensors
    missing: tuple[str, ...]  # buffers that the file lacks and that are as built
    unknown: tuple[str, ...]  # tensors of the file without a place


@dataclass(frozen=True)
class Described:
    """A network to be: its model, the size of its pictures, how many classes, and its tensors renamed."""

    model: Model
    shape: Shape
    classes: int
    tensors: Tensors
    source: Shape = ()  # of the pictures that a translator takes


def fitted(told: Described, role: Role, notes: list[str]) -> Network:
    """The network with the file's weights. Raises DamagedError where names or shapes do not fit."""
    must_be_sane(list(told.model.options.values()))
    try:
        model = complete(told.model, role)
        with planning():
            planned = _built(told, model, role)
    except ConfigError as problem:
        raise DamagedError(f"its {role} has a form that '{told.model.name}' has not: {problem}") from None
    missing, unknown = _compared(planned, told.model.name, told.tensors, role)
    if not missing and planned.state_dict().keys() <= told.tensors.keys():
        tensors = {name: told.tensors[name] for name in planned.state_dict()}
        return Network(model, tensors, (), tuple(unknown))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = _built(told, model, role)
    network.load_state_dict({name: told.tensors[name] for name in told.tensors.keys() - unknown}, strict=False)
    if "mapping.w_avg" in missing and role == "generator":
        _average(network.eval())
        notes.append(f"the file has no mean w: it is that of {MEANS_OF:,} codes of fixed noise")
    return Network(model, network.state_dict(), tuple(missing), tuple(unknown))


def _built(told: Described, model: Model, role: Role) -> nn.Module:
    if told.source:
        return translator(model, told.source, told.shape, told.classes)
    return build(model, role, told.shape, told.classes)


def _compared(planned: nn.Module, planned_name: str, tensors: Tensors, role: str) -> tuple[list[str], list[str]]:
    wanted = planned.state_dict()
    unknown = [name for name in tensors if name not in wanted]
    missing = [name for name in wanted if name not in tensors and not name.endswith("num_batches_tracked")]
    wrong = [name for name in wanted if name in tensors and wanted[name].shape != tensors[name].shape]
    right = sum(name in wanted and name not in wrong for name in tensors)
    nearest = f"nearest is {planned_name}, whose names and shapes {right} of its {len(tensors)} tensors have"
    if wrong:
        here, there = list(wanted[wrong[0]].shape), list(tensors[wrong[0]].shape)
        raise DamagedError(
            f"its {role} does not fit: {len(wrong)} tensors have other shapes, such as {wrong[0]}, {there} in place "
            f"of {here}; {nearest}"
        )
    if absent := [name for name in missing if name in dict(planned.named_parameters())]:
        raise DamagedError(f"its {role} lacks {len(absent)} tensors: {', '.join(absent[:5])}; {nearest}")
    return missing, unknown


@torch.no_grad()
def _average(network: Any) -> None:
    source = torch.Generator().manual_seed(0)
    total, count = torch.zeros(network.w_dim, dtype=torch.float64), MEANS_OF
    for _ in range(count // 1000):
        z = torch.randn(1000, network.z_dim, generator=source)
        labels = torch.arange(1000) % network.mapping.classes if network.mapping.classes else None
        total += network.mapping(z, labels).double().sum(0)
    network.mapping.w_avg.copy_(total / count)


def must_be_sane(values: Sequence[Any], depth: int = 0) -> None:
    """Raise DamagedError for numbers and for nested lists that no network has."""
    if depth > LISTS_DEEP or len(values) > LONGEST:
        raise DamagedError("a network with lists in lists in its description is not built")
    for value in values:
        if isinstance(value, (list, tuple)):
            must_be_sane(value, depth + 1)
        elif isinstance(value, (int, float)) and not abs(value) <= LARGEST:
            raise DamagedError(f"a network with the number {value} in its description is not built")


def must_agree(part: Part, **found: Any) -> None:
    """Raise DamagedError where an argument of the constructor is not what the tensors say; lists begin at either end.

    An argument that the file does not tell, or that is nothing, says nothing.
    """
    for name, value in found.items():
        told = part.argument(name)
        shown = plain(told) if is_plain(told) else "neither a number nor a short list of numbers"
        allowed = (value, value[::-1]) if isinstance(value, list) else (value,)
        if told is not None and shown not in allowed:
            raise DamagedError(f"its {name} is {shown!r:.80}, and its tensors say {value}")


def is_script(value: Any) -> bool:
    """Whether it is a module of a TorchScript program."""
    if not isinstance(value, Record) or not isinstance(value.name, Name) or not isinstance(value.state, dict):
        return False
    return value.name.module.split(".")[0] == SCRIPT


def module(record: Any, take: Callable[[Any], Any]) -> Part:
    """A pickled module of torch, of TorchScript or of NVIDIA's persistent ones, and all in it; `take` makes tensors.

    Raises DamagedError.
    """
    name, state = opened(record)
    part = Part(name, {}, dict(state.get("_init_kwargs") or {}))
    first = ("c_dim",) if name == "Discriminator" else ("z_dim", "c_dim", "w_dim")
    named = (*first, "img_resolution", "img_channels")
    part.arguments = dict(zip(named, state.get("_init_args") or (), strict=False)) | part.arguments
    _walk(record, "", part, take, 0)
    return part


def opened(record: Any) -> tuple[str, dict[str, Any]]:
    """(class, state) of a pickled object. Raises DamagedError for something else."""
    if isinstance(record, Record) and record.is_of(PERSISTENT):
        about = record.args[0] if record.args else None
        name, state = (about.get("class_name"), about.get("state")) if isinstance(about, dict) else (None, None)
    elif isinstance(record, Record) and isinstance(record.name, Name):
        name, state = record.name.name, record.state
    else:
        name, state = None, None
    if not isinstance(name, str) or len(name) > LONGEST or not isinstance(state, dict):
        raise DamagedError("something else stands in the place of a network")
    return name, state


def _walk(record: Any, prefix: str, part: Part, take: Callable[[Any], Any], depth: int) -> None:
    if depth > DEEP or len(part.settings) > MANY:
        raise DamagedError("its modules are nested without end")
    _, state = opened(record)
    part.settings[prefix.rstrip(".")] = {
        str(key): plain(value) for key, value in state.items() if is_plain(number_of(value))
    }
    if is_script(record):  # which keeps all parts side by side
        state = {
            "_buffers": {name: value for name, value in state.items() if is_tensor(value)},
            "_modules": {name: value for name, value in state.items() if is_script(value)},
        }
    for kind in ("_parameters", "_buffers"):
        for name, value in _items(state, kind):
            if value is not None:
                part.tensors[f"{prefix}{name}"] = take(value)
    for name, value in _items(state, "_modules"):
        if value is not None:
            _walk(value, f"{prefix}{name}.", part, take, depth + 1)


def _items(state: Mapping[str, Any], kind: str) -> list[tuple[Any, Any]]:
    found = state.get(kind) or {}
    if not isinstance(found, dict):
        raise DamagedError("something else stands in the place of a module's parts")
    if any(not isinstance(name, (str, int)) or len(str(name)) > LONGEST for name in found):
        raise DamagedError("a part of a module has no name, or one without end")
    return list(found.items())


def count(tensors: Mapping[str, Any], pattern: str) -> int:
    """How many parts the names count, by the first group of a pattern at their start."""
    return 1 + max(int(found[1]) for name in tensors if (found := re.match(pattern, name)))


def is_plain(value: Any) -> bool:
    """Whether it is a number, a text, a truth value, nothing, or a short row of these."""
    if isinstance(value, (list, tuple)):
        return len(value) <= 16 and all(isinstance(number_of(v), (int, float, str, bool)) for v in value)
    return value is None or isinstance(value, (int, float, str, bool))


def plain(value: Any) -> Any:
    """A plain value without numpy."""
    value = number_of(value)
    return [number_of(v) for v in value] if isinstance(value, (list, tuple)) else value


def is_state_dict(value: Any) -> bool:
    """Whether it is tensors by name."""
    return isinstance(value, dict) and bool(value) and all(map(is_tensor, value.values()))


def state_dict(value: Mapping[Any, Any], budget: Budget) -> Tensors:
    """Tensors by name, without the prefix of DataParallel; other entries are left out."""
    found = {str(name): tensor_of(tensor, budget) for name, tensor in value.items() if is_tensor(tensor)}
    if found and all(name.startswith("module.") for name in found):
        found = {name.removeprefix("module."): tensor for name, tensor in found.items()}
    return found
