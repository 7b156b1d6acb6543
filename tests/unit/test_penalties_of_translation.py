import pytest
import torch

from organza.models import pix2pixhd, spade
from organza.penalties.translation import (
    absolute,
    divergence,
    hd_weight,
    matched_features,
    spade_weight,
    total_variation,
)


def test_matched_features_are_weighted_means_of_differences():
    real = [torch.zeros(2, 3, 2, 2), torch.ones(2, 5, 1, 1)]
    fake = [torch.tensor([1.0, -2.0]).view(2, 1, 1, 1).expand(2, 3, 2, 2), 4 * torch.ones(2, 5, 1, 1)]
    assert matched_features(real, fake, 0.5).tolist() == [0.5 * (1 + 3), 0.5 * (2 + 3)]
    with pytest.raises(ValueError, match="2 real and 1 fake"):
        matched_features(real, fake[:1], 1.0)
    with pytest.raises(ValueError, match="0 real"):
        matched_features([], [], 1.0)


def test_real_features_learn_nothing():
    real, fake = (torch.randn(2, 3, requires_grad=True) for _ in range(2))
    matched_features([real], [fake], 1.0).sum().backward()
    assert real.grad is None
    assert fake.grad.abs().allclose(torch.full((2, 3), 1 / 3))


def test_weights_of_the_papers():
    """pix2pixHD: 4 / (3 + 1) / 2 for 2 scales of 3 layers; SPADE: 1 / 2."""
    torch.manual_seed(0)
    x = torch.randn(1, 4, 32, 32)
    count = len(pix2pixhd.Discriminator((4, 32, 32), width=4).features(x))
    assert hd_weight(count) == 4 / (3 + 1) / 2
    assert len(spade.Discriminator((4, 32, 32), width=4).features(x)) == 8
    assert spade_weight(2) == 0.5


def test_total_variation_of_ramps_and_noise():
    ramp = torch.arange(5.0).expand(2, 1, 4, 5) * torch.tensor([1.0, -3.0]).view(2, 1, 1, 1)
    assert total_variation(ramp).tolist() == [1, 3]
    assert total_variation(ramp.transpose(2, 3), 2).tolist() == [1, 9]
    assert total_variation(torch.ones(1, 3, 4, 4)).item() == 0
    both = torch.tensor([[0.0, 1.0], [5.0, 2.0]])[None, None]
    assert total_variation(both).item() == (1 + 3) / 2 + (5 + 1) / 2


def test_absolute_and_divergence():
    a, b = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 4.0], [0.0, -1.0]])
    assert absolute(a, b).tolist() == [1.5, 0.5]
    mean, log_variance = torch.tensor([[0.0, 0.0], [1.0, -2.0]]), torch.tensor([[0.0, 0.0], [0.5, -1.0]])
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(divergence(mean, log_variance), expected)
    assert divergence(mean, log_variance)[0].item() == 0
