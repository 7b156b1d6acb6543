"""A generator as one file that other programs run: ONNX for onnxruntime and browsers, or torch's own `.pt2`.

Inputs are `z` [B, z_dim] and, where the GAN has classes, `label` int64 [B]. A generator with w also takes `truncation`
[], the share psi of the way from the mean w to w; that of other generators is a cut of the noise, which the caller
makes (docs/export.md), because ONNX has no quantile function. In ONNX `truncation`, its `cutoff` int64 [] (the number
of layers, from the first on, that it is for), the noise pictures `noise_i` [B or 1, 1, h, w] and StyleGAN3's
`transform` [B or 1, 3, 3] may be left out: they then have the values of `GAN.sample`. A program of torch has no inputs
that may be left out: a `.pt2` file needs its `truncation` and holds the others, or needs all of them, where it was
asked for `every_input`, `noise` as a tuple of [B, 1, h, w]. Any batch size fits.

A translator takes `source` [B, C, H, W] in [-1, 1], whose sides are multiples of what the metadata say, and `z` and
`label` where it has them.

A growing network is exported at the stage that it has reached. No file is left that does not compute what PyTorch does.
"""

from __future__ import annotations

import copy
import importlib
import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

import organza
from organza.config import ConfigError, closest
from organza.hub.formats import run_onnx, run_torch, write_onnx, write_torch
from organza.hub.gan import GAN
from organza.hub.graph import Feeds, Graph, Translation, example, flat, has_psi, noise_of, one_way, pictures
from organza.hub.translator import Translator
from organza.latent.sampling import generate
from organza.latent.space import LatentSpace
from organza.layers.spectral import without_spectral_norm
from organza.training.batches import to_bytes

Format = Literal["onnx", "torch"]
SUFFIXES: dict[str, str] = {"onnx": ".onnx", "torch": ".pt2"}
TOLERANCE = 1e-4  # of the numbers of a sample, which are about 1
TRACED, CHECKED = 3, (1, 3, 5)  # batch sizes
SEEDS = "sample i of seed s: z[i] = numpy.random.RandomState(s).randn(1, z_dim)[0] as float32"
ORIGIN = ("file", "started_from", "source_licence")  # of weights that another training made, or began
BYTES = "clamp(127.5 x + 128, 0, 255), truncated"


class ParityError(ValueError):
    """An exported file computes something else than the GAN that it was made of."""


@dataclass(frozen=True)
class Exported:
    """The file that was written, what it takes, and how far it is from PyTorch at most."""

    path: Path
    format: Format
    inputs: tuple[str, ...]
    optional: tuple[str, ...]  # of the inputs: those that may be left out
    difference: float


def export(
    gan: GAN | Translator, path: str | Path, format: Format = "onnx", *, pixels: bool = False, reverse: bool = False,
    every_input: bool = False, licence: str | None = None, tolerance: float = TOLERANCE,
) -> Exported:  # fmt: skip
    """Write `gan` to `path` as `onnx` or `torch`, and compare it with PyTorch at batches of 1, 3 and 5.

    Its output is float32 [B, *shape], about [-1, 1]; with `pixels` uint8 [B, C, H, W] as of `GAN.sample`. `reverse` is
    the way from B to A of a translator that knows both, `every_input` gives a program of torch the inputs that ONNX has
    in any case, and `licence` is that of the weights. Raises ConfigError for another format, for a way that was not
    learned, for inputs that are not to be had, without the extra and for a file that cannot be written, and
    ParityError, leaving nothing, when a number differs by more than `tolerance` (times the largest number, where that
    is above 1).
    """
    if format not in get_args(Format):
        raise ConfigError(f"format is '{format}'{closest(str(format), get_args(Format))}")
    if pixels and len(gan.shape) != 3:
        raise ConfigError("points have no pixels; leave pixels out")
    if reverse and not (isinstance(gan, Translator) and gan.both_ways):
        raise ConfigError(f"'{gan.recipe}' has learned one way only; leave out reverse")
    if every_input:
        _must_have_more(gan, format)
    _must_be_installed(format)
    gan, path = _prepared(gan, reverse), Path(path)
    graph = Translation(gan, pixels) if isinstance(gan, Translator) else Graph(gan.generator, pixels)
    about = metadata(gan, pixels, licence) | ({"multiple": str(graph.unit)} if graph.unit else {})
    write, runner = (write_onnx, run_onnx) if format == "onnx" else (write_torch, run_torch)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _quiet():
            every = every_input or format == "onnx"
            inputs, optional = write(graph, _inputs(gan, graph, TRACED, every), partial, about)
            feeds = {batch: flat(_inputs(gan, graph, batch, True)) for batch in CHECKED}
            difference = parity(gan, runner(partial), feeds, inputs, optional, pixels, tolerance)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return Exported(path, format, inputs, optional, difference)


def _must_have_more(gan: GAN | Translator, format: Format) -> None:
    if format == "onnx":
        raise ConfigError("an ONNX file has every input in any case; leave out every_input")
    if not (isinstance(gan, GAN) and has_psi(gan.generator)):
        raise ConfigError(f"'{gan.recipe}' has no w, noise pictures or transform; leave out every_input")


