"""The fully connected players, for images and for points."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from organza.models.mlp import Discriminator, Generator, spread


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


def test_points_and_images_take_batch_norm_or_none() -> None:
    for shape in ((2,), (1, 8, 8)):
        for norm, count in (("batch", 3), ("none", 0)):
            network = Generator(shape, z_dim=4, width=8, norm=norm)
            assert sum(isinstance(layer, nn.BatchNorm1d) for layer in network.layers) == count


def test_reach_spreads_the_hinges_of_the_first_layer_alone() -> None:
    torch.manual_seed(0)
    for reach in (1.0, 4.0):
        first, second = [layer for layer in Discriminator((2,), 3, width=2000, depth=2, reach=reach).layers
                         if isinstance(layer, nn.Linear)]  # fmt: skip
        distance = first.bias / first.weight[:, :2].norm(dim=1)  # of each hinge from the origin, labels left out
        assert 0.98 * reach < distance.max() <= reach * 1.0001
        assert abs(distance.abs().mean() - reach / 2) < 0.05 * reach
        assert second.bias.abs().max() == 0
    start = Discriminator((2,), width=2000, depth=2).layers[0]
    assert isinstance(start, nn.Linear)
    assert (start.bias / start.weight.norm(dim=1)).abs().median() < 1  # torch's own


def test_spread_keeps_the_variance_of_features() -> None:
    torch.manual_seed(0)
    for slope in (0.0, 0.2):
        layers = Discriminator((64,), width=512, depth=3, slope=slope).layers
        spread(layers, 64, slope, 0.1)
        x = torch.randn(512, 64)
        assert 0.7 < layers(x).square().mean() / x.square().mean() < 1.4


def test_without_hidden_layers_d_is_a_plane() -> None:
    """The bilinear game, whose players circle about each other."""
    x, plane = torch.randn(7, 2), Discriminator((2,), depth=0, reach=3.0)
    assert torch.allclose(plane(x), x @ plane.head.weight[0] + plane.head.bias)
