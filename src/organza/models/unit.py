"""UNIT (Liu et al., 2017, "Unsupervised Image-to-Image Translation Networks", arXiv:1703.00848).

Both domains have one space of codes: an image is encoded as the mean h of a normal distribution with deviation one, and
any domain's decoder draws what is sampled from it (section 3):

    x_ab = G_b(h_a + n),   n ~ N(0, 1)

Networks are MUNIT's content encoder and decoder, the latter with instance norm; its discriminator judges.
Shapes: B batch, C channels, H and W of images, K, h and w of codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from organza.config import Shape
from organza.layers.sizes import must_divide, must_reach, no_classes
from organza.models.munit import ContentEncoder, Decoder, Domain, both_domains, initialise_he
from organza.models.munit import Discriminator as Discriminator


class Generator(nn.Module):
    """Images of A and B side by side [B, Ca + Cb, H, W] -> translations [B, Cb + Ca, H, W]: A into B, B into A.

    `z` [B, 2 * K * h * w] is the noise on A's codes and on B's, one number for each of a code's; without it the codes
    are their means. `z_dim` is its length for images of the shape `source`. `channels_of_a` says where A ends, 0: in
    the middle. `a` and `b` are the coders of the paper.

    Raises ConfigError for classes, for images too small, and where what goes out is not what comes in.
    """

    two_way = True
    noisy = False  # in use

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, width: int = 64, downs: int = 2, blocks: int = 4,
        channels_of_a: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        no_classes("UNIT", classes)
        self.channels = both_domains(source, shape, channels_of_a)
        _, height, side = source
        smallest = 2 ** (downs + 1)
        must_reach(height, side, smallest, f"{downs} halvings", f"type --generator.model.downs {max(downs - 1, 1)}")
        self.classes, self.multiple = 0, 2**downs
        self.z_dim = 2 * (width << downs) * (height >> downs) * (side >> downs)
        self.a, self.b = (Coder(channels, width, downs, blocks) for channels in self.channels)
        self.apply(initialise_he)

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Translate both. Raises ValueError where the noise does not fit the codes of these images."""
        must_divide(source, self.multiple)
        of_a, of_b = source.split(self.channels, 1)
        on_a, on_b = (None, None) if z is None else z.chunk(2, 1)
        ab = self.b.dec(noisy(self.a.enc(of_a), on_a))
        return torch.cat([ab, self.a.dec(noisy(self.b.enc(of_b), on_b))], 1)

    def one_way(self, images: Tensor, z: Tensor | None = None, reverse: bool = False) -> Tensor:
        """Images of A [B, Ca, H, W] -> B, or of B -> A, of any size: in use, codes are their means without noise."""
        must_divide(images, self.multiple)
        of, to = (self.b, self.a) if reverse else (self.a, self.b)
        return to.dec(of.enc(images))

    def encode(self, x: Tensor, domain: Domain) -> Tensor:
        """Images of one domain [B, C, H, W] -> their codes without noise [B, K, h, w]."""
        return {"a": self.a, "b": self.b}[domain].enc(x)

    def decode(self, code: Tensor, domain: Domain) -> Tensor:
        """Codes [B, K, h, w] -> images of this domain."""
        return {"a": self.a, "b": self.b}[domain].dec(code)


class Coder(nn.Module):
    """The encoder and the decoder of one domain (the `VAEGen` of the published files)."""

    def __init__(self, channels: int, width: int, downs: int, blocks: int) -> None:
        super().__init__()
        self.enc = ContentEncoder(channels, width, downs, blocks)
        self.dec = Decoder(channels, width, downs, blocks, styled=False)


def noisy(code: Tensor, noise: Tensor | None) -> Tensor:
    """Codes [B, K, h, w] and noise [B, K * h * w] -> their sum. Raises ValueError where they differ in size."""
    if noise is None:
        return code
    if noise.shape[1] != code[0].numel():
        raise ValueError(
            f"noise of {noise.shape[1]} numbers does not fit codes of {code[0].numel()} ({tuple(code.shape[1:])}); "
            f"give z [B, {2 * code[0].numel()}], or none at all for the means"
        )
    return code + noise.view_as(code)
