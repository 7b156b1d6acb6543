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
from tutorial_networks import Discriminator, Generator

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
            ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
            g_adam.zero_grad()
            fake = generator(torch.randn(len(real), Z_DIM))
            g_loss = bce(torch.sigmoid(discriminator(fake)), ones)
            g_loss.backward()
            g_adam.step()
            d_adam.zero_grad()
            real_loss = bce(torch.sigmoid(discriminator(real)), ones)
            fake_loss = bce(torch.sigmoid(discriminator(fake.detach())), zeros)
            d_loss = (real_loss + fake_loss) / 2
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
