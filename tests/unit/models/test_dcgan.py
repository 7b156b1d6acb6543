"""DCGAN fits any size from 16 to 256, with labels or without, and is the paper's network at 64x64."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from organza.config import ConfigError
from organza.models.dcgan import Discriminator, Generator

SHAPES = [(1, 28, 28), (3, 64, 64), (4, 48, 32), (2, 17, 30), (1, 16, 16)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("upsample", ["transposed", "resize"])
def test_shapes_range_and_gradients(shape: tuple[int, int, int], upsample: str) -> None:
    torch.manual_seed(0)
    generator = Generator(shape, width=8, upsample=upsample)  # type: ignore[arg-type]
    discriminator = Discriminator(shape, width=8)
    images = generator(torch.randn(3, 100))
    assert images.shape == (3, *shape)
    assert -1 <= images.min() < images.max() <= 1
    logits = discriminator(images)
    assert logits.shape == (3,)
    logits.square().sum().backward()
    for network in (generator, discriminator):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_the_papers_network_at_64() -> None:
    with torch.device("meta"):
        generator, discriminator = Generator((3, 64, 64), width=128), Discriminator((3, 64, 64), width=128)
    convolutions = [m for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert generator.base == (1024, 4, 4)
    assert [m.in_channels for m in convolutions] == [1024, 512, 256, 128]
    assert [m.out_channels for m in convolutions] == [512, 256, 128, 3]
    judges = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in judges] == [128, 256, 512, 1024]
    assert isinstance(discriminator.layers[0], nn.Conv2d)
    assert isinstance(discriminator.layers[1], nn.LeakyReLU)  # no norm on D's input layer


def test_initial_weights_have_the_papers_deviation() -> None:
    torch.manual_seed(0)
    weight = Generator((1, 28, 28)).project.weight
    assert 0.0198 < weight.std().item() < 0.0202
    assert abs(weight.mean().item()) < 1e-4


def test_labels_change_what_both_players_see() -> None:
    torch.manual_seed(0)
    generator, discriminator = (
        Generator((1, 28, 28), 10, width=8).eval(),
        Discriminator((1, 28, 28), 10, width=8).eval(),
    )
    z, ones, twos = torch.randn(2, 100), torch.tensor([1, 1]), torch.tensor([2, 2])
    images = generator(z, ones)
    assert (images - generator(z, twos)).abs().max() > 1e-4
    assert (discriminator(images, ones) - discriminator(images, twos)).abs().max() > 1e-6


def test_points_and_tiny_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="type the recipe 'gan'"):
        Generator((2,))
    with pytest.raises(ConfigError, match="resolution 16"):
        Discriminator((1, 6, 6))
