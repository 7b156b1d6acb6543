"""The fully connected players, for images and for points."""

from __future__ import annotations

import pytest
import torch

from organza.models.mlp import Discriminator, Generator


@pytest.mark.parametrize(("shape", "classes"), [((1, 8, 8), 0), ((3, 4, 6), 5), ((2,), 0), ((3,), 4)])
def test_shapes_and_gradients(shape: tuple[int, ...], classes: int) -> None:
    torch.manual_seed(0)
    generator = Generator(shape, classes, z_dim=6, width=8)
    discriminator = Discriminator(shape, classes, width=8)
    labels = torch.arange(5) % classes if classes else None
    samples = generator(torch.randn(5, 6), labels)
    assert samples.shape == (5, *shape)
    logits = discriminator(samples, labels)
    assert logits.shape == (5,)
    logits.square().sum().backward()
    for network in (generator, discriminator):
        assert all(p.grad is not None for p in network.parameters())


def test_images_are_bounded_and_points_are_not() -> None:
    torch.manual_seed(0)
    z = torch.randn(64, 6) * 100
    assert Generator((1, 4, 4), z_dim=6, width=8)(z).abs().max() <= 1
    points = Generator((2,), z_dim=6, width=8)(z)
    assert points.abs().max() > 1


def test_dropout_is_only_where_it_was_asked_for() -> None:
    x = torch.randn(16, 2)
    sure, unsure = Discriminator((2,), width=64), Discriminator((2,), width=64, dropout=0.5)
    assert torch.equal(sure(x), sure(x))
    assert not torch.equal(unsure(x), unsure(x))
