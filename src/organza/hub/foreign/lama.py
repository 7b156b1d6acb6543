"""LaMa's files: the checkpoint of its authors' training code, and the TorchScript program that other tools ship.

    best.ckpt      state_dict: generator.model.1.ffc.convl2l.weight, …, beside its discriminator and its losses
    big-lama.pt    a program whose modules hold model.model.1.ffc.convl2l.weight, …; its code is not looked at

Names behind the prefix are those of `organza.models.lama`, 989 tensors for Big LaMa. That a program may hold them under
`model.generator.`, too, and the names beside the generator's are from memory.
"""

from __future__ import annotations

import re

from organza.config import Model
from organza.hub.foreign.parts import UNKNOWN, Described, Tensors
from organza.training.checkpoint import DamagedError

FIRST, WIDEST = "model.1.ffc.convl2l.weight", "model.4.ffc.convl2g.weight"
PREFIXES = ("generator.", "model.", "model.generator.", "")
SIDE = 256  # of the source that is written down; the network takes others
NAMES = {18: "Big LaMa", 9: "LaMa-Fourier"}


def is_generator(tensors: Tensors) -> bool:
    """Whether a generator is among these tensors."""
    return any(prefix + FIRST in tensors for prefix in PREFIXES)


def generator(tensors: Tensors, notes: list[str]) -> tuple[str, Described, str]:
    """(what it is, the network, its licence). Raises DamagedError for a form that the catalogue has not."""
    prefix = next(prefix for prefix in PREFIXES if prefix + FIRST in tensors)
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if others := len(tensors) - len(own):
        notes.append(f"{others} tensors beside the generator's, as of its discriminator and losses, were left out")
    if any(".lfu." in name for name in own):
        raise DamagedError("a LaMa with local Fourier units; those without, as all published ones are, are read")
    width, before = own[FIRST].shape[:2]
    blocks = len({found[1] for name in own if (found := re.match(r"model\.(\d+)\.conv1\.ffc\.", name))})
    share = len(own[WIDEST]) / (8 * width)
    after = len(own[f"model.{blocks + 16}.weight"])
    model = Model(name="lama", options={"width": width, "blocks": blocks, "share": share})
    made = Described(model, (after, SIDE, SIDE), 0, own, (before, SIDE, SIDE))
    return f"{NAMES.get(blocks, 'LaMa')} of {blocks} blocks, fills holes", made, UNKNOWN
