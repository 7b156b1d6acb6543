import numpy as np
import pytest
import torch

from organza.latent.sampling import every_class, latents


def test_the_seed_contract():
    z = latents([0, 5, 2**32 - 1], 7)
    assert z.dtype == torch.float32
    for row, seed in zip(z, (0, 5, 2**32 - 1), strict=True):
        assert np.array_equal(row.numpy(), np.random.RandomState(seed).randn(1, 7)[0].astype(np.float32))
    assert latents([], 7).shape == (0, 7)
    assert torch.equal(latents(range(3), 4), latents([0, 1, 2], 4))


@pytest.mark.parametrize("limit", [0.02, 0.5, 1.0, 2.0])
def test_truncation_is_a_bounded_normal(limit):
    full, cut = latents(range(50), 100), latents(range(50), 100, truncation=limit)
    assert cut.abs().max() <= limit * (1 + 1e-6)
    assert cut.abs().max() > 0.95 * limit
    assert ((full > 0) == (cut > 0)).all()
    assert (cut.abs() <= full.abs() + 1e-6).all()
    order = full.flatten().argsort()
    assert (cut.flatten()[order].diff() >= 0).all()  # a monotonic map of the noise
    uniform = torch.special.ndtr(cut.double())  # by quantile: uniform between those of the two limits
    low, high = torch.special.ndtr(torch.tensor([-limit, limit], dtype=torch.float64))
    assert ((uniform - low) / (high - low)).mean().item() == pytest.approx(0.5, abs=0.03)


def test_truncation_moves_smoothly_to_no_truncation():
    full = latents(range(20), 50)
    steps = [latents(range(20), 50, truncation=t) for t in (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 6.0)]
    sizes = [step.abs().mean().item() for step in (*steps, full)]
    assert sizes == sorted(sizes)
    torch.testing.assert_close(steps[-1], full, rtol=0, atol=1e-4)


@pytest.mark.parametrize("limit", [0, -1, 0.0, float("nan")])
def test_truncation_needs_a_positive_number(limit):
    with pytest.raises(ValueError, match="truncation"):
        latents([0], 4, truncation=limit)


def test_every_class():
    assert every_class(5, 3).tolist() == [0, 1, 2, 0, 1]
    assert every_class(5, 0) is None
