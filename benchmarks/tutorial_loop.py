"""The loop that every GAN tutorial has, written plainly: the yardstick of `time_to_quality.py` and `throughput.py`.

Float32, one image at a time through a `Dataset` and a `DataLoader`, a `.item()` for both losses in every step.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

BATCH, Z_DIM = 128, 100


class Digits(Dataset):
    """One PIL image at a time, as the usual data set classes give them, scaled to [-1, 1]."""

    def __init__(self, images: Tensor) -> None:
        self.images = images.numpy()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        picture = Image.fromarray(self.images[index, 0], mode="L")
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(1, 28, 28)
        return pixels.float().div(255).sub(0.5).div(0.5)


class Generator(nn.Module):
    """Linear to 128x7x7, two stages of nearest x2 and 3x3 convolution (128, 64), a 3x3 convolution to one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(Z_DIM, 128 * 7 * 7)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(128),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(128, 128, 3, padding=1),
            nn.BatchNorm2d(128),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(128, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.LeakyReLU(0.2),
            nn.Conv2d(64, 1, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Noise [B, 100] -> images [B, 1, 28, 28] in [-1, 1]."""
        return self.layers(self.linear(z).view(-1, 128, 7, 7))


class Discriminator(nn.Module):
    """Four 3x3 stride-2 convolutions (16, 32, 64, 128) with dropout and batch norm, a linear layer, a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate([(1, 16), (16, 32), (32, 64), (64, 128)]):
            layers += [nn.Conv2d(before, after, 3, 2, 1), nn.LeakyReLU(0.2), nn.Dropout2d(0.25)]
            layers += [nn.BatchNorm2d(after)] if i else []
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(128 * 2 * 2, 1), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 1, 28, 28] in [-1, 1] -> probability of being real [B, 1]."""
        return self.head(self.layers(images).flatten(1))


def train(images: Tensor, total: int, on_step: Callable[[int, float, Generator], None], seed: int = 0) -> None:
    """Train on uint8 `images` [N, 1, 28, 28] for `total` images; `on_step(images seen, seconds, generator)`.

    The seconds are those of training alone: what `on_step` takes is not counted.
    """
    torch.manual_seed(seed)
    generator, discriminator = Generator(), Discriminator()
    bce = nn.BCELoss()
    g_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    d_adam = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    loader = DataLoader(Digits(images), batch_size=BATCH, shuffle=True, drop_last=True)
    seen, seconds, start = 0, 0.0, time.perf_counter()
    while True:
        for real in loader:
            ones, zeros = torch.ones(len(real), 1), torch.zeros(len(real), 1)
            g_adam.zero_grad()
            fake = generator(torch.randn(len(real), Z_DIM))
            g_loss = bce(discriminator(fake), ones)
            g_loss.backward()
            g_adam.step()
            d_adam.zero_grad()
            d_loss = (bce(discriminator(real), ones) + bce(discriminator(fake.detach()), zeros)) / 2
            d_loss.backward()
            d_adam.step()
            losses = (g_loss.item(), d_loss.item())
            assert all(loss == loss for loss in losses), losses
            seen += len(real)
            seconds += time.perf_counter() - start
            on_step(seen, seconds, generator)
            if seen >= total:
                return
            start = time.perf_counter()
