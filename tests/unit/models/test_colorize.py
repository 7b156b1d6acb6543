import pytest
import torch

from organza.config import ConfigError
from organza.layers.lab import lightness, rgb_to_lab
from organza.models.colorize import Discriminator, Generator


def test_parameter_counts():
    """The U-Net of pix2pix, 54 413 955 parameters, without 2 x 4x4 x 64 at its start, and 128 x 4x4 + 1 at its end."""
    with torch.device("meta"):
        network = Generator((1, 256, 256), (3, 256, 256))
    assert sum(p.numel() for p in network.parameters()) == 54_413_955 - 2 * 16 * 64 - (128 * 16 + 1)
    with torch.device("meta"):
        judge = Discriminator((4, 256, 256))
    assert sum(p.numel() for p in judge.parameters()) == 2_768_705 - 2 * 16 * 64


@pytest.mark.parametrize("sides", [(32, 32), (24, 40)])
def test_the_lightness_stays(sides):
    torch.manual_seed(0)
    network = Generator((1, *sides), (3, *sides), width=4)
    source = torch.rand(2, 1, *sides) * 2 - 1
    made = network(source)
    assert made.shape == (2, 3, *sides)
    torch.testing.assert_close(rgb_to_lab(made)[:, :1], lightness(source), rtol=0, atol=0.05)
    assert rgb_to_lab(made)[:, 1:].abs().max() > 1
    used = network.eval()(source)
    assert -1 <= used.min() < used.max() <= 1
    inside = (network.train()(source).abs() < 0.9).all(1, keepdim=True)
    assert inside.float().mean() > 0.05


def test_gradients_reach_all():
    torch.manual_seed(0)
    network = Generator((1, 32, 32), (3, 32, 32), width=4)
    network(torch.rand(2, 1, 32, 32) * 2 - 1).square().sum().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None, name
        assert p.grad.isfinite().all(), name
        assert p.grad.any(), name


def test_black_and_white_stay_finite():
    network = Generator((1, 16, 16), (3, 16, 16), width=4)
    source = torch.cat([torch.full((1, 1, 16, 16), v) for v in (-1.0, 1.0)])
    network(source).sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
    network.eval()
    torch.testing.assert_close(network(source)[0].mean(), torch.tensor(-1.0), rtol=0, atol=0.3)


def test_refusals():
    for source, shape in (((3, 16, 16), (3, 16, 16)), ((1, 16, 16), (1, 16, 16))):
        with pytest.raises(ConfigError, match=r"--data\.degrade lightness"):
            Generator(source, shape)
    with pytest.raises(ConfigError, match="no labels"):
        Generator((1, 16, 16), (3, 16, 16), 3)
