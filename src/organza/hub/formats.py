"""The formats of exported files: how each is written, and run again for the comparison with PyTorch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config

import organza
from organza.config import ConfigError
from organza.hub.graph import Feeds, Graph, Translation, flat, nested, noise_of, transform_of

OPSET = 18
LARGEST = 2 * 10**9  # bytes in one protobuf

Names = tuple[str, ...]
Net = Graph | Translation


def write_torch(graph: Net, arguments: dict[str, Any], path: Path, about: dict[str, str]) -> tuple[Names, Names]:
    """Write a program of torch.export; the names of its inputs, and of those that may be left out."""
    program = _traced(graph, arguments)
    program.example_inputs = None  # they would be stored as a pickle
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files={"organza.json": json.dumps(about, indent=2)})
    return tuple(flat(arguments)), ()


def run_torch(path: Path) -> Callable[[Feeds], Tensor]:
    """The file as a function."""
    with path.open("rb") as file:
        made = torch.export.load(file).module()

    def run(feeds: Feeds) -> Tensor:
        (_, first), *others = nested(feeds).items()
        return made(first, **dict(others))

    return run


def write_onnx(graph: Net, arguments: dict[str, Any], path: Path, about: dict[str, str]) -> tuple[Names, Names]:
    """Write ONNX in one file; the names of its inputs, and of those that may be left out. Raises ConfigError."""
    import onnx
    from onnx import numpy_helper

    size = sum(tensor.numel() * tensor.element_size() for tensor in graph.state_dict().values())
    if size > LARGEST:
        raise ConfigError(f"this generator has {size / 1e9:.1f} GB, and an ONNX file at most 2; type --format torch")
    inputs, output = list(flat(arguments)), "images" if len(json.loads(about["shape"])) == 3 else "points"
    try:
        program = torch.onnx.export(
            _traced(graph, arguments), (), dynamo=True, opset_version=OPSET, input_names=inputs, output_names=[output],
            verbose=False,
        )  # fmt: skip
    except torch.onnx.OnnxExporterError as problem:
        step = re.search(r"OpOverload\(op='(?:\w+\.)?(\w+)'", str(problem))
        raise ConfigError(
            f"{about['recipe']} has a step that ONNX lacks{f' ({step[1]})' if step else ''}; type --format torch"
        ) from None
    assert program is not None
    model = program.model_proto
    defaults = _defaults(graph.generator, inputs) if isinstance(graph, Graph) else {}
    for name, value in defaults.items():  # an input that has a value may be left out
        model.graph.initializer.append(numpy_helper.from_array(value.numpy(), name))
    _name_batches(model, defaults)
    if graph.unit:
        _name_sides(model, float(about["scale"]))
    _forget_source(model)
    onnx.helper.set_model_props(model, about)
    model.producer_name, model.producer_version = "organza", organza.__version__
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return tuple(inputs), tuple(defaults)


def run_onnx(path: Path) -> Callable[[Feeds], Tensor]:
    """The file as a function of onnxruntime's."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda feeds: torch.from_numpy(session.run(None, {k: v.numpy() for k, v in feeds.items()})[0])


def _traced(graph: Net, arguments: dict[str, Any]) -> torch.export.ExportedProgram:
    batch, *free = (torch.export.Dim(name, min=1) for name in ("batch", "rows", "columns"))
    sides = {axis: graph.unit * side for axis, side in enumerate(free, 2)} if graph.unit else {}

    def shape(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(shape, value))
        return {0: batch} | (sides if value.dim() == 4 else {}) if value.dim() else {}

    shapes = {name: shape(value) for name, value in arguments.items()}
    (_, first), *others = arguments.items()
    # A side of one pixel, where a U-Net ends, would else be a size of its own, which the program refuses.
    with _config.patch(backed_size_oblivious=bool(sides)):  # type: ignore[attr-defined]
        program = torch.export.export(graph, (first,), dict(others), dynamic_shapes=shapes, strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def _defaults(generator: nn.Module, inputs: list[str]) -> Feeds:
    """The values that inputs have when they are left out: those of `GAN.sample`."""
    known = {f"noise_{i}": picture[None, None] for i, picture in enumerate(noise_of(generator))}
    known["truncation"] = torch.tensor(1.0)
    if (layers := getattr(generator, "num_ws", None)) is not None:
        known["cutoff"] = torch.tensor(layers)
    if (stored := transform_of(generator)) is not None:
        known["transform"] = stored[None]
    return {name: known[name].contiguous() for name in inputs if name in known}


def _name_batches(model: Any, defaults: Feeds) -> None:
    """Call the batch `batch`, and give optional inputs a batch of their own: it may be 1."""
    del model.graph.value_info[:]  # shapes within, which are found again
    for value in [*model.graph.input, *model.graph.output]:
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].dim_param = f"{value.name}_batch" if value.name in defaults else "batch"


def _name_sides(model: Any, scale: float) -> None:
    """Call the sides of pictures `height` and `width`."""
    (source, *_), (made,) = model.graph.input, model.graph.output
    for value, prefix in ((source, ""), (made, "" if scale == 1 else f"{scale:g}*")):
        for dim, name in zip(value.type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
            dim.dim_param = f"{prefix}{name}"


def _forget_source(model: Any) -> None:
    """Without the paths and lines of this machine that the exporter notes on every node."""
    graph, functions = model.graph, model.functions
    inner = (node for function in functions for node in function.node)
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *functions, *inner):
        del part.metadata_props[:]
        part.doc_string = ""
