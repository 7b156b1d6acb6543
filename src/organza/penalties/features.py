"""Penalties that read weights, features, labels, codes or changed samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from organza.augment import augmentation
from organza.layers.codes import Coded, unread
from organza.layers.spectral import weights_of
from organza.penalties.evidence import Evidence, each
from organza.penalties.stargan import domain_classification
from organza.training.distributed import mean_of_all


def orthogonal(network: nn.Module) -> Tensor:
    """Sum over weights W [out, in] of |W W^T with its diagonal left out|^2 (Brock et al., arXiv:1809.11096, eq. 3).

    Of W^T W where there are more outputs than inputs, whose rows cannot all be orthogonal: the columns can.
    """
    total = torch.zeros(1, device=next(network.parameters()).device)
    for weight in weights_of(network):
        rows = weight.flatten(1).float()
        total = total + _off_diagonal(rows if len(rows) <= rows.shape[1] else rows.T).square().sum()
    return total


def feature_matching(seen: Evidence) -> Tensor:
    """|E f(x) - E f(G(z))|^2 of D's features f, over all processes (Salimans et al., arXiv:1606.03498, section 3.1)."""
    real, fake = (mean_of_all(f.float().mean(0)) for f in (seen.real_features.detach(), seen.fake_features))
    return (real - fake).square().sum()[None]


def consistency(seen: Evidence, with_fakes: bool) -> Tensor:
    """(D(x) - D(T(x)))^2 for a flip and a shift T (Zhang et al., arXiv:1910.12027, eq. 4), per sample [B].

    `with_fakes` adds the same for fakes (Zhao et al., arXiv:2002.04724, algorithm 1).
    """
    assert seen.draws is not None
    moved = augmentation(("xflip", "translation"))
    value = each((seen.real_logits - seen.judge(moved(seen.real.detach(), seen.draws.other("cr"), 1.0))).square())
    if with_fakes:
        fakes = moved(seen.fake.detach(), seen.draws.other("bcr"), 1.0)
        value = value + each((seen.fake_logits - seen.judge(fakes)).square())
    return value


ZCR_STEP = 0.05  # deviation of the step in z; the paper takes 0.03 to 0.07


def latent_consistency(seen: Evidence) -> Tensor:
    """(D(G(z)) - D(G(z + e)))^2 in D's turn, -mean (G(z) - G(z + e))^2 in G's (arXiv:2002.04724, algorithm 2).

    e is normal; the mean over pixels makes a weight the same for all sizes.
    """
    assert seen.draws is not None
    assert seen.generate is not None
    assert seen.z is not None
    nearby = seen.z + ZCR_STEP * seen.draws.normal("zcr", seen.z.shape[1])
    if seen.turn == "generator":
        return -(seen.fake - seen.generate(nearby)).float().flatten(1).square().mean(1)
    with torch.no_grad():
        fake = seen.generate(nearby)
    return each((seen.fake_logits - seen.judge(fake)).square())


def classification(seen: Evidence) -> Tensor:
    """-log p(class | x), of fakes and in D's turn of reals too (Odena et al., arXiv:1610.09585, eq. 2), per sample."""
    value = _unread_classes(seen, seen.fake_features)
    return value if seen.turn == "generator" else value + classification_of_reals(seen)


def classification_of_reals(seen: Evidence) -> Tensor:
    """-log p(class | x) of reals alone [B], so that D learns no class from a fake that is not there yet."""
    return _unread_classes(seen, seen.real_features)


def _unread_classes(seen: Evidence, features: Any) -> Tensor:
    """The cross-entropy [B] of the labels in D's features, read by the head, or by D itself as StarGAN's does.

    Of attributes it is the sum of their binary ones.
    """
    judge: Any = seen.discriminator
    assert seen.labels is not None
    read = judge.classes_of if hasattr(judge, "classes_of") else judge.heads["classes"]
    return domain_classification(read(features), seen.labels)


def mutual_information(seen: Evidence) -> Tensor:
    """-log Q(c | G(z, c)), the bound that InfoGAN raises (Chen et al., arXiv:1606.03657, eq. 5), per sample [B]."""
    assert isinstance(seen.generator, Coded)
    assert seen.discriminator is not None
    assert seen.z is not None
    head: Any = seen.discriminator.heads["codes"]  # type: ignore[index]
    read = head(seen.fake_features).float()
    return unread(read, seen.generator.encode(seen.z), seen.generator.categorical, seen.generator.continuous)


def reconstruction(seen: Evidence) -> Tensor:
    """How badly D draws a real image from its features of it (Liu et al., arXiv:2101.04775, section 3.2), [B]."""
    assert seen.discriminator is not None
    assert seen.show is not None
    shown = seen.show(seen.real.detach())
    return seen.discriminator.reconstruction_error(shown, seen.real_features, seen.draws)  # type: ignore[operator]


def _off_diagonal(rows: Tensor) -> Tensor:
    product = rows @ rows.T
    return product - torch.diag(product.diagonal())
