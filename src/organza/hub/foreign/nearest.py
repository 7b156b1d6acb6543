"""Which network of the catalogue weights of an unknown one are nearest to: by the names of tensors and their axes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from organza.config import Model, Shape
from organza.hub.foreign.parts import Tensors
from organza.layers.norm_names import new_names
from organza.layers.planning import planning
from organza.models import translator

LEAST = 0.1  # of the names: fewer are chance
SMALL: tuple[tuple[str, dict[str, Any], Shape, int], ...] = (
    ("cyclegan", {"width": 1}, (1, 8, 8), 0),
    ("cyclegan", {"width": 1, "norm": "batch"}, (1, 8, 8), 0),
    ("cyclegan", {"width": 1, "antialias": True}, (1, 8, 8), 0),
    ("pix2pix", {"width": 1}, (1, 256, 256), 0),
    ("pix2pixhd", {"width": 2}, (1, 32, 32), 0),
    ("pix2pixhd", {"width": 2, "local": True}, (1, 64, 64), 0),
    ("spade", {"width": 1, "hidden": 1}, (1, 32, 32), 0),
    ("stargan", {"width": 1}, (1, 8, 8), 2),
    ("stargan-v2", {"width": 1, "downs": 4, "mapping_width": 1, "style_dim": 1}, (1, 256, 256), 2),
    ("munit", {"width": 1, "mlp_width": 1}, (2, 16, 16), 0),
    ("unit", {"width": 1}, (2, 16, 16), 0),
    ("animegan", {"width": 1}, (1, 8, 8), 0),
    ("lama", {"width": 1}, (2, 16, 16), 0),
    ("srgan", {"width": 1}, (1, 8, 8), 0),
    ("esrgan", {"width": 1, "growth": 1}, (1, 8, 8), 0),
    ("srvgg", {"width": 1}, (1, 8, 8), 0),
)  # fmt: skip


def words(tensors: Tensors) -> str:
    """`; nearest is …` with the share of the file's tensors that have a place there; nothing where it is chance."""
    axes = {name: tensor.dim() for name, tensor in new_names(tensors).items()}
    found = [(sum(axes.get(name) == dim for name, dim in known.items()), name) for name, known in _catalogue()]
    fits, nearest = max(found, key=lambda pair: pair[0])
    if fits < LEAST * len(axes):
        return ""
    return f"; nearest is {nearest}, where {fits} of its {len(axes)} tensors ({fits / len(axes):.0%}) have a place"


def _catalogue() -> Iterator[tuple[str, dict[str, int]]]:
    """Networks as published, but thin, which changes no name: the axes of each tensor."""
    for name, options, source, classes in SMALL:
        scale = 4 if name in ("srgan", "esrgan", "srvgg") else 1
        shape = (source[0] - (name == "lama"), source[1] * scale, source[2] * scale)
        with planning():
            made = translator(Model(name=name, options=options), source, shape, classes)
        yield name, {key: tensor.dim() for key, tensor in made.state_dict().items()}
