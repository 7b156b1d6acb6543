"""State dicts of networks that translate images, as their official code writes them: sizes are read off the shapes.

    pix2pix, CycleGAN   model.model.0 (U-Net), model.1 … model.10.conv_block.1 … (residual); `*_net_G*.pth`
    CUT                 the residual one with low-pass filters, model.7.filt
    pix2pixHD           the residual one with other halvings; with a local enhancer model1_1, model1_2
    others              see `domains`, `lama` and `spade` beside this file

Instance norm learns nothing; what old files keep of its statistics was never read, and is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from organza.config import Model
from organza.hub.foreign import domains, judges, lama, spade
from organza.hub.foreign.parts import (
    UNKNOWN,
    Described,
    Tensors,
    is_script,
    is_state_dict,
    module,
    state_dict,
)
from organza.hub.foreign.restorers import WRAPPERS
from organza.hub.records import Budget
from organza.hub.tensors import tensor_of
from organza.training.checkpoint import DamagedError

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
TESTED = (
    "official code tests with dropout and with the statistics of each picture (its --eval is off); here there is no "
    "dropout, and the stored averages count"
)


@dataclass(frozen=True)
class Known:
    """A network that was recognised: what it is, in words, as a recipe is called, and whether it judges."""

    kind: str
    name: str
    made: Described
    licence: str = UNKNOWN
    judges: bool = False


def recognised(value: Any, budget: Budget, notes: list[str]) -> Known | None:
    """The translator, or the discriminator of one, in what a file holds; None where there is none.

    Raises DamagedError for a form of such networks that the catalogue has not.
    """
    tensors = flat(value, budget)
    if not tensors:
        return None
    for is_it, make in READERS:
        if is_it(tensors):
            return make(tensors, notes)
    return None


def flat(value: Any, budget: Budget) -> Tensors:
    """The tensors of one network, or of its named parts with these names before theirs; none for something else.

    The network may be a TorchScript program, whose code is not looked at.
    """
    if is_script(value):
        return module(value, lambda tensor: tensor_of(tensor, budget)).tensors
    if not isinstance(value, dict):
        return {}
    for told in (*(value[name] for name in WRAPPERS if name in value), value):
        if is_state_dict(told):
            return state_dict(told, budget)
    found: Tensors = {}
    for part in next((parts for parts in domains.PARTS if set(parts) <= value.keys()), ()):
        if not is_state_dict(value[part]):
            return {}
        found |= {f"{part}.{name}": tensor for name, tensor in state_dict(value[part], budget).items()}
    return found


def _residual(tensors: Tensors, notes: list[str]) -> Known:
    """CycleGAN's and CUT's generator, and pix2pixHD's global one."""
    tensors = _without_statistics(tensors, notes)
    numbers = [int(found[1]) for name in tensors if (found := re.match(r"model\.(\d+)\.conv_block\.", name))]
    places = sorted(int(found[1]) for name in tensors if (found := re.fullmatch(r"model\.(\d+)\.weight", name))
                    and tensors[name].dim() == 4 and int(found[1]) < min(numbers))  # fmt: skip
    if any(name.endswith(".conv_block.0.weight") for name in tensors):
        raise DamagedError(
            "a residual translator whose blocks fill borders with zeros; those that mirror them are read"
        )
    (width, channels), downs = tensors["model.1.weight"].shape[:2], len(places) - 1
    last = f"model.{max(int(n.split('.')[1]) for n in tensors)}.weight"
    options: dict[str, Any] = {"width": width, "blocks": len(set(numbers)), "norm": _norm(tensors)}
    has_bias = f"model.{places[1]}.bias" in tensors if downs else True
    if downs != 2 or (has_bias and options["norm"] == "batch"):
        described = _described("pix2pixhd", options | {"downs": downs}, channels, len(tensors[last]), tensors, 512)
        return Known(f"pix2pixHD's global translator, {_words(options)}", "pix2pixhd", described)
    if options["norm"] == "instance" and not has_bias:
        raise DamagedError("a residual translator without any norm, which the catalogue has not")
    options["antialias"] = any(name.endswith(".filt") for name in tensors)
    seconds = {name.split(".")[3] for name in tensors if re.fullmatch(r"model\.\d+\.conv_block\.\d+\.weight", name)
               and tensors[name].dim() == 4}  # fmt: skip
    options["dropout"] = 0.5 if {"1", "6"} == seconds else 0.0
    if options["norm"] == "batch":
        notes.append(TESTED)
    side = 128 if len(set(numbers)) < 9 else 256
    made = _described("cyclegan", options, channels, len(tensors[last]), tensors, side)
    kind = "CUT's anti-aliased translator" if options["antialias"] else "CycleGAN's residual translator"
    return Known(f"{kind}, {_words(options)}", "cut" if options["antialias"] else "cyclegan", made)


