"""Which modes of a known distribution a generator makes: mixtures of Gaussians, and stacked digits.

Both tests are VEEGAN's (Srivastava et al., arXiv:1705.07761, section 5). Those of stacked digits, with 26 000 samples,
are PacGAN's (Lin et al., arXiv:1712.04086) and R3GAN's (arXiv:2501.05441).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from organza.config import ConfigError
from organza.metrics.digits import digit_features

STACKED_MODES = 1000
STACKED_SAMPLES = 26_000  # of the published numbers


def mode_coverage(samples: Tensor, centres: Tensor, sigma: float) -> tuple[int, float]:
    """(modes found, share of high-quality samples) of points [N, D] and centres [M, D].

    A sample is of high quality within 3 sigma of its nearest centre; a mode is found when it has such a sample.
    """
    distance, nearest = torch.cdist(samples.double(), centres.double()).min(1)
    good = distance <= 3 * sigma
    return int(nearest[good].unique().numel()), float(good.double().mean())


def mode_shares(samples: Tensor, centres: Tensor, sigma: float) -> Tensor:
    """The histogram of modes: of all points [N, D] the share that is of high quality, at each centre; float64 [M]."""
    distance, nearest = torch.cdist(samples.double(), centres.double()).min(1)
    return torch.bincount(nearest[distance <= 3 * sigma], minlength=len(centres)).double() / len(samples)


@dataclass(frozen=True)
class StackedModes:
    """How samples spread over the 1000 modes; both figures depend on N and are compared at equal N only."""

    modes: int  # that have at least one sample
    reverse_kl: float  # KL(samples || uniform) in nats, from 0 to ln 1000
    samples: int  # N


def stacked_modes(samples: Tensor) -> StackedModes:
    """Modes and reverse KL of stacked digits, uint8 [N, 3, 28, 28], or [N, 3, 32, 32] whose 28x28 centre is read.

    The embedded classifier takes every channel for a digit, whatever it shows, and three digits name the mode. Reverse
    means that the samples' distribution stands first. The second is uniform, the expected one of three random digits,
    though MNIST does not have all digits equally often: that costs real samples 0.004, and chance costs them about
    (1000 - 1) / 2N, 0.019 at N = 26 000. They reach 0.023, the floor. Raises ConfigError for other samples.
    """
    return count_modes(stacked_labels(samples))


def stacked_labels(samples: Tensor) -> Tensor:
    """The modes of stacked digits, uint8 [N, 3, 28, 28] or [N, 3, 32, 32]: int64 [N], 100 red + 10 green + blue.

    Of 5 000 real ones 98.8 % are read right at 28x28, and 98.7 % when they were stretched and not padded to 32x32.
    """
    if samples.dtype != torch.uint8 or tuple(samples.shape[1:]) not in ((3, 28, 28), (3, 32, 32)):
        raise ConfigError(
            f"stacked digits are uint8 of 3x28x28 or 3x32x32, not {samples.dtype} of "
            f"{'x'.join(map(str, samples.shape[1:]))}; leave out --data.resolution"
        )
    border = (samples.shape[2] - 28) // 2
    centre = samples[:, :, border : border + 28, border : border + 28]
    _, digits = digit_features(centre.reshape(-1, 1, 28, 28))
    return (digits.view(-1, 3) * torch.tensor([100, 10, 1])).sum(1)


def count_modes(labels: Tensor) -> StackedModes:
    """The same of modes 0 to 999, int64 [N]."""
    modes = int((torch.bincount(labels, minlength=STACKED_MODES) > 0).sum())
    return StackedModes(modes, max(float(mode_surprise(labels).mean()), 0.0), len(labels))


def mode_surprise(labels: Tensor) -> Tensor:
    """How much more often than in the uniform distribution the mode of each sample is there, in nats, float64 [N].

    The mean is the reverse KL.
    """
    counts = torch.bincount(labels, minlength=STACKED_MODES).double()
    assert len(counts) == STACKED_MODES
    return (counts[labels] * STACKED_MODES / len(labels)).log()
