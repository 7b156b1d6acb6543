"""ResNet50 (He et al., arXiv:1512.03385) that segments scenes: its last two stages see wide instead of getting smaller.

Where a ResNet halves its maps for the third and the fourth stage, the convolutions behind are dilated by 2 and 4 (Yu et
al., arXiv:1511.07122, as ADE20K's networks have it, Zhou et al., arXiv:1608.05442): an eighth of each side is left, and
every place knows of most of the picture. That is the high receptive field through which LaMa looks (arXiv:2109.07161,
eq. 3). Parameters have the names of the published encoder; the first layer is one of three 3x3 convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

BLOCKS = (3, 4, 6, 3)
DILATIONS = (1, 1, 2, 4)
EXPANSION = 4


class DilatedResNet50(nn.Module):
    """Images [B, 3, H, W] by mean and deviation of ImageNet -> its four stages, of 4, 8, 16 and 32 times `width` maps.

    The first has a quarter of each side, rounded up, the others an eighth.
    """

    unused = ("._tmp_running_mean", "._tmp_running_var", "._running_iter")  # of the batch norm it was trained with

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(3, width, 3, stride=2), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, 2 * width, 3), nn.BatchNorm2d(2 * width)
        self.relu, self.maxpool, before = nn.ReLU(), nn.MaxPool2d(3, 2, 1), 2 * width
        for stage, (blocks, dilation) in enumerate(zip(BLOCKS, DILATIONS, strict=True)):
            # the first block comes before the maps would have been halved, and is dilated half as much
            first = Bottleneck(before, width << stage, 2 if stage == 1 else 1, max(dilation // 2, 1), first=True)
            before = EXPANSION * width << stage
            others = (Bottleneck(before, width << stage, 1, dilation) for _ in range(blocks - 1))
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, *others))

    def forward(self, x: Tensor) -> Tensor:
        """The last stage."""
        *_, last = self.stages(x)
        return last

    def stages(self, x: Tensor) -> Iterator[Tensor]:
        """Each stage in turn."""
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = self.relu(norm(conv(x)))
        x = self.maxpool(x)
        for number in range(1, len(BLOCKS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
            yield x


class Bottleneck(nn.Module):
    """[B, before, h, w] -> [B, 4 * width, ...]: 1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    def __init__(self, before: int, width: int, stride: int, dilation: int, *, first: bool = False) -> None:
        super().__init__()
        after = EXPANSION * width
        self.conv1, self.bn1 = _conv(before, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 3, stride=stride, dilation=dilation), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = _conv(width, after, 1), nn.BatchNorm2d(after)
        self.relu = nn.ReLU()
        shortcut = (_conv(before, after, 1, stride=stride), nn.BatchNorm2d(after)) if first else ()
        self.downsample = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """Add to the shortcut."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        return self.relu(self.bn3(self.conv3(y)) + self.downsample(x))


def _conv(before: int, after: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, stride, dilation * (kernel // 2), dilation, bias=False)
