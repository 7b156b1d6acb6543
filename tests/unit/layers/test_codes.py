"""Codes in the noise: their distribution, their inverse, and an InfoGAN through a file."""

import pytest
import torch
from engine_helpers import small_trainer
from scipy import stats
from torch import nn

from organza.config import Codes
from organza.hub import GAN, load, save
from organza.latent.sampling import generate, latents
from organza.layers.codes import Coded

CHANCE = 1e-3
MANY = 6000


class Same(nn.Module):
    """Gives back what it is given."""

    z_dim = 12

    def forward(self, z, labels=None):
        return z


CODED = Coded(Same(), (3, 4), 2)
HOT = (slice(0, 3), slice(3, 7))


def test_normal_noise_makes_every_category_and_every_number_equally_likely():
    z = torch.randn(MANY, 12, generator=torch.Generator().manual_seed(0))
    codes = CODED(z)
    assert codes.shape == z.shape
    for places in HOT:
        assert codes[:, places].sum(1).eq(1).all()
        assert stats.chisquare(codes[:, places].sum(0).numpy()).pvalue > CHANCE
    together = torch.bincount(codes[:, HOT[0]].argmax(1) * 4 + codes[:, HOT[1]].argmax(1), minlength=12)
    assert stats.chisquare(together.numpy()).pvalue > CHANCE  # independent
    for number in codes[:, 7:9].T:
        assert stats.kstest(number.numpy(), "uniform", (-1, 2)).pvalue > CHANCE
    assert torch.equal(codes[:, 9:], z[:, 9:])


def test_noise_for_a_code_is_the_inverse_and_moves_nothing_else():
    z = torch.randn(50, 12, generator=torch.Generator().manual_seed(1))
    before = CODED.encode(z)
    for code, count in ((0, 3), (1, 4)):
        for value in range(count):
            codes = CODED.encode(CODED.noise_for(z, code, value))
            assert codes[:, HOT[code]].argmax(1).eq(value).all()
            codes[:, HOT[code]] = before[:, HOT[code]]
            assert torch.equal(codes, before)
    for code in (2, 3):
        for value in (-0.99, -0.5, 0.0, 0.3, 0.99):
            codes = CODED.encode(CODED.noise_for(z, code, value))
            assert codes[:, 5 + code].tolist() == pytest.approx([value] * 50, abs=1e-6)
            codes[:, 5 + code] = before[:, 5 + code]
            assert torch.equal(codes, before)
    assert torch.equal(CODED.encode(z), before)  # the given noise is not touched


def test_an_infogan_goes_through_a_file(tmp_path):
    trainer = small_trainer("infogan")
    for _ in range(2):
        trainer.step()
    codes = Codes(categorical=(3, 2), continuous=1)
    assert trainer.config.codes == codes
    save(GAN(trainer.average, trainer.config.generator.model, trainer.store.shape, (), codes=codes), tmp_path, "")
    gan = load(tmp_path)
    assert gan.codes == codes
    assert isinstance(gan.generator, Coded)
    assert (gan.generator.categorical, gan.generator.continuous) == ((3, 2), 1)
    z = latents(range(5), gan.z_dim)
    assert torch.equal(generate(gan.generator, z, None), generate(trainer.average, z, None))
    one, two = (generate(gan.generator, gan.generator.noise_for(z, 0, value), None) for value in (0, 1))
    assert (one - two).abs().max() > 0  # the code reaches the image
