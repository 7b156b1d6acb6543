"""The Inception Score: exp of the mean KL(p(y|x) || p(y)) (Salimans et al., arXiv:1606.03498, section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from organza.config import ConfigError
from organza.metrics.checks import Features, as_features, must_be_from

SEED = 2020  # of torch-fidelity's protocol


@dataclass(frozen=True)
class InceptionScore:
    """Mean and standard deviation (divided by the number of splits) over splits; from 1 to the number of classes."""

    mean: float
    std: float
    splits: int


def inception_score(logits: Features, splits: int = 10, seed: int | None = SEED) -> InceptionScore:
    """The score of logits [N, classes]; published figures take those of Inception less the bias of its last layer.

    Samples are shuffled by `numpy.random.RandomState(seed)`, as in torch-fidelity; None keeps their order.
    Raises ConfigError for fewer samples than splits, fewer than 2 classes and values that are not finite.
    """
    must_be_from("splits", splits, 1)
    values = as_features("logits", logits, splits).double()
    if values.shape[1] < 2:
        raise ConfigError("logits are of one class; the score needs at least 2")
    if seed is not None:
        values = values[torch.from_numpy(np.random.RandomState(seed).permutation(len(values))).to(values.device)]
    n, scores = len(values), []
    for split in range(splits):
        part = values[split * n // splits : (split + 1) * n // splits].log_softmax(1)
        marginal = part.logsumexp(0) - np.log(len(part))
        scores.append(float((part.exp() * (part - marginal)).sum(1).mean().exp()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), splits)
