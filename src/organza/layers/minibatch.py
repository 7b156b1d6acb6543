"""What a discriminator sees of a whole batch, so that it notices when fakes are too alike."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from organza.config import ConfigError

Minibatch = Literal["none", "stddev", "discrimination"]
KERNELS, DIMS = 32, 4  # of the discrimination between the features of a batch, whose square it takes in memory


def minibatch_deviation(x: Tensor, group: int = 4, features: int = 1) -> Tensor:
    """[B, C, H, W] -> [B, C + features, H, W]: beside x, how much the samples of a group differ, constant over H, W.

    The standard deviation of every channel and pixel over the `group` samples, averaged over the pixels and over each
    of `features` equal parts of the channels (arXiv:1710.10196, section 3, where the group is the whole batch). Samples
    that stand B / group apart are a group; a smaller batch is one group. Raises ConfigError when B is no multiple.
    """
    batch, channels, height, width = x.shape
    group = min(group, batch)
    if batch % group or channels % features:
        raise ConfigError(
            f"{batch} samples of {channels} channels do not divide into groups of {group} and {features} parts; "
            f"type --batch {-(-batch // group) * group} (for each process and micro-batch)"
        )
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    groups = wide.view(group, batch // group, features, channels // features, height, width)
    variance = (groups - groups.mean(0)).square().mean(0)  # much faster than `var` along the first axis
    deviation = (variance + 1e-8).sqrt().mean((2, 3, 4))  # [B / group, features]
    planes = deviation.to(x.dtype).repeat(group, 1)[:, :, None, None].expand(-1, -1, height, width)
    return torch.cat([x, planes], 1)


class MinibatchDiscrimination(nn.Module):
    """Features [B, A] -> [B, A + kernels]: beside them, how close each sample is to all of its batch.

    Salimans et al. (2016, arXiv:1606.03498, section 3.2): with M = f T [B, kernels, dims], T [A, kernels, dims],
    o(x_i)_b = sum over j of exp(-|M_ib - M_jb|_1), from 1 (alone) to B (all equal). Takes memory B^2 kernels dims.
    """

    def __init__(self, inputs: int, kernels: int = 100, dims: int = 5) -> None:
        super().__init__()
        self.transform = nn.Parameter(torch.randn(inputs, kernels, dims) / inputs**0.5)

    def forward(self, f: Tensor) -> Tensor:
        """Append the closeness."""
        m = torch.einsum("ia,akd->ikd", f, self.transform)
        distance = (m[:, None] - m).abs().sum(3)  # [B, B, kernels]
        return torch.cat([f, torch.exp(-distance).sum(1)], 1)


class WithBatch(nn.Module):
    """Features [B, A] -> [B, outputs]: beside them, what the whole batch tells, in one of two ways or not at all."""

    def __init__(self, inputs: int, how: Minibatch) -> None:
        super().__init__()
        self.how = how
        self.discriminate = MinibatchDiscrimination(inputs, KERNELS, DIMS) if how == "discrimination" else None
        self.outputs = inputs + {"none": 0, "stddev": 1, "discrimination": KERNELS}[how]

    def forward(self, f: Tensor) -> Tensor:
        """Append it."""
        if self.discriminate is not None:
            return self.discriminate(f)
        return minibatch_deviation(f[:, :, None, None]).flatten(1) if self.how == "stddev" else f
