"""What G of a translation owes beside fooling D: results near their counterparts, ways back, patches that stay.

Both ways at once (`organza.models.both_ways`), what is asked of one way is asked of each, and added.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from organza.config import ConfigError
from organza.layers.patches import patch_nce, some_places
from organza.models.both_ways import swapped
from organza.penalties.domains import own_cycle
from organza.penalties.evidence import Evidence
from organza.penalties.translation import absolute, hd_weight, matched_features, total_variation


def pixel(seen: Evidence) -> Tensor:
    """|y - G(x)| to the counterpart y (Isola et al., arXiv:1611.07004, eq. 3)."""
    return _each_way(seen, seen.real, seen.fake)


def cycle(seen: Evidence) -> Tensor:
    """|x - F(G(x))|, and |y - G(F(y))| (Zhu et al., arXiv:1703.10593, eq. 2); between classes, |x - G(G(x, c), c')|."""
    assert seen.source is not None
    assert seen.generate is not None
    if (own := own_cycle(seen)) is not None:
        return own
    if (first := _first(seen)) is not None:
        return _each_way(seen, seen.real, seen.generate(source=swapped(seen.fake, first)))
    if seen.source_labels is None:
        raise ConfigError("the penalty cycle needs the way back; add --game cycle or domains, or leave it out")
    assert seen.generator is not None
    return absolute(seen.source, seen.generator(seen.fake, seen.z, seen.source_labels))


def identity(seen: Evidence) -> Tensor:
    """|y - G(y)|: what is of the target kind already shall stay (arXiv:1703.10593, section 5.2)."""
    assert seen.generate is not None
    assert seen.source is not None
    if seen.real.shape[1] != seen.source.shape[1] or _first(seen) not in (None, seen.real.shape[1] // 2):
        raise ConfigError("the penalty identity translates targets, whose channels are others here; leave it out")
    return _each_way(seen, seen.real, seen.generate(source=seen.real))


def patches(seen: Evidence) -> Tensor:
    """PatchNCE of the result and its source (Park et al., arXiv:2007.15651, eq. 5)."""
    assert seen.source is not None
    return _contrast(seen, seen.source, seen.fake, "patches")


def patches_of_targets(seen: Evidence) -> Tensor:
    """The same of a target and its own translation: the identity of CUT (arXiv:2007.15651, section 3.3)."""
    assert seen.generate is not None
    return _contrast(seen, seen.real, seen.generate(source=seen.real), "patches of targets")


def _contrast(seen: Evidence, source: Tensor, made: Tensor, name: str) -> Tensor:
    """The mean over the layers of G's encoder, at random places of each sample."""
    network: Any = seen.generator
    assert seen.draws is not None
    found, draws, sampler = network.features(made), seen.draws.other(name), network.heads["patches"]
    sizes = [x.shape[2] * x.shape[3] for x in found]
    places = [some_places(draws.uniform(f"layer {number}", size)) for number, size in enumerate(sizes)]
    with torch.no_grad():  # the keys learn nothing
        keys = sampler(network.features(source), places)
    return torch.stack([patch_nce(q, k) for q, k in zip(sampler(found, places), keys, strict=True)]).mean(0)


def judged_alike(seen: Evidence) -> Tensor:
    """|f(y) - f(G(x))| over the layers f of D (Wang et al., arXiv:1711.11585, eq. 5), with the weights of its code."""
    real, fake = tree_leaves(seen.real_features), tree_leaves(seen.fake_features)
    return matched_features(real, fake, hd_weight(len(real)))


def perceptual(seen: Evidence) -> Tensor:
    """How far the result looks from its counterpart, through a trained network (Johnson et al., arXiv:1603.08155)."""
    assert seen.eyes is not None
    return seen.eyes.distance(seen.real, seen.fake)


def smooth(seen: Evidence) -> Tensor:
    """Total variation of the results."""
    return total_variation(seen.fake)


def _first(seen: Evidence) -> int | None:
    """Channels of the first half of a result of both ways; None for one way."""
    channels = getattr(seen.generator, "channels", None)
    return None if channels is None else int(channels[1])


def _each_way(seen: Evidence, target: Tensor, made: Tensor) -> Tensor:
    if (first := _first(seen)) is None:
        return absolute(target, made)
    return absolute(target[:, :first], made[:, :first]) + absolute(target[:, first:], made[:, first:])
