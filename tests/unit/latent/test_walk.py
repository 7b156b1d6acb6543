import numpy as np
import pytest
import torch
from latent_helpers import distance, tiny
from scipy import stats

from organza.latent.walk import walk


class Echo(torch.nn.Module):
    """Gives its noise back, as points."""

    z_dim = 200

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(1))

    def forward(self, z, labels=None):
        return z * self.one


def echo():
    from organza.config import Model
    from organza.hub import GAN

    return GAN(Echo().requires_grad_(False), Model(name="echo"), (200,), recipe="echo")


def noise(frames=400, seed=0, pace=20, **look) -> torch.Tensor:
    return torch.cat(list(walk(echo(), frames, seed, pace=pace, **look)))


def test_every_frame_is_standard_normal_noise():
    many = noise(200, range(40), pace=7).double()  # [200, 40, 200]
    assert many.shape == (200, 40, 200)
    for frame in (0, 3, 10, 199):
        values = many[frame].flatten().numpy()
        assert stats.kstest(values, "norm").pvalue > 1e-3
        assert values.std() == pytest.approx(1, abs=0.03)
    assert many.square().mean((1, 2)).min() > 0.95
    assert many.square().mean((1, 2)).max() < 1.05


def test_it_forgets_after_four_paces_and_not_before():
    z = noise(400, range(40), pace=20).double()

    def alike(lag: int) -> float:
        return float((z[lag:] * z[: len(z) - lag]).mean())

    assert alike(1) > 0.99
    assert alike(20) == pytest.approx(2 / 3, abs=0.04)
    assert abs(alike(80)) < 0.03


def test_it_moves_evenly_and_without_kinks():
    z = noise(300, 3, pace=20).double()
    steps = z.diff(dim=0)
    speeds = steps.norm(dim=1)
    assert speeds.max() < 1.6 * speeds.min()
    turns = torch.nn.functional.cosine_similarity(steps[1:], steps[:-1])
    assert turns.min() > 0.9  # a kink at a new draw would turn by 60 degrees and more


def test_a_seed_decides_it_and_a_longer_one_begins_the_same():
    short, long = noise(30), noise(90)
    assert torch.equal(noise(30), short)
    torch.testing.assert_close(long[:30], short)
    assert not torch.allclose(noise(30, seed=1), short)
    torch.testing.assert_close(noise(30, [5, 0])[:, 1], short)


def test_truncated_noise_stays_within():
    cut = noise(100, truncation=0.5)
    assert 0.49 < cut.abs().max() <= 0.5 + 1e-6
    assert cut.abs().mean() == pytest.approx(stats.truncnorm(-0.5, 0.5).expect(np.abs), rel=0.05)


def test_images_labels_and_settings():
    gan = tiny("stylegan2", classes=2)
    made = torch.cat(list(walk(gan, 6, [1, 2], pace=3, truncation=0.0)))
    assert made.shape == (6, 2, 3, 16, 16)
    assert distance(made[0], made[5]) <= 1  # the mean stands still
    one = torch.cat(list(walk(gan, 6, 1, pace=3, labels=1, noise="random")))
    assert one.shape == (6, 3, 16, 16)
    assert distance(one[0], one[5]) > 5
    for asked, message in (({"frames": 0}, "frames is 0"), ({"pace": 0}, "pace is 0"), ({"seed": -1}, "seed"),
                           ({"labels": "dog"}, "no label"), ({"rotate": 1}, "no StyleGAN3")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            walk(gan, **({"frames": 5} | asked))
