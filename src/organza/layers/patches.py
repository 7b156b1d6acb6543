"""Patches of features that are told apart: the contrast of CUT (Park et al., 2020, arXiv:2007.15651, section 3.2).

What stands at a place of the translation shall be recognised as what stood there in the source, among other places of
the same source:

    q, k   features of translation and source at the same places, through two linear layers, with length 1
    loss = -log( exp(q k+ / tau) / (exp(q k+ / tau) + sum over other places of exp(q k- / tau)) ),   tau = 0.07

Official code puts the positive first and -10 / tau in its place among the others: exp(-143) adds nothing in float32.

Shapes: B batch, P places, C channels of a layer, h and w its height and width.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from organza.layers.init import xavier_layers

TAU = 0.07
PATCHES = 256


class PatchSampler(nn.Module):
    """Features [B, C, h, w] of some layers, places int64 [B or 1, P] for each -> vectors [B, P, `units`] of length 1.

    `channels` are those of the layers: (3, 128, 256, 256, 256) for CUT's generator of RGB images. A linear layer, a
    ReLU and another one for each of them; official keys, as remembered.
    """

    def __init__(self, channels: Sequence[int], units: int = 256) -> None:
        super().__init__()
        self.count = len(channels)
        for number, width in enumerate(channels):
            self.add_module(f"mlp_{number}", nn.Sequential(nn.Linear(width, units), nn.ReLU(), nn.Linear(units, units)))
        self.apply(xavier_layers)

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Look up, map, normalise."""
        assert len(features) == len(places) == self.count, (len(features), len(places), self.count)
        found = []
        for number, (x, at) in enumerate(zip(features, places, strict=True)):
            rows = x.flatten(2).transpose(1, 2)  # [B, h w, C]
            at = at.expand(len(x), -1)[:, :, None].expand(-1, -1, x.shape[1])
            mapped = self.get_submodule(f"mlp_{number}")(rows.gather(1, at))
            found.append(F.normalize(mapped.float(), dim=2, eps=1e-7))
        return found


def some_places(uniform: Tensor, count: int = PATCHES) -> Tensor:
    """Uniform numbers [B or 1, h w], one for each place -> int64 [B or 1, min(count, h w)], none twice.

    The numbers are the caller's, on whatever device, so that places are those of a sample and a seed.
    """
    return uniform.argsort(dim=1, stable=True)[:, :count]


def patch_nce(q: Tensor, k: Tensor, tau: float = TAU) -> Tensor:
    """Vectors of length 1 [B, P, C] of translation and source -> the loss [B], the mean over places; k learns nothing.

    Equal q and k whose other places have a product of s cost log(1 + (P - 1) exp((s - 1) / tau)).
    """
    products = q.float() @ k.detach().float().transpose(1, 2) / tau  # [B, P, P]
    return products.logsumexp(2).sub(products.diagonal(dim1=1, dim2=2)).mean(1)
