"""First and second derivatives of layers whose networks are penalised for their gradients, against differences.

Those of resampling, styles, alias-free filters, attention and minibatch deviation stand beside their layers.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck

from organza.layers.antialias import BlurDown, BlurUp
from organza.layers.equalized import EqualizedConv2d, EqualizedLinear, pixel_norm
from organza.layers.fourier import FourierUnit
from organza.layers.minibatch import MinibatchDiscrimination
from organza.layers.norm import ClassBatchNorm2d, ConditionalBatchNorm2d

PICTURES, VECTORS = (3, 4, 4, 6), (4, 5)
LABELS = torch.tensor([0, 1, 1])


class Conditional(nn.Module):
    """The condition is the first numbers of the picture, so that it has derivatives too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = ConditionalBatchNorm2d(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x, x[:, 0, 0])


class OfClasses(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = ClassBatchNorm2d(4, 2)
        nn.init.normal_(self.norm.gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x, LABELS)


LAYERS = {
    "equalised linear": (lambda: EqualizedLinear(5, 3, gain=1.3, rate=0.1, start=0.2), VECTORS),
    "equalised convolution": (lambda: EqualizedConv2d(4, 2, 3, gain=1.3), PICTURES),
    "pixel norm": (lambda: pixel_norm, PICTURES),
    "batch norm of classes": (OfClasses, PICTURES),
    "conditional batch norm": (Conditional, PICTURES),
    "blur down": (lambda: BlurDown(4), PICTURES),
    "blur up": (lambda: BlurUp(4), PICTURES),
    "minibatch discrimination": (lambda: MinibatchDiscrimination(5, 3, 2), VECTORS),
    "Fourier unit": (lambda: FourierUnit(4), (2, 4, 4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_first_and_second_derivatives(name):
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer, x = make(), torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weights = []
    if isinstance(layer, nn.Module):
        layer, weights = layer.double().train(), [p for p in layer.parameters() if p.numel() < 100]
    names = [] if not weights else [n for n, p in layer.named_parameters() if p.numel() < 100]

    def squared(v: Tensor, *changed: Tensor) -> Tensor:  # so that linear layers have second derivatives too
        made = torch.func.functional_call(layer, dict(zip(names, changed, strict=True)), (v,)) if names else layer(v)
        return made.square()

    assert gradcheck(squared, (x, *weights))
    assert gradgradcheck(squared, (x, *weights), fast_mode=True)
