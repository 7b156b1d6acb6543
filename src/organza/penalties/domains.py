"""What G owes where images are split into content and style: MUNIT (arXiv:1804.04732), UNIT (arXiv:1703.00848) and
StarGAN v2 (arXiv:1912.01865).

Their terms stand in `munit.py` and `stargan.py`; here each becomes a penalty of its own, with a weight of its own. What
several terms of a turn share is computed once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from organza.losses import fake_cross_entropy, real_cross_entropy
from organza.models import munit as munit_model
from organza.models import spade as spade_model
from organza.models import stargan_v2 as v2_model
from organza.models import unit as unit_model
from organza.penalties import stargan as v2
from organza.penalties.evidence import Evidence, each
from organza.penalties.munit import munit, unit
from organza.penalties.translation import divergence


def image(seen: Evidence) -> Tensor:
    """|x - G(E(x))|: what is encoded and drawn again in its own domain (arXiv:1804.04732, eq. 2)."""
    return terms(seen)["image"]


def style(seen: Evidence) -> Tensor:
    """|s - E(G(x, s))|: the style must be legible in the result (arXiv:1804.04732, eq. 4; arXiv:1912.01865, eq. 2)."""
    if not isinstance(seen.generator, v2_model.Generator):
        return terms(seen)["style"]
    assert seen.labels is not None
    return v2.style_reconstruction(seen.generator, seen.fake, _drawn(seen), seen.labels)


def content(seen: Evidence) -> Tensor:
    """|c - E(G(c, s))|: the content has to be legible in the result (arXiv:1804.04732, eq. 3)."""
    return terms(seen)["content"]


def codes(seen: Evidence) -> Tensor:
    """How far UNIT's codes of images are from standard normal (arXiv:1703.00848, eq. 3), or SPADE's codes of styles.

    Those are the numbers with which its pictures begin (arXiv:1903.07291, section 3): the divergence, summed over them.
    """
    network: Any = seen.generator
    if not isinstance(network, spade_model.Generator):
        return terms(seen)["kl"]
    return divergence(*network.encoder(seen.real))


def codes_of_results(seen: Evidence) -> Tensor:
    """The same of its codes of translated images (arXiv:1703.00848, eq. 5)."""
    return terms(seen)["kl-cycle"]


def own_cycle(seen: Evidence) -> Tensor | None:
    """|x - G(G(x, s), E(x))|: back in the style that the source had; None for networks without styles or codes."""
    network = seen.generator
    if isinstance(network, (munit_model.Generator, unit_model.Generator)):
        return terms(seen)["cycle"]
    if not isinstance(network, v2_model.Generator):
        return None
    assert seen.source is not None
    assert seen.source_labels is not None
    return v2.cycle(network, seen.source, seen.fake, seen.source_labels)


def diversity(seen: Evidence) -> Tensor:
    """-|G(x, s) - G(x, s')|, to be large: two styles shall make two images (arXiv:1912.01865, eq. 3)."""
    network: Any = seen.generator
    assert seen.draws is not None
    assert seen.source is not None
    other = seen.draws.other("diversity").normal("z", network.z_dim)
    return -v2.diversity(network, seen.source, seen.fake, network.style_from(other, seen.labels))


def references(seen: Evidence) -> Tensor:
    """The non-saturating loss of translations in the style of a real image of the target's class, for both players.

    arXiv:1912.01865 (section 2.2) draws styles from noise and from images by turns; in G's turn the latter do not teach
    the encoder of styles.
    """
    network: Any = seen.generator
    assert seen.source is not None
    with torch.no_grad():
        wanted = network.style_of(seen.real, seen.labels)
    if seen.turn == "generator":
        return each(real_cross_entropy(seen.judge(network.translate(seen.source, wanted))))
    with torch.no_grad():
        made = network.translate(seen.source, wanted)
    return each(fake_cross_entropy(seen.judge(made)))


def terms(seen: Evidence) -> dict[str, Tensor]:
    """All terms of MUNIT or UNIT, each [B]; computed once in a turn."""
    if "terms" not in seen.shared:
        seen.shared["terms"] = _terms(seen)
    return seen.shared["terms"]


def _terms(seen: Evidence) -> dict[str, Tensor]:
    network = seen.generator
    assert seen.source is not None
    assert seen.z is not None
    if isinstance(network, munit_model.Generator):
        return munit(network, seen.source, seen.z, seen.fake, cycle="cycle" in seen.due)
    assert isinstance(network, unit_model.Generator)
    assert seen.draws is not None
    again = seen.draws.other("codes of results").normal("z", network.z_dim)
    return unit(network, seen.source, seen.z, seen.fake, again)


def _drawn(seen: Evidence) -> Tensor:
    """The styles of the fakes."""
    network: Any = seen.generator
    return network.style_from(seen.z, seen.labels)
