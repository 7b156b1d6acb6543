"""What D is told of its samples: how real it shall call each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import Targets
from organza.games.batch import Batch
from organza.layers.holes import parted


def called(targets: Targets, batch: Batch, discriminator: nn.Module) -> tuple[Tensor, Tensor] | None:
    """How real each real and each fake is called, from 0 to 1, [B] each; None for plain 1 and 0.

    Smoothed, spread and flipped (arXiv:1606.03498, section 3.4). [B, K] each where those of the K patches of a filled
    picture that show nothing of its hole are called real (arXiv:2109.07161, section 2.3).
    """
    if targets == Targets():
        return None
    draws, found = batch.draws.other("targets"), []
    for name, target in (("real", targets.real), ("fake", targets.fake)):
        moved = (target + targets.spread * (2 * draws.uniform(f"{name}/spread") - 1)).clamp(0, 1)
        flipped = draws.uniform(f"{name}/flip") < targets.flip
        found.append(torch.where(flipped, 1 - moved, moved))
    if not targets.known:
        return found[0], found[1]
    real, fake = (target[:, None] for target in found)
    return real, torch.where(hole_at(batch, discriminator), fake, real)


def hole_at(batch: Batch, discriminator: nn.Module) -> Tensor:
    """bool [B, K]: in which of D's places the hole is."""
    assert batch.source is not None
    places: Any = discriminator.places
    return F.adaptive_max_pool2d(parted(batch.source)[1], places).flatten(1) > 0
