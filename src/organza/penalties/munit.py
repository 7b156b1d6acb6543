"""What MUNIT (arXiv:1804.04732) and UNIT (arXiv:1703.00848) ask of their translators beside fooling the discriminators.

Every term is one value per sample [B], the sum of those of both domains, each a mean over the numbers of an image or a
code. Images of A and B lie side by side; a fake is A in B's look and then B in A's. Published weights: image 10, style
1, content 1, cycle 0 (edges) or 10 (scenes) for MUNIT; image 10, cycle 10, kl 0.01, kl-cycle 0.01 for UNIT.
"""

from __future__ import annotations

from torch import Tensor

from organza.models import munit as munit_model
from organza.models import unit as unit_model
from organza.models.unit import noisy
from organza.penalties.distances import apart


def munit(
    generator: munit_model.Generator, source: Tensor, z: Tensor, fake: Tensor, *, cycle: bool = True
) -> dict[str, Tensor]:
    """`image`, `style` and `content` (eq. 2 to 4) and, where `cycle`, `cycle` (section 5.1): L1 distances, each [B].

    image: G_a(E_a(x_a)) and x_a; style: of the fake, and drawn; content: of the fake, and of its source; cycle: the
    fake brought back with the style of its source, and the source.
    """
    (of_a, of_b), (ab, ba) = _parts(generator.channels, source, fake)
    to_b, to_a = z.chunk(2, 1)
    (content_a, style_a), (content_b, style_b) = generator.encode(of_a, "a"), generator.encode(of_b, "b")
    (content_ab, style_ab), (content_ba, style_ba) = generator.encode(ab, "b"), generator.encode(ba, "a")
    same_a, same_b = generator.decode(content_a, style_a, "a"), generator.decode(content_b, style_b, "b")
    terms = {
        "image": apart(same_a, of_a) + apart(same_b, of_b),
        "style": apart(style_ab, to_b) + apart(style_ba, to_a),
        "content": apart(content_ab, content_a) + apart(content_ba, content_b),
    }
    if cycle:
        back_a, back_b = generator.decode(content_ab, style_a, "a"), generator.decode(content_ba, style_b, "b")
        terms["cycle"] = apart(back_a, of_a) + apart(back_b, of_b)
    return terms


def unit(
    generator: unit_model.Generator, source: Tensor, z: Tensor | None, fake: Tensor, again: Tensor | None = None
) -> dict[str, Tensor]:
    """`image`, `cycle` (L1), `kl` and `kl-cycle` (eq. 3 and 5), each [B].

    `z` is the noise with which the fakes were made, `again` [B, z_dim] that on the codes of the fakes (none: without).
    """
    (of_a, of_b), (ab, ba) = _parts(generator.channels, source, fake)
    on_a, on_b = (None, None) if z is None else z.chunk(2, 1)
    on_ab, on_ba = (None, None) if again is None else again.chunk(2, 1)
    code_a, code_b = generator.encode(of_a, "a"), generator.encode(of_b, "b")
    code_ab, code_ba = generator.encode(ab, "b"), generator.encode(ba, "a")
    same_a = generator.decode(noisy(code_a, on_a), "a")
    same_b = generator.decode(noisy(code_b, on_b), "b")
    back_a = generator.decode(noisy(code_ab, on_ab), "a")
    back_b = generator.decode(noisy(code_ba, on_ba), "b")
    return {
        "image": apart(same_a, of_a) + apart(same_b, of_b),
        "cycle": apart(back_a, of_a) + apart(back_b, of_b),
        "kl": divergence(code_a) + divergence(code_b),
        "kl-cycle": divergence(code_ab) + divergence(code_ba),
    }


def divergence(mean: Tensor) -> Tensor:
    """Mean square of a code [B, ...]: KL(N(mean, 1) || N(0, 1)) for each number, without its factor of one half."""
    return mean.float().flatten(1).square().mean(1)


def _parts(
    channels: tuple[int, int], source: Tensor, fake: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """(A, B) of the source and (A in B's look, B in A's) of the fake, whose channels come in the other order."""
    of_a, of_b = source.split(channels, 1)
    ab, ba = fake.split(channels[::-1], 1)
    return (of_a, of_b), (ab, ba)
