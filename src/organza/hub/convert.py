"""From a file of another project to a model folder: safetensors, config.json, an honest card, the discriminator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from organza.config import ConfigError, to_dict
from organza.hub.card import model_card
from organza.hub.contents import Contents, opened
from organza.hub.foreign import Foreign, ncnn, read
from organza.hub.foreign.parts import PERSISTENT, is_plain, module, plain
from organza.hub.gan import GAN, save
from organza.hub.judge import save_judge
from organza.hub.loading import made_of
from organza.hub.records import Record, hostile, printable
from organza.hub.tensors import is_tensor, shape_of
from organza.hub.translator import Translator
from organza.hub.translator import save as save_translator
from organza.reporter import Reporter, Silent
from organza.training.checkpoint import DamagedError

DEEP, LONG = 2, 24  # of a listing: dicts in each other, entries of one
Lines = list[tuple[str, str]]


def convert(path: str | Path, out: str | Path, licence: str = "", reporter: Reporter | None = None) -> Foreign:
    """Write the networks of a foreign file as a folder that `organza.load` and `--start` take; what was found.

    The folder gets the generator with its card, and `discriminator/` where the file has one that fits. `licence` is
    that of the weights. Raises as `organza.hub.foreign.read`, ConfigError when `out` holds a GAN already, and OSError.
    """
    path, out, reporter = Path(path), Path(out), reporter or Silent()
    if (out / "config.json").exists() or out.is_file():
        raise ConfigError(f"{out} is there already and is not overwritten; choose another folder")
    reporter.step(f"converting {path.name}, step", 1, 3)
    found = read(path)
    if found.generator is None:
        raise DamagedError(f"{path} holds a discriminator and no generator; type: organza train --start {path}")
    reporter.step(f"converting {path.name}, step", 2, 3)
    made = replace(made_of(found), licence=licence or found.licence)
    found = replace(found, licence=made.licence)
    if isinstance(made, Translator):
        save_translator(made, out, _card(found, made))
    else:
        save(made, out, _card(found, made))
    if found.discriminator is not None:
        about = {"discriminator": to_dict(found.discriminator.model), "shape": list(found.shape),
                 "classes": found.classes, "licence": found.licence}  # fmt: skip
        save_judge(out, about, found.discriminator.tensors)
    return found


def listing(path: str | Path) -> Lines:
    """What a file holds, whatever it is: its form, what it would call, whether it is refused for that, its networks.

    Nothing is executed. Raises FileNotFoundError, and DamagedError for a file that cannot be read as a pickle at all.
    """
    if ncnn.is_model(Path(path)):
        return report(read(path))
    contents = opened(Path(path))
    lines = [("file", f"{path} ({contents.size:,} bytes, {contents.form})")]
    bad = hostile(contents.names)
    for name, count in sorted(contents.names.items()):
        lines.append(("calls" if name not in bad else "HOSTILE", f"{name} ({count:,} times)"))
    if bad:
        lines.append(("REFUSED", "Organza loads, converts and starts from no file that would call this; nothing of it "
                      "was executed; do not open it with other programs"))  # fmt: skip
    try:
        lines += _entries(contents, contents.value, "", 0)
    except DamagedError as problem:
        raise DamagedError(f"{path} cannot be listed: {printable(str(problem))}") from None
    return [(printable(key), printable(words)) for key, words in lines]


def report(found: Foreign) -> Lines:
    """What became of a file: the networks, what it lacks and what is left over."""
    size = "x".join(str(side) for side in found.shape)
    if found.source:
        scale = found.shape[1] / found.source[1]
        what = f", {scale:g} times as large" if scale != 1 else f" into {found.shape[0]}"
        size = f"pictures of {found.source[0]} channels{what}"
    labels = f", {found.classes} classes" if found.classes else ""
    lines = [("found", f"{found.kind}: {size}{labels}")]
    for name, network in (("generator", found.generator), ("discriminator", found.discriminator)):
        if network is not None:
            total = sum(tensor.numel() for tensor in network.tensors.values())
            lines.append((name, f"{network.model.name}, {len(network.tensors)} tensors, {total:,} numbers"))
            lines += [("missing", f"{_some(network.missing)}: as built")] if network.missing else []
            lines += [("unused", _some(network.unknown))] if network.unknown else []
    lines += [("note", note) for note in found.notes]
    return [(key, printable(words)) for key, words in [*lines, ("licence", found.licence)]]


def _card(found: Foreign, made: GAN | Translator) -> str:
    counts = {
        name: sum(t.numel() for t in network.tensors.values())
        for name, network in (("generator", found.generator), ("discriminator", found.discriminator))
        if network is not None
    }
    data = {"name": "unknown data", "catalogue": "", "shape": list(found.shape), "classes": found.classes}
    told = found.training.get("data")
    data |= {"name": told["name"]} if isinstance(told, dict) else {}
    info = {
        "recipe": found.name, "licence": found.licence, "parameters": counts, "data": data,
        "origin": made.training["origin"], "source_licence": made.training["source_licence"],
        "images": found.training.get("images"), "conditional": bool(found.classes),
    } | ({"scale": made.scale, "use": made.use} if isinstance(made, Translator) else {})  # fmt: skip
    return model_card(info, draft=True)


def _entries(contents: Contents, value: Any, place: str, depth: int) -> Lines:
    """A line for each network, state dict and plain value in dicts and tuples."""
    if isinstance(value, Record) and not is_tensor(value):
        return [_network(value, place)]
    if isinstance(value, Mapping) and value and all(map(is_tensor, value.values())):
        shapes = [shape_of(tensor) for tensor in value.values()]
        return [(place or "value", f"{len(shapes)} tensors, {sum(map(math.prod, shapes)):,} numbers")]
    if depth < DEEP and isinstance(value, (Mapping, tuple, list)) and value:
        pairs = islice(value.items() if isinstance(value, Mapping) else enumerate(value), LONG)
        lines = [line for key, inner in pairs for line in _entries(contents, inner, _at(place, key), depth + 1)]
        return lines + ([(place or "value", f"and {len(value) - LONG} more")] if len(value) > LONG else [])
    if isinstance(value, Record):
        return [(place, f"tensor {list(shape_of(value))}")]
    return [(place or "value", f"{plain(value)!r:.80}" if is_plain(value) else f"a {type(value).__name__}")]


def _network(record: Record, place: str) -> tuple[str, str]:
    try:
        part = module(record, shape_of)
    except DamagedError:
        return place or "value", f"an object {record.name}" if record.name else "the result of a call"
    total = sum(math.prod(shape) for shape in part.tensors.values())
    told = {name: value for name, value in part.arguments.items() if is_plain(value) or isinstance(value, dict)}
    arguments = f", made with {_shown(told)}" if told else ""
    kept = " (its code is in the file and was not run)" if record.is_of(PERSISTENT) else ""
    return place, f"{part.name}{kept}: {len(part.tensors)} tensors, {total:,} numbers{arguments}"


def _shown(told: Mapping[Any, Any], depth: int = 0) -> str:
    parts = []
    for name, value in list(told.items())[:LONG]:
        if isinstance(value, dict) and depth < DEEP:
            parts.append(f"{name!s:.40}({_shown(value, depth + 1)})")
        elif is_plain(value):
            parts.append(f"{name!s:.40}={plain(value)!r:.60}")
    return ", ".join(parts)


def _at(place: str, key: Any) -> str:
    return f"{place}.{key}".strip(".")[:80]


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
