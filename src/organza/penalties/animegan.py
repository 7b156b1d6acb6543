"""What AnimeGANv2 asks of its players (Chen et al., 2020, doi:10.1007/978-981-15-5577-0_18, and the second version).

Images are [B, 3, H, W] in [-1, 1]; features are those of VGG19 at conv4_4, before the ReLU; every term is one value per
sample [B]. Published weights for Hayao, Paprika and Shinkai: adversarial 300 for both players, content 1.5, 2 and 1.2,
style 2.5, 0.6 and 2, colour 15, 50 and 10, variation 1, 0.1 and 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.penalties.distances import apart
from organza.penalties.evidence import each

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue (ITU-R BT.601)
BLUE, RED = 0.492, 0.877  # what U and V are of the difference between blue or red and luma


class Prices(NamedTuple):
    """What D pays per kind of image: `plain` for drawings, for grey ones and for fakes, `smooth` for blurred edges."""

    plain: float
    smooth: float


HAYAO, PAPRIKA, SHINKAI = Prices(1.2, 0.8), Prices(1.0, 0.005), Prices(1.7, 1.0)


def adversarial(drawn: Tensor, grey: Tensor, smooth: Tensor, fake: Tensor, prices: Prices = HAYAO) -> Tensor:
    """D's least squares of four kinds of logits [B, K]: drawings are real; grey ones, smoothed ones and fakes are not.

    Grey drawings have the lines and no colours, smoothed ones (`organza.augment.edges`) the colours and no lines, and
    come grey, too.
    """
    plain = each((drawn - 1).square()) + each(grey.square()) + each(fake.square())
    return prices.plain * plain + prices.smooth * each(smooth.square())


def content(of_fake: Tensor, of_photograph: Tensor) -> Tensor:
    """Mean absolute difference of features [B, C, h, w], [B]."""
    return apart(of_fake, of_photograph)


def style(of_fake: Tensor, of_grey: Tensor) -> Tensor:
    """Mean absolute difference of the Gram matrices of features: of the fake and of a drawing without colours, [B]."""
    return apart(gram(of_fake), gram(of_grey))


def gram(features: Tensor) -> Tensor:
    """Features [B, C, h, w] -> products of all pairs of channels over C * h * w, [B, C, C], in float32."""
    rows = features.float().flatten(2)
    return rows @ rows.transpose(1, 2) / rows[0].numel()


def colour(fake: Tensor, photograph: Tensor) -> Tensor:
    """|Y - Y'| + huber(U - U') + huber(V - V'), means over pixels of images in [0, 1], [B]; huber's corner is at 1."""
    (y, u, v), (other_y, other_u, other_v) = (yuv(x.float() / 2 + 0.5) for x in (fake, photograph))
    chroma = [F.huber_loss(a, b, reduction="none").flatten(1).mean(1) for a, b in ((u, other_u), (v, other_v))]
    return apart(y, other_y) + chroma[0] + chroma[1]


def variation(images: Tensor) -> Tensor:
    """Half the mean square of the steps from pixel to pixel, down and to the right, [B]."""
    down, right = images.diff(dim=2), images.diff(dim=3)
    return sum((step.float().flatten(1).square().mean(1) / 2 for step in (down, right)), torch.zeros(()))  # type: ignore


def grey(images: Tensor) -> Tensor:
    """Colours [B, 3, H, W] -> the same without, their luma three times."""
    return luma(images).expand(-1, 3, -1, -1)


def luma(images: Tensor) -> Tensor:
    """Colours [B, 3, H, W] in any linear range -> [B, 1, H, W] in the same. Raises ValueError for other channels."""
    if images.shape[1] != 3:
        raise ValueError(
            f"AnimeGAN's terms are for colours, not for {images.shape[1]} channels; add --data.channels rgb"
        )
    weights = torch.tensor(LUMA, device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)


def yuv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Colours [B, 3, H, W] in [0, 1] -> Y, U and V, [B, 1, H, W] each."""
    y = luma(images)
    return y, BLUE * (images[:, 2:] - y), RED * (images[:, :1] - y)
