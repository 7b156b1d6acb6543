"""What G of a restoration owes: L1 where something is known, of both stages, and to a sharpened counterpart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from organza.config import ConfigError
from organza.layers.holes import parted
from organza.layers.sharpen import sharpened
from organza.penalties.evidence import Evidence
from organza.penalties.translation import absolute


def known(seen: Evidence) -> Tensor:
    """|y - G(x)| outside the hole, over all pixels [B]: LaMa's, whose hole owes none (arXiv:2109.07161, eq. 6)."""
    _, mask = parted(_holed(seen))
    return absolute(seen.real * (1 - mask), seen.fake * (1 - mask))


def both_stages(seen: Evidence) -> Tensor:
    """|y - coarse| + |y - fine| [B], everywhere (Yu et al., arXiv:1806.03589, section 3.4).

    G keeps both drawings for it, since what it returns is the second one alone, pasted.
    """
    network: Any = seen.generator
    if not hasattr(network, "drawn"):
        raise ConfigError(
            "the penalty both-stages compares what two stages draw, and this generator has one; type "
            "--generator.model deepfill, or take the penalty pixel"
        )
    coarse, fine = network.drawn(_holed(seen))
    return absolute(seen.real, coarse) + absolute(seen.real, fine)


def pixel_sharpened(seen: Evidence) -> Tensor:
    """|sharpened(y) - G(x)| [B] (Wang et al., arXiv:2107.10833, section 3.3)."""
    return absolute(_sharp(seen), seen.fake)


def perceptual_sharpened(seen: Evidence) -> Tensor:
    """The same through a trained network."""
    assert seen.eyes is not None
    return seen.eyes.distance(_sharp(seen), seen.fake)


@torch.no_grad()
def _sharp(seen: Evidence) -> Tensor:
    return sharpened(seen.real)


def _holed(seen: Evidence) -> Tensor:
    assert seen.source is not None
    if seen.source.shape[1] != seen.real.shape[1] + 1:
        raise ConfigError("this penalty looks at a hole, and sources have none; add --data.degrade hole")
    return seen.source
