"""Untrained GANs of any model, small enough for a test; the helpers of the parts wake in them what they test."""

import torch

from organza.config import Codes, Model
from organza.hub import GAN
from organza.models import build, complete


def untrained(
    name: str, small: dict, stages: tuple[int, ...], classes: tuple[str, ...], shape, *, seed=0, codes=None, recipe="",
    training=None, sha256="", **options,
) -> GAN:  # fmt: skip
    """In evaluation mode, with those of the options `small` that the model has, and weights of a seed."""
    torch.manual_seed(seed)
    known = complete(Model(name=name), "generator").options
    chosen = {key: value for key, value in small.items() if key in known}
    if "widths" in known:
        chosen["widths"] = stages
    model = complete(Model(name=name, options=chosen | options), "generator")
    network = build(model, "generator", shape, len(classes), codes or Codes()).eval().requires_grad_(False)
    return GAN(network, model, shape, classes, recipe or name, training or {}, sha256, codes=codes or Codes())
