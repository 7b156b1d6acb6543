"""What a reader of scores should know beside them."""

from __future__ import annotations

from collections.abc import Sequence

from organza.evaluation.evidence import spread_over
from organza.evaluation.subjects import Images
from organza.metrics.networks import Extractor

LOOKED_AT = 1000
FEW = 0.1  # of them


def of_lossy(sides: Sequence[tuple[str, Images]]) -> list[str]:
    """Of sides whose files lost details, each with what its images are called."""
    told = "images are JPEG or lossy WebP: distances see what compression lost; take PNG where there is one"
    return [f"the {word} {told}" for word, side in sides if side.lossy]


def of_sameness(sides: Sequence[tuple[str, Images]]) -> list[str]:
    """Of sides of which hardly any sample differs from all others, each with what its images are called."""
    notes = []
    for word, side in sides:
        some = spread_over(side.samples, LOOKED_AT).cpu()
        differ = len({sample.numpy().tobytes() for sample in some})
        if len(some) > 1 and differ <= len(some) * FEW:
            notes.append(
                f"of {len(some):,} {word} samples that were looked at only {differ:,} differ: "
                + ("the generator has collapsed, or few files were copied" if word != "real" else "most are copies")
            )
    return notes


def of_bias(network: Extractor, few: int) -> list[str]:
    """Of a Fréchet distance of `few` samples, where the network has more features."""
    if network.dim <= few:
        return []
    return [
        f"{few:,} samples are fewer than the {network.dim} features of {network.name}: its Fréchet distance is mostly "
        "bias; compare at this N alone, or take kd"
    ]
