"""What AnimeGANv2 asks of both players, as penalties; its terms stand in `animegan.py`.

The published terms look through VGG19 (conv4_4), as `--perceptual vgg19` does. Unasked it is VGG16 (conv4_3) where its
weights are found, and else the embedded network, which sees less. All give features of about unit size, and the VGG19
of the paper takes colours of 0 to 255: weights are not the published ones.
"""

from __future__ import annotations

from torch import Tensor

from organza.augment.edges import edge_smooth
from organza.losses import to_zero
from organza.penalties import animegan
from organza.penalties.evidence import Evidence, each


def content(seen: Evidence) -> Tensor:
    """|f(G(x)) - f(x)| of features f: the drawing shows what the photograph shows."""
    assert seen.source is not None
    return animegan.content(_features(seen, "fake", seen.fake), _features(seen, "source", seen.source))


def style(seen: Evidence) -> Tensor:
    """|gram(f(G(x))) - gram(f(grey y))|: the brush of the drawings y without their colours."""
    of_grey = _features(seen, "grey", animegan.grey(seen.real))
    return animegan.style(_features(seen, "fake", seen.fake), of_grey)


def colour(seen: Evidence) -> Tensor:
    """How far the drawing is from the photograph in luma and in colour."""
    assert seen.source is not None
    return animegan.colour(seen.fake, seen.source)


def variation(seen: Evidence) -> Tensor:
    """Half the mean square of the steps from pixel to pixel."""
    return animegan.variation(seen.fake)


def grey(seen: Evidence) -> Tensor:
    """D(grey y)^2 / 2: drawings without colours are fakes."""
    return each(to_zero(seen.judge(animegan.grey(seen.real.detach()))))


def blurred(seen: Evidence) -> Tensor:
    """D(y')^2 / 2 of grey drawings y' whose edges are blurred: drawings without lines are fakes."""
    return each(to_zero(seen.judge(animegan.grey(edge_smooth(seen.real.detach())))))


def _features(seen: Evidence, name: str, images: Tensor) -> Tensor:
    """Of these images, computed once in a turn."""
    if name not in seen.shared:
        assert seen.eyes is not None
        seen.shared[name] = seen.eyes.features(images)
    return seen.shared[name]
