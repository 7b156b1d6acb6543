"""What a reader of scores should know beside them."""

from __future__ import annotations

from collections.abc import Sequence

from organza.evaluation.subjects import Images
from organza.metrics.networks import Extractor


def of_lossy(sides: Sequence[tuple[str, Images]]) -> list[str]:
    """Of sides whose files lost details, each with what its images are called."""
    told = "images are JPEG or lossy WebP: distances see what compression lost; take PNG where there is one"
    return [f"the {word} {told}" for word, side in sides if side.lossy]


def of_bias(network: Extractor, few: int) -> list[str]:
    """Of a Fréchet distance of `few` samples, where the network has more features."""
    if network.dim <= few:
        return []
    return [
        f"{few:,} samples are fewer than the {network.dim} features of {network.name}: its Fréchet distance is mostly "
        "bias; compare at this N alone, or take kd"
    ]
