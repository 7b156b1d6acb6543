import pytest
import torch

from organza.latent.interpolation import has_mapping, interpolation, slerp
from organza.latent.sampling import latents


class Plain(torch.nn.Module):
    """Gives its noise and its label back."""

    z_dim = 3

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, z, labels=None):
        assert not self.training
        return torch.cat([z, (torch.zeros(len(z)) if labels is None else labels)[:, None]], 1)


class Styled(Plain):
    """Has a w, which is not z."""

    def mapping(self, z, labels=None):
        return 10 * z**2 + (0 if labels is None else labels[:, None])

    def synthesis(self, w):
        assert not self.training
        return w


def test_an_arc_keeps_its_length_and_its_steps():
    a, b = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 3.0, 0.0])
    arc = slerp(a, b, 7)
    assert arc[0] == pytest.approx(a, abs=1e-6)
    assert arc[-1] == pytest.approx(b, abs=1e-6)
    assert arc.norm(dim=1) == pytest.approx(torch.full((7,), 3.0))
    steps = arc.diff(dim=0).norm(dim=1)
    assert steps == pytest.approx(torch.full((6,), float(steps[0])))


def test_lengths_change_evenly():
    arc = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0]), 3)
    assert arc.norm(dim=1).tolist() == pytest.approx([1, 2, 3])


@pytest.mark.parametrize("end", [[2.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_noise_between_which_there_is_no_arc(end):
    found = slerp(torch.tensor([1.0, 0.0]), torch.tensor(end), 3)
    assert found.isfinite().all()
    assert found[0].tolist() == [1.0, 0.0]
    assert found[-1].tolist() == pytest.approx(end)


def test_one_step_is_no_way():
    with pytest.raises(ValueError, match="2 or more"):
        slerp(torch.ones(2), torch.ones(2), 1)


def test_rows_go_from_seed_to_seed():
    generator = Plain().train()
    found = interpolation(generator, 2, 4, seed=5).view(2, 4, -1)
    z = latents(range(5, 9), 3)
    for row in range(2):
        assert found[row, 0, :3] == pytest.approx(z[2 * row], abs=1e-5)
        assert found[row, 3, :3] == pytest.approx(z[2 * row + 1], abs=1e-5)
    assert generator.training
    labelled = interpolation(generator, 3, 4, classes=2).view(3, 4, -1)
    assert labelled[..., 3].tolist() == [[0] * 4, [1] * 4, [0] * 4]


def test_a_generator_with_a_mapping_goes_straight_in_w():
    assert has_mapping(Styled())
    assert not has_mapping(Plain())
    generator = Styled().train()
    found = interpolation(generator, 2, 3, seed=5).view(2, 3, -1)
    w = 10 * latents(range(5, 9), 3) ** 2
    assert found[0, 1] == pytest.approx((w[0] + w[1]) / 2, rel=1e-5)
    assert found[1, 2] == pytest.approx(w[3], rel=1e-5)
    assert generator.training
    labelled = interpolation(generator, 2, 3, seed=5, classes=7).view(2, 3, -1)
    assert labelled[1, 0] == pytest.approx(w[2] + 1, rel=1e-5)