def _inputs(gan: GAN | Translator, graph: Graph | Translation, batch: int, every: bool) -> dict[str, Any]:
    if isinstance(gan, GAN):
        return example(gan, batch, every)
    return pictures(gan, batch, as_trained=not graph.unit)


def metadata(gan: GAN | Translator, pixels: bool = False, licence: str | None = None) -> dict[str, str]:
    """What a file says of itself; no path and no user name."""
    data = gan.training.get("data") or {}
    return (
        {
            "organza": organza.__version__,
            "recipe": gan.recipe,
            "weights_sha256": gan.sha256 or "in memory",
            "licence": licence or gan.licence or str(gan.training.get("licence") or "not stated"),
            "data": re.split(r"[/\\]", str(data.get("name") or "not stated"))[-1],
            "data_licence": str(data.get("licence") or "not stated"),
            "shape": json.dumps(list(gan.shape)),
            "classes": json.dumps(list(gan.classes)),
            "z_dim": str(gan.generator.z_dim),
            "range": "[0, 255]" if pixels else "[-1, 1]" if len(gan.shape) == 3 else "none: points",
            "seeds": SEEDS,
            "pixels": BYTES,
            "digital_source_type": "trainedAlgorithmicMedia",
        }
        | _of_kind(gan)
        | {name: str(gan.training[name]) for name in ORIGIN if gan.training.get(name)}
    )


def _of_kind(gan: GAN | Translator) -> dict[str, str]:
    if isinstance(gan, GAN):
        return {"truncation": "the input, psi" if has_psi(gan.generator) else "of the noise, before it comes in"}
    planes = {"layout_classes": str(gan.layout_classes)} if gan.layout_classes else {}
    return {"source": json.dumps(list(gan.source)), "scale": f"{gan.scale:g}"} | planes


def parity(
    gan: GAN | Translator, run: Callable[[Feeds], Tensor], given: Mapping[int, Feeds], inputs: tuple[str, ...],
    optional: tuple[str, ...], pixels: bool, tolerance: float = TOLERANCE,
) -> float:  # fmt: skip
    """The largest difference between the file that `run` runs and the GAN, at every batch that is `given`.

    What is optional is left out of the first batch, and given to the others. Raises ParityError.
    """
    worst = 0.0
    for batch, every in given.items():
        left_out = optional if batch == CHECKED[0] else ()
        feeds = {name: value for name, value in every.items() if name in inputs and name not in left_out}
        wanted, found = expected(gan, feeds), run(feeds)
        limit = tolerance * max(1.0, float(wanted.abs().max()))
        if pixels:
            wanted, limit = to_bytes(wanted), 1.0  # a rounding may fall to either side
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            raise ParityError(f"the exported file makes {list(found.shape)} {found.dtype} for a batch of {batch}, and "
                              f"PyTorch {list(wanted.shape)} {wanted.dtype}; nothing was written")  # fmt: skip
        difference = float((found.double() - wanted.double()).abs().max())
        if not difference <= limit:  # nor is NaN
            raise ParityError(f"the exported file differs from PyTorch by {difference:.3g} at a batch of {batch} "
                              f"(allowed: {limit:.3g}); nothing was written")  # fmt: skip
        worst = max(worst, difference)
    return worst


@torch.no_grad()
def expected(gan: GAN | Translator, feeds: Feeds) -> Tensor:
    """What the GAN itself makes of the inputs of a file, float32."""
    if isinstance(gan, Translator):
        return gan.generator(feeds["source"], feeds.get("z"), feeds.get("label"))
    z, label = feeds["z"], feeds.get("label")
    if feeds.keys() <= {"z", "label"}:
        return generate(gan.generator, z, label)
    space = LatentSpace(gan.generator)
    cutoff = int(feeds["cutoff"]) if "cutoff" in feeds else None
    codes = space.codes(z, label, psi=float(feeds["truncation"]), cutoff=cutoff)
    noise = [value for name, value in feeds.items() if name.startswith("noise_")]
    turned: dict[str, Any] = {name: value for name, value in feeds.items() if name == "transform"}
    return space.draw(codes, noise=noise or "const", **turned)


def _prepared(gan: GAN | Translator, reverse: bool) -> GAN | Translator:
    """A copy on the CPU, folded, in evaluation mode, that has read how far it has grown; of a translator one way."""
    generator = copy.deepcopy(without_spectral_norm(gan.generator)).cpu().float().eval().requires_grad_(False)
    if isinstance(gan, Translator):
        return one_way(replace(gan, generator=generator), reverse)
    noise_of(generator)
    return replace(gan, generator=generator)


def _must_be_installed(format: Format) -> None:
    for name in ("onnx", "onnxscript", "onnxruntime") if format == "onnx" else ():
        try:
            importlib.import_module(name)
        except ImportError:
            raise ConfigError(f'ONNX needs {name}, of the extra export; type: pip install "organza[export]"') from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on themselves."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
