"""Restoration networks in ncnn's form: `NAME.param`, the graph as text, and `NAME.bin`, the weights without names.

The official Real-ESRGAN networks are published so, too. The graph must be exactly that of a network of the catalogue,
operation by operation from the result back to the input, which also says which weights are which; others are refused.
In the .bin each convolution has a tag (float16 or float32), its weights, padded to four bytes, and float32 biases;
each PReLU has float32 slopes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from organza.config import Model
from organza.hub.foreign.parts import LARGEST, Described, Tensors
from organza.models.esrgan import SHRINK, SLOPE
from organza.training.checkpoint import DamagedError

MAGIC = "7767517"
HALF, SINGLE = 0x01306B47, 0  # tags of a convolution's weights
LONGEST, MOST = 4_000_000, 20_000  # characters of a .param, operations in it
LICENCE = "unknown; the official Real-ESRGAN networks are BSD-3-Clause"
SIDE = 64  # of the source that is written down; the networks take any
READ = "the RRDBNet of ESRGAN and Real-ESRGAN (x4) and SRVGGNetCompact"
ABOUT = {
    "Convolution": {2: 1, 3: 1, 7: 1, 8: 0, 9: 0, 12: 1, 13: 1, 18: 0}, "Interp": {3: 0, 4: 0, 6: 0},
    "BinaryOp": {0: 0, 1: 0}, "PixelShuffle": {1: 0}, "Concat": {0: 0}, "PReLU": {}, "Eltwise": {}, "Input": {},
    "Split": {}, "ReLU": {0: 0.0},
}  # fmt: skip
"""The operations that are read, and those of their settings that may be given with the value they have by default."""
NEAREST, CUBIC = 1, 3  # kinds of Interp
SUM, LEAKY = 1, 2  # kinds of Eltwise and of activation

Settings = dict[int, Any]


@dataclass(frozen=True)
class Operation:
    """One step of a graph; `inputs` are the numbers of earlier ones."""

    kind: str
    settings: Settings
    inputs: tuple[int, ...]


@dataclass
class Graph:
    """Operations, each behind those that it needs; the last one gives the result."""

    operations: list[Operation] = field(default_factory=lambda: [Operation("Input", {}, ())])

    def add(self, kind: str, settings: Settings, *inputs: int) -> int:
        """Its number."""
        self.operations.append(Operation(kind, settings, inputs))
        return len(self.operations) - 1

    def conv(self, source: int, before: int, after: int, active: bool = False) -> int:
        """A 3x3 convolution, with a leaky ReLU if `active`."""
        activation = {9: LEAKY, 10: (SLOPE,)} if active else {}
        return self.add("Convolution", {0: after, 1: 3, 4: 1, 5: 1, 6: 9 * before * after} | activation, source)

    def of(self, *kinds: str) -> list[Operation]:
        """The operations of these kinds, in order."""
        return [operation for operation in self.operations if operation.kind in kinds]


def is_model(path: Path) -> bool:
    """Whether it is one of the two files of a network in ncnn's form."""
    param = path.with_suffix(".param")
    if path.suffix not in (".bin", ".param") or not param.is_file():
        return False
    with param.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC.encode()


def restorer(path: Path) -> tuple[str, Described]:
    """(what it is, the network) of NAME.bin or NAME.param, whichever was named.

    Raises FileNotFoundError without the other file, and DamagedError for a graph that no network of the catalogue has
    and for weights of another size.
    """
    param, weights = path.with_suffix(".param"), path.with_suffix(".bin")
    if not weights.is_file():
        raise FileNotFoundError(f"{param} has no weights beside it: {weights.name} is missing")
    if param.stat().st_size > LONGEST:
        raise DamagedError(f"its graph has {param.stat().st_size:,} bytes; those that are read have some thousands")
    graph = parsed(param.read_text("utf-8"))
    kind, told, planned, names = _recognised(graph)
    place = _matched(graph, planned)
    blocks = _blocks(graph, weights.read_bytes())
    tensors: Tensors = {}
    ours = [number for number, one in enumerate(planned.operations) if one.kind in ("Convolution", "PReLU")]
    for name, number in zip(names, ours, strict=True):
        tensors |= _named(name, planned.operations[number], blocks[place[number]])
    return kind, Described(told.model, told.shape, 0, tensors, told.source)