def _u_net(tensors: Tensors, notes: list[str]) -> Known:
    """pix2pix's generator; its dropout leaves no trace in a file, and is the published one."""
    tensors = _without_statistics(tensors, notes)
    downs = sum(tensor.dim() == 4 for tensor in tensors.values()) // 2
    width, channels = tensors["model.model.0.weight"].shape[:2]
    if not 2 <= downs <= 8:
        raise DamagedError(f"a U-Net with {downs} halvings; those with 2 to 8 are read")
    options = {"downs": downs, "width": width, "norm": _norm(tensors)}
    if options["norm"] == "batch":
        notes.append(TESTED)
    after = tensors["model.model.3.weight"].shape[1]
    made = _described("pix2pix", options, channels, after, tensors, max(2**downs, 64))
    return Known(f"pix2pix's U-Net of {downs} halvings ({options['norm']} norm)", "pix2pix", made)


def _enhanced(tensors: Tensors, notes: list[str]) -> Known:
    """pix2pixHD's local enhancer around its global generator."""
    tensors = _without_statistics(tensors, notes)
    if any(name.startswith("model2_") for name in tensors):
        raise DamagedError("a pix2pixHD generator with two local enhancers; those with one are read")
    numbers = {int(found[1]) for name in tensors if (found := re.match(r"model\.(\d+)\.conv_block\.", name))}
    own = {found[1] for name in tensors if (found := re.match(r"model1_2\.(\d+)\.conv_block\.", name))}
    places = [name for name in tensors if re.fullmatch(r"model\.(\d+)\.weight", name) and tensors[name].dim() == 4
              and int(name.split(".")[1]) < min(numbers)]  # fmt: skip
    width, channels = tensors["model.1.weight"].shape[:2]
    options = {"width": width, "downs": len(places) - 1, "blocks": len(numbers), "local": True,
               "local_blocks": len(own), "norm": _norm(tensors)}  # fmt: skip
    last = max((name for name in tensors if re.fullmatch(r"model1_2\.(\d+)\.weight", name)), key=_number)
    made = _described("pix2pixhd", options, channels, len(tensors[last]), tensors, 1024)
    return Known(f"pix2pixHD's translator with a local enhancer, {_words(options)}", "pix2pixhd", made)


def _without_statistics(tensors: Tensors, notes: list[str]) -> Tensors:
    """Without what instance norm, which has no gain, kept in files of 2017 and 2018."""
    stray = [
        name for name in tensors
        if (found := re.fullmatch(rf"(.+)\.({'|'.join(STATISTICS)})", name)) and f"{found[1]}.weight" not in tensors
    ]  # fmt: skip
    if stray:
        notes.append(f"{len(stray)} tensors of statistics of instance norm, which nothing reads, were dropped")
    return {name: tensor for name, tensor in tensors.items() if name not in stray}


def _norm(tensors: Tensors) -> str:
    return "batch" if any(name.endswith("running_var") for name in tensors) else "instance"


def _words(options: Mapping[str, Any]) -> str:
    return f"{options['blocks']} blocks, {options['norm']} norm"


def _number(name: str) -> int:
    return int(name.split(".")[1])


def _described(name: str, options: dict[str, Any], before: int, after: int, tensors: Tensors, side: int) -> Described:
    return Described(Model(name=name, options=options), (after, side, side), 0, tensors, (before, side, side))


def _of_domains(make: Callable[[Tensors, list[str]], tuple[str, Described, str]]) -> Callable[..., Known]:
    def made(tensors: Tensors, notes: list[str]) -> Known:
        kind, described, licence = make(tensors, notes)
        return Known(kind, described.model.name, described, licence)

    return made


def _judge(tensors: Tensors, notes: list[str]) -> Known:
    kind, described = judges.discriminator(_without_statistics(tensors, notes))
    return Known(kind, described.model.name, described, judges=True)


def _has(*names: str) -> Callable[[Tensors], bool]:
    return lambda tensors: all(name in tensors for name in names)


def _is_residual(tensors: Tensors) -> bool:
    return "model.1.weight" in tensors and any(re.match(r"model\.\d+\.conv_block\.", name) for name in tensors)


Reader = tuple[Callable[[Tensors], bool], Callable[[Tensors, list[str]], Known]]
READERS: tuple[Reader, ...] = (
    (lama.is_generator, _of_domains(lama.generator)),
    (_has("model.1.weight", "model1_1.1.weight"), _enhanced),
    (_is_residual, _residual),
    (_has("model.model.0.weight", "model.model.3.weight"), _u_net),
    (spade.is_generator, _of_domains(spade.generator)),
    (spade.is_encoder, _of_domains(spade.encoder_alone)),
    *((is_it, _of_domains(make)) for is_it, make in domains.READERS),
    (judges.is_discriminator, _judge),
)
