import pytest
import torch

from organza.augment.adaptive import adapted


@pytest.mark.parametrize(
    ("p", "overfitting", "expected"),
    [(0.3, 0.7, 0.302), (0.3, 0.5, 0.298), (0.3, 0.6, 0.3), (0.001, -1.0, 0.0), (0.999, 1.0, 1.0), (0.0, 0.9, 0.002)],
)
def test_the_probability_follows_the_sign(p, overfitting, expected):
    wanted = torch.tensor(0.6)
    found = adapted(torch.tensor(p), torch.tensor(overfitting), wanted.item(), 1000, 500_000)
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, abs=1e-6)


def test_from_zero_to_one_in_as_many_images_as_said():
    p = torch.tensor(0.0, dtype=torch.float64)
    for _ in range(499):
        p = adapted(p, torch.tensor(0.9), 0.6, 1000, 500_000)
    assert p.item() == pytest.approx(0.998)
    assert adapted(p, torch.tensor(0.9), 0.6, 1000, 500_000).item() == pytest.approx(1.0)