def parsed(text: str) -> Graph:
    """The graph of a .param, with `Split` left out and `ReLU` joined to its convolution. Raises DamagedError."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 3 or lines[0] != [MAGIC] or len(lines) - 2 > MOST:
        raise DamagedError("its .param does not begin as ncnn's do, or has too many lines")
    if len(lines[1]) != 2 or lines[1][0] != str(len(lines) - 2):
        raise DamagedError("its .param has another number of lines than it says")
    graph, blobs = Graph([]), dict[str, int]()
    for words in lines[2:]:
        _take(words, graph, blobs)
    if len(blobs) != 1 or list(blobs.values()) != [len(graph.operations) - 1]:
        raise DamagedError("its graph has no single result at its end")
    return graph


def _take(words: list[str], graph: Graph, blobs: dict[str, int]) -> None:
    """One line: kind, name, numbers of inputs and results, their names, settings. Every blob is used once."""
    kind, ins, outs = words[0], _whole(words, 2), _whole(words, 3)
    if kind not in ABOUT:
        raise DamagedError(f"its graph has the operation {kind:.40}; only {READ} are read")
    names, rest = words[4 : 4 + ins + outs], words[4 + ins + outs :]
    if len(names) != ins + outs or any(name not in blobs for name in names[:ins]):
        raise DamagedError(f"an operation {kind} of its graph lacks an input")
    inputs, settings = tuple(blobs.pop(name) for name in names[:ins]), _settings(kind, rest)
    if kind == "Split" and ins == 1:
        made = inputs[0]
    elif kind == "ReLU" and ins == 1 and (before := graph.operations[inputs[0]]).kind == "Convolution":
        made = inputs[0]
        if made in blobs.values() or 9 in before.settings:
            raise DamagedError("a ReLU of its graph stands where these networks have none")
        graph.operations[made] = Operation(
            before.kind, before.settings | {9: LEAKY, 10: (settings.get(0, 0.0),)}, before.inputs
        )
    else:
        made = graph.add(kind, {} if kind == "Input" else settings, *inputs)
    if len(set(names[ins:])) != outs or (outs != 1 and kind != "Split") or blobs.keys() & set(names[ins:]):
        raise DamagedError(f"an operation {kind} of its graph has other results than it should")
    blobs |= dict.fromkeys(names[ins:], made)


def _whole(words: list[str], place: int) -> int:
    if len(words) <= place or not words[place].isdecimal() or len(words[place]) > 5:
        raise DamagedError("a line of its .param is damaged")
    return int(words[place])


def _settings(kind: str, words: list[str]) -> Settings:
    """`0=64` is a number, `-23310=1,0.2` a row of one for the key 10. Without those that say what is so anyway."""
    found: Settings = {}
    for word in words:
        key, equals, value = word.partition("=")
        try:
            number = int(key)
            row = [float(part) for part in value.split(",")]
        except ValueError:
            raise DamagedError(f"a setting of its {kind} is damaged: {word:.40}") from None
        is_row = number <= -23300
        if not equals or (is_row and row[0] != len(row) - 1) or (not is_row and len(row) != 1):
            raise DamagedError(f"a setting of its {kind} is damaged: {word:.40}")
        if not all(abs(one) <= LARGEST**2 for one in row):
            raise DamagedError(f"a setting of its {kind} is out of bounds: {word:.40}")
        found[-23300 - number if is_row else number] = tuple(row[1:]) if is_row else row[0]
    if kind == "Convolution" and found.get(11) == found.get(1):
        found.pop(11, None)
    return {key: value for key, value in found.items() if key not in ABOUT[kind] or ABOUT[kind][key] != value}


def _recognised(graph: Graph) -> tuple[str, Described, Graph, list[str]]:
    """(its name, its form, the graph that it must have, a name for each of its convolutions and PReLUs)."""
    convolutions = graph.of("Convolution")
    if not convolutions:
        raise DamagedError(f"its graph has no convolution; only {READ} are read")
    width, result = _int(convolutions[0], 0), _int(convolutions[-1], 0)
    channels = _int(convolutions[0], 6) // (9 * width) if width else 0
    if not (0 < width <= 4096 and 0 < channels <= 64 and 0 < result <= 4096):
        raise DamagedError("its graph has a convolution without channels")
    if shuffles := graph.of("PixelShuffle"):
        return _compact(graph, width, channels, _int(shuffles[0], 0))
    blocks = (len(convolutions) - 6) // 15
    growth = _int(convolutions[1], 0) if blocks > 0 else 0
    if growth < 1 or growth > 4096:
        raise DamagedError(f"its graph is none of {READ}")
    model = Model(name="esrgan", options={"width": width, "blocks": blocks, "growth": growth})
    told = Described(model, (result, 4 * SIDE, 4 * SIDE), 0, {}, (channels, SIDE, SIDE))
    names = [f"body.{i}.rdb{j}.conv{k}" for i in range(blocks) for j in (1, 2, 3) for k in range(1, 6)]
    names = ["conv_first", *names, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]
    return "RRDBNet x4 in ncnn's form", told, dense_graph(channels, result, width, blocks, growth), names


def _compact(graph: Graph, width: int, channels: int, factor: int) -> tuple[str, Described, Graph, list[str]]:
    depth, last = len(graph.of("PReLU")) - 1, graph.operations[-1]
    share = last.settings.get(1) if last.kind == "Interp" else 1.0
    scale = round(factor * share) if isinstance(share, float) else 0
    if depth < 0 or factor not in (1, 2, 3, 4, 8) or not 1 <= scale <= factor or scale != factor * (share or 0):
        raise DamagedError(f"its graph is none of {READ}")
    model = Model(name="srvgg", options={"width": width, "depth": depth, "shuffle": factor})
    told = Described(model, (channels, scale * SIDE, scale * SIDE), 0, {}, (channels, SIDE, SIDE))
    names = [f"body.{i}" for i in range(2 * depth + 3)]
    return f"SRVGGNetCompact x{scale} in ncnn's form", told, compact_graph(channels, width, depth, factor, scale), names


def compact_graph(channels: int, width: int, depth: int, factor: int, scale: int) -> Graph:
    """That of `organza.models.srvgg`."""
    graph, x = Graph(), 0
    for i in range(depth + 1):
        x = graph.conv(x, width if i else channels, width)
        x = graph.add("PReLU", {0: width}, x)
    x = graph.add("PixelShuffle", {0: factor}, graph.conv(x, width, channels * factor**2))
    x = graph.add("BinaryOp", {}, x, graph.add("Interp", {0: NEAREST, 1: factor, 2: factor}, 0))
    if scale != factor:
        graph.add("Interp", {0: CUBIC, 1: scale / factor, 2: scale / factor}, x)
    return graph


def dense_graph(channels: int, result: int, width: int, blocks: int, growth: int) -> Graph:
    """That of `organza.models.esrgan` at four times the size."""
    graph = Graph()
    first = x = graph.conv(0, channels, width)
    for _ in range(blocks):
        before = x
        for _ in range(3):
            seen, count = [x], width
            for _ in range(4):
                source = graph.add("Concat", {}, *seen) if len(seen) > 1 else x
                seen.append(graph.conv(source, count, growth, active=True))
                count += growth
            last = graph.conv(graph.add("Concat", {}, *seen), count, width)
            x = graph.add("Eltwise", {0: SUM, 1: (SHRINK, 1.0)}, last, x)
        x = graph.add("Eltwise", {0: SUM, 1: (SHRINK, 1.0)}, x, before)
    x = graph.add("BinaryOp", {}, first, graph.conv(x, width, width))
    for _ in range(2):
        x = graph.conv(graph.add("Interp", {0: NEAREST, 1: 2, 2: 2}, x), width, width, active=True)
    graph.conv(graph.conv(x, width, width, active=True), width, result)
    return graph


def _matched(found: Graph, planned: Graph) -> dict[int, int]:
    """The number in `found` of every operation of `planned`. Raises DamagedError for graphs that differ."""
    place = dict[int, int]()
    open_pairs = [(len(planned.operations) - 1, len(found.operations) - 1)]
    while open_pairs:
        ours, theirs = open_pairs.pop()
        if place.setdefault(ours, theirs) != theirs:
            raise DamagedError(f"its graph is wired otherwise than {READ}")
        one, other = planned.operations[ours], found.operations[theirs]
        if one.kind != other.kind or len(one.inputs) != len(other.inputs) or not _equal(one.settings, other.settings):
            raise DamagedError(f"its graph is none of {READ}: it has {_told(other)} in place of {_told(one)}")
        pairs = zip(one.inputs, other.inputs, strict=True)
        open_pairs += [pair for pair in pairs if place.get(pair[0]) != pair[1]]
    if len(set(place.values())) != len(found.operations):
        raise DamagedError("its graph has operations that do not lead to the result")
    return place


def _equal(ours: Settings, theirs: Settings) -> bool:
    if ours.keys() != theirs.keys():
        return False
    rows = [np.atleast_1d(side[key]) for key in ours for side in (ours, theirs)]
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return all(a.shape == b.shape and bool(np.all(np.abs(a - b) <= 1e-6 * np.abs(a))) for a, b in pairs)


def _told(one: Operation) -> str:
    return f"{one.kind} ({', '.join(f'{key}={value}' for key, value in sorted(one.settings.items()))})"


def _blocks(graph: Graph, content: bytes) -> dict[int, list[np.ndarray]]:
    """Weights and biases, or slopes, by the number of the operation. Raises DamagedError for another size in bytes."""
    blocks, place = dict[int, list[np.ndarray]](), 0
    for number, one in enumerate(graph.operations):
        if one.kind not in ("Convolution", "PReLU"):
            continue
        blocks[number] = []
        if one.kind == "Convolution":
            (tag,) = struct.unpack_from("<I", _piece(content, place, 4))
            if tag not in (HALF, SINGLE):
                raise DamagedError(f"its weights have the tag {tag:#x}; float16 and float32 are read, no others")
            count, form = _int(one, 6), "<f2" if tag == HALF else "<f4"
            size = count * (2 if tag == HALF else 4)
            blocks[number].append(np.frombuffer(_piece(content, place + 4, size), form))
            place += 4 + -(-size // 4) * 4
        piece = _piece(content, place, 4 * _int(one, 0))
        blocks[number].append(np.frombuffer(piece, "<f4"))
        place += len(piece)
    if place != len(content):
        raise DamagedError(f"its weights have {len(content):,} bytes; this graph needs {place:,}")
    return blocks


def _piece(content: bytes, place: int, size: int) -> bytes:
    if place + size > len(content):
        raise DamagedError(f"its weights end too early: {len(content):,} bytes, and this graph needs more")
    return content[place : place + size]


def _named(name: str, one: Operation, block: list[np.ndarray]) -> Tensors:
    rows = [torch.from_numpy(values.astype(np.float32)) for values in block]
    if one.kind == "PReLU":
        return {f"{name}.weight": rows[0]}
    return {f"{name}.weight": rows[0].view(one.settings[0], -1, 3, 3), f"{name}.bias": rows[1]}


def _int(one: Operation, key: int) -> int:
    value = one.settings.get(key)
    if not isinstance(value, (int, float)) or value != int(value) or value < 0:
        raise DamagedError(f"its graph has a damaged {one.kind}")
    return int(value)
