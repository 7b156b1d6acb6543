"""Inception-2015-12-05, the network of FID and of the Inception Score (Szegedy et al., arXiv:1512.00567).

It is Inception v3 as TensorFlow published it in 2015, with 1008 classes and other poolings than the later one: the
average pools of 5b to 7b leave the border out of the mean, and the last block pools by maximum. Parameters have the
names of the public state dict, which are those of torchvision's Inception v3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES, CLASSES = 2048, 1008
UNUSED = ("AuxLogits.",)  # the second classifier, of training


class BasicConv2d(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(
        self, before: int, after: int, kernel: int | tuple[int, int], stride: int = 1, same: bool = True
    ) -> None:
        super().__init__()
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (rows // 2, columns // 2) if same else 0
        self.conv = nn.Conv2d(before, after, (rows, columns), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, K, H', W']."""
        return F.relu(self.bn(self.conv(x)))


def average(x: Tensor) -> Tensor:
    """The mean over 3x3; at the border over what is inside the image."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def maximum(x: Tensor) -> Tensor:
    """The maximum over 3x3."""
    return F.max_pool2d(x, 3, 1, 1)


class InceptionA(nn.Module):
    """35x35 (figure 5 of the paper): [B, C, H, W] -> [B, 224 + pooled, H, W]."""

    def __init__(self, before: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv2d(before, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = BasicConv2d(before, 48, 1), BasicConv2d(48, 64, 5)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = BasicConv2d(before, 64, 1), BasicConv2d(64, 96, 3)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3)
        self.branch_pool = BasicConv2d(before, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Four branches."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        branches = self.branch1x1(x), self.branch5x5_2(self.branch5x5_1(x)), double, self.branch_pool(average(x))
        return torch.cat(branches, 1)


class InceptionB(nn.Module):
    """35x35 to 17x17: [B, C, H, W] -> [B, C + 480, (H - 1) / 2, (W - 1) / 2]."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.branch3x3 = BasicConv2d(before, 384, 3, 2, same=False)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = BasicConv2d(before, 64, 1), BasicConv2d(64, 96, 3)
        self.branch3x3dbl_3 = BasicConv2d(96, 96, 3, 2, same=False)

    def forward(self, x: Tensor) -> Tensor:
        """Three branches that halve."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat((self.branch3x3(x), double, F.max_pool2d(x, 3, 2)), 1)


class InceptionC(nn.Module):
    """17x17 (figure 6): [B, 768, H, W] -> [B, 768, H, W], with filters of 7x1 and 1x7."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self.branch1x1 = BasicConv2d(768, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = BasicConv2d(768, inner, 1), BasicConv2d(inner, inner, row)
        self.branch7x7_3 = BasicConv2d(inner, 192, column)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = BasicConv2d(768, inner, 1), BasicConv2d(inner, inner, column)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = BasicConv2d(inner, inner, row), BasicConv2d(inner, inner, column)
        self.branch7x7dbl_5 = BasicConv2d(inner, 192, row)
        self.branch_pool = BasicConv2d(768, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Four branches."""
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat((self.branch1x1(x), seven, double, self.branch_pool(average(x))), 1)


class InceptionD(nn.Module):
    """17x17 to 8x8: [B, 768, H, W] -> [B, 1280, (H - 1) / 2, (W - 1) / 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = BasicConv2d(768, 192, 1), BasicConv2d(192, 320, 3, 2, same=False)
        self.branch7x7x3_1, self.branch7x7x3_2 = BasicConv2d(768, 192, 1), BasicConv2d(192, 192, (1, 7))
        self.branch7x7x3_3 = BasicConv2d(192, 192, (7, 1))
        self.branch7x7x3_4 = BasicConv2d(192, 192, 3, 2, same=False)

    def forward(self, x: Tensor) -> Tensor:
        """Three branches that halve."""
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat((self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)), 1)


class InceptionE(nn.Module):
    """8x8 (figure 7): [B, C, H, W] -> [B, 2048, H, W]; the pool is the average, or the maximum in the last block."""

    def __init__(self, before: int, by_maximum: bool) -> None:
        super().__init__()
        self.pool = maximum if by_maximum else average
        self.branch1x1 = BasicConv2d(before, 320, 1)
        self.branch3x3_1 = BasicConv2d(before, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = BasicConv2d(384, 384, (1, 3)), BasicConv2d(384, 384, (3, 1))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = BasicConv2d(before, 448, 1), BasicConv2d(448, 384, 3)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = BasicConv2d(384, 384, (1, 3)), BasicConv2d(384, 384, (3, 1))
        self.branch_pool = BasicConv2d(before, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Four branches, two of which fork."""
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        forks = self.branch3x3_2a(three), self.branch3x3_2b(three)
        double_forks = self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)
        return torch.cat((self.branch1x1(x), *forks, *double_forks, self.branch_pool(self.pool(x))), 1)


class Inception(nn.Module):
    """Images [B, 3, 299, 299], (bytes - 128) / 128 -> features pool3 [B, 2048]; smaller images to 75 pixels work."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = BasicConv2d(3, 32, 3, 2, same=False)
        self.Conv2d_2a_3x3 = BasicConv2d(32, 32, 3, same=False)
        self.Conv2d_2b_3x3 = BasicConv2d(32, 64, 3)
        self.Conv2d_3b_1x1 = BasicConv2d(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv2d(80, 192, 3, same=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = InceptionA(192, 32), InceptionA(256, 64), InceptionA(288, 64)
        self.Mixed_6a = InceptionB(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d = InceptionC(128), InceptionC(160), InceptionC(160)
        self.Mixed_6e = InceptionC(192)
        self.Mixed_7a = InceptionD()
        self.Mixed_7b, self.Mixed_7c = InceptionE(1280, by_maximum=False), InceptionE(2048, by_maximum=True)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """The mean over the last map."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))

    def logits(self, features: Tensor) -> Tensor:
        """[B, 2048] -> [B, 1008] without the bias, as the Inception Score takes them."""
        return F.linear(features, self.fc.weight)
