import pytest
import torch
from domain_formulas import content_of, count, drawn

from organza.config import ConfigError
from organza.models import munit, unit
from organza.models.unit import Generator


def tiny(channels=4, side=16, **options):
    torch.manual_seed(0)
    return Generator((channels, side, side), (channels, side, side), **{"width": 4, "blocks": 2, **options})


def test_published_sizes_and_names():
    with torch.device("meta"):
        network = Generator((6, 256, 256), (6, 256, 256))
    assert count(network.a) == count(network.b) == 11_140_483
    assert network.z_dim == 2 * 256 * 64 * 64
    state = network.a.state_dict()
    assert len(state) == 48
    assert tuple(state["enc.model.3.model.3.model.1.conv.weight"].shape) == (256, 256, 3, 3)
    assert tuple(state["dec.model.2.norm.beta"].shape) == (128,)
    assert unit.Discriminator is munit.Discriminator


def test_the_generator_is_its_formula():
    torch.manual_seed(0)
    network = Generator((3, 16, 8), (3, 16, 8), width=4, blocks=2, channels_of_a=2).double()
    state, source = network.state_dict(), torch.randn(2, 3, 16, 8).double()
    z = torch.randn(2, network.z_dim).double()
    half = 16 * 4 * 2
    assert network.z_dim == 2 * half
    code_a, code_b = content_of(source[:, :2], state, "a.enc"), content_of(source[:, 2:], state, "b.enc")
    ab = drawn(code_a + z[:, :half].view(2, 16, 4, 2), state, "b.dec")
    ba = drawn(code_b + z[:, half:].view(2, 16, 4, 2), state, "a.dec")
    torch.testing.assert_close(network(source, z), torch.cat([ab, ba], 1), rtol=1e-9, atol=1e-9)
    means = network.decode(network.encode(source[:, :2], "a"), "b")
    torch.testing.assert_close(network(source)[:, :1], means)
    torch.testing.assert_close(means, drawn(code_a, state, "b.dec"), rtol=1e-9, atol=1e-9)


def test_other_sizes_and_their_noise():
    network = tiny()
    source = torch.randn(1, 4, 24, 32)
    assert network(source).shape == source.shape
    with pytest.raises(ValueError, match=r"256 numbers does not fit codes of 768 .*z \[B, 1536\]"):
        network(source, torch.randn(1, network.z_dim))
    assert network(source, torch.randn(1, 1536)).shape == source.shape


def test_gradients_reach_all_parameters():
    network, source = tiny(), torch.randn(2, 4, 16, 16)
    network(source, torch.randn(2, network.z_dim)).square().mean().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_refusals():
    with pytest.raises(ConfigError, match=r"UNIT reads no labels"):
        Generator((6, 64, 64), (6, 64, 64), 3)
    with pytest.raises(ConfigError, match=r"4x64 are too small for 2 halvings.* 8; type --generator.model.downs 1"):
        Generator((2, 4, 64), (2, 4, 64))
    with pytest.raises(ConfigError, match=r"must be of the shape"):
        Generator((6, 64, 64), (6, 64, 32))
