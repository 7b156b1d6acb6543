"""The catalogue of networks: one module per paper, each with a `Generator` and a `Discriminator`.

Every generator is built as `Generator(shape, classes, **options)`, has `z_dim`, and maps noise [B, z_dim] (and labels
[B] when `classes` > 0) to samples [B, *shape]: images in [-1, 1] or points. Every discriminator is built as
`Discriminator(shape, classes, **options)` and maps samples (and labels) to logits [B], in two steps: `features` [B,
feature_size], which penalties and other heads may read, and `logits` of them. A network of another form has a
`feature_size` of 0, a tuple of features, or K logits [B, K] for one sample; of several judges in one, `parts` counts
each one's logits. Growing networks have `advance(images)`, and their generators `match(real)`. What a class names in
`plain` is left out of spectral normalisation. A class whose weights are stored as standard normal ones is `equalized`.

A generator of `TRANSLATORS` is built as `Generator(source, shape, classes, **options)`, and maps images of the shape
`source` [B, C, H, W] in [-1, 1] (with noise [B, z_dim], of length 0 where a translator takes none, and labels) to
others. Both sides of what it takes divide by its `multiple`. One that translates `both_ways` by itself takes images of
both kinds side by side on the channels, and has `two_way`.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from typing import TYPE_CHECKING, Any, Literal

from organza.config import Codes, Config, ConfigError, Model, Shape, closest, coerce

if TYPE_CHECKING:
    from torch import nn

MODELS = {
    "mlp": "organza.models.mlp",
    "dcgan": "organza.models.dcgan",
    "resnet": "organza.models.resnet",
    "r3gan": "organza.models.r3gan",
    "progan": "organza.models.progan",
    "stylegan": "organza.models.stylegan",
    "stylegan2": "organza.models.stylegan2",
    "stylegan3": "organza.models.stylegan3",
    "fastgan": "organza.models.fastgan",
    "projected": "organza.models.projected",
    "sngan": "organza.models.sngan",
    "biggan": "organza.models.biggan",
    "biggan-deep": "organza.models.biggan_deep",
}

HALVING = ("resnet", "r3gan", "progan", "stylegan", "stylegan2", "fastgan", "sngan", "biggan", "biggan-deep")
"""Networks that halve images without rounding, down to a base (`organza.layers.geometry.must_shrink`)."""

TRANSLATORS = {
    "pix2pix": "organza.models.pix2pix",
    "pix2pixhd": "organza.models.pix2pixhd",
    "cyclegan": "organza.models.cyclegan",
    "spade": "organza.models.spade",
    "srgan": "organza.models.srgan",
    "esrgan": "organza.models.esrgan",
    "srvgg": "organza.models.srvgg",
    "munit": "organza.models.munit",
    "unit": "organza.models.unit",
    "stargan": "organza.models.stargan",
    "stargan-v2": "organza.models.stargan_v2",
    "animegan": "organza.models.animegan",
    "lama": "organza.models.lama",
    "deepfill": "organza.models.deepfill",
    "colorize": "organza.models.colorize",
}

Role = Literal["generator", "discriminator"]
NO_CODES = Codes()


def complete(model: Model, role: Role) -> Model:
    """The model with every option of its constructor, in order and in its type. Raises ConfigError."""
    hints = _options(model.name, role)
    for key in model.options:
        if key not in hints:
            everywhere = f", and for every network --{key}" if key in Config.__dataclass_fields__ else ""
            raise ConfigError(f"{role} '{model.name}' has no option '{key}'{closest(key, hints, 0.7)}{everywhere}")
    options = {
        key: coerce(model.options.get(key, default), hint, f"{role}.model.{key}")
        for key, (hint, default) in hints.items()
    }
    for key, (hint, default) in hints.items():
        least = 1 if default and key.endswith(("width", "dim")) else 0
        if hint is int and options[key] < min(least, default):
            raise ConfigError(f"{role}.model.{key} is {options[key]}; it takes whole numbers from {least} on")
    return Model(name=model.name, options=options)


def translator(model: Model, source: Shape, shape: Shape, classes: int = 0) -> nn.Module:
    """The generator that translates images of the shape `source` into those of `shape`. Raises ConfigError."""
    if model.name not in TRANSLATORS:
        raise ConfigError(f"'{model.name}' translates no images{closest(model.name, TRANSLATORS)}")
    return _made(model, "generator", source, shape, classes)


def is_two_way(name: str) -> bool:
    """Whether one network of this name translates both ways. Raises ConfigError for an unknown one."""
    return bool(getattr(_network(name, "generator"), "two_way", False))


def reads_by_itself(name: str) -> bool:
    """Whether the discriminator of this name reads classes with a part of its own. Raises ConfigError."""
    return hasattr(_network(name, "discriminator"), "classes_of")


def reads_attributes(name: str, role: Role) -> bool:
    """Whether a network of this name reads several attributes of an image, not only its class. Raises ConfigError."""
    return bool(getattr(_network(name, role), "several", False))


def is_equalized(name: str, role: Role) -> bool:
    """Whether a network of this name stores standard normal weights and scales them as it runs. Raises ConfigError."""
    return bool(getattr(_network(name, role), "equalized", False))


def build(model: Model, role: Role, shape: Shape, classes: int, codes: Codes = NO_CODES) -> nn.Module:
    """The network of one player for samples of `shape` and `classes` labels (0: none). Raises ConfigError.

    `codes` stand in the place of a generator's first numbers of noise.
    """
    if role == "generator" and model.name in TRANSLATORS:
        raise ConfigError(
            f"'{model.name}' starts from images and not from noise; type a recipe of translation, such as pix2pix"
        )
    network = _made(model, role, shape, classes)
    return network if codes == NO_CODES else _coded(network, codes)


def _made(model: Model, role: Role, *arguments: Any) -> nn.Module:
    options = complete(model, role).options
    try:
        return _network(model.name, role)(*arguments, **options)
    except (ArithmeticError, LookupError, RuntimeError) as problem:  # of sizes that no constructor looks for
        told = ", ".join(f"{key} {value}" for key, value in options.items())
        raise ConfigError(f"{role} '{model.name}' cannot be built with {told}: {problem}") from problem


def _coded(generator: nn.Module, codes: Codes) -> nn.Module:
    from organza.layers.codes import Coded

    wanted, noise = sum(codes.categorical) + codes.continuous, int(generator.z_dim)  # type: ignore[arg-type]
    if wanted > noise:
        raise ConfigError(f"codes take {wanted} numbers of the noise, which has {noise}; type "
                          f"--generator.model.z_dim {wanted + 62}")  # fmt: skip
    return Coded(generator, codes.categorical, codes.continuous)


def _network(name: str, role: Role) -> type[nn.Module]:
    known = MODELS | TRANSLATORS
    if name not in known:
        raise ConfigError(f"unknown model '{name}'{closest(name, known)}")
    return getattr(importlib.import_module(known[name]), role.capitalize())


def _options(name: str, role: Role) -> dict[str, tuple[Any, Any]]:
    init = _network(name, role).__init__
    hints = typing.get_type_hints(init)
    parameters = inspect.signature(init).parameters.values()
    return {p.name: (hints[p.name], p.default) for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
