"""CycleGAN (Zhu et al., 2017, arXiv:1703.10593) and CUT (Park et al., 2020, arXiv:2007.15651): a residual translator.

Two halvings, residual blocks, two doublings; 9 blocks for 256 pixels and more, 6 for 128 (CycleGAN, appendix 7.2).
CUT's form is `antialias`: it changes the size behind low-pass filters, and its encoder has `features` for PatchNCE.
The discriminator is pix2pix's of patches, with instance norm. Keys and shapes are those of official weights.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from organza.config import ConfigError, Shape
from organza.layers.init import normal_layers, xavier_layers
from organza.layers.reflected import Norm, Upsample, last, must_hear, must_mirror, residual_layers
from organza.layers.source import ends, prepared
from organza.models.pix2pix import Discriminator as Discriminator


class Generator(nn.Module):
    """Images [B, C, H, W] in [-1, 1], labels [B] when `classes` > 0 -> images [B, *shape] in [-1, 1]; sides 4n.

    `upsample` is `transposed` (the paper's) or `resize`, which leaves no checkerboard; `antialias` leaves none either,
    and has its own way up.

    Raises ConfigError for sides that are no multiples of 4 or below 8, and for labels [B] with instance norm, which
    takes them away.
    """

    z_dim, multiple = 0, 4

    def __init__(
        self, source: Shape, shape: Shape, classes: int = 0, *, blocks: int = 9, width: int = 64,
        norm: Norm = "instance", dropout: float = 0.0, antialias: bool = False, upsample: Upsample = "transposed",
    ) -> None:  # fmt: skip
        super().__init__()
        if antialias and upsample != "transposed":
            raise ConfigError(f"antialias has its own way up; leave out --generator.model.upsample {upsample}")
        if blocks < 1:
            raise ConfigError(f"blocks is {blocks}; type --generator.model.blocks 6")
        self.classes = classes
        before, after, height, width_px = ends(source, shape, self.multiple)
        must_mirror(height, width_px, 2)
        must_hear(classes, norm)
        layers = residual_layers(
            before + classes, width, 2, blocks, norm=norm, bias=norm == "instance", dropout=dropout,
            antialias=antialias, upsample=upsample,
        )  # fmt: skip
        self.model = nn.Sequential(*layers, *last(width, after))
        self.compared = _compared(blocks, antialias)
        self.apply(xavier_layers if antialias else normal_layers)

    def forward(self, source: Tensor, z: Tensor | None = None, labels: Tensor | None = None) -> Tensor:
        """Translate."""
        return self.model(prepared(source, labels, self.classes, self.multiple))

    def features(
        self, source: Tensor, layers: Sequence[int] | None = None, labels: Tensor | None = None
    ) -> list[Tensor]:
        """What the layers with these numbers of the `Sequential` make, in their order; nothing behind them is computed.

        Without numbers those that CUT compares, `compared`. Raises ValueError for one that the network does not have.
        """
        layers = self.compared if layers is None else layers
        if not layers or not all(0 <= number < len(self.model) for number in layers):
            raise ValueError(f"layers are {tuple(layers)}, of a network that has 0 to {len(self.model) - 1}")
        x, found = prepared(source, labels, self.classes, self.multiple), dict[int, Tensor]()
        for number in range(max(layers) + 1):
            x = self.model[number](x)
            if number in layers:
                found[number] = x
        return [found[number] for number in layers]


def _compared(blocks: int, antialias: bool) -> tuple[int, ...]:
    """The mirrored image, the two halving convolutions, the first block and the fifth: 0, 4, 8, 12, 16 for CUT.

    Of fewer blocks the last is the fifth.
    """
    second = 8 if antialias else 7
    start = second + second - 4
    return tuple(dict.fromkeys((0, 4, second, start, start + min(4, blocks - 1))))
