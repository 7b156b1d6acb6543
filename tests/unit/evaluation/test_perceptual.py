"""LPIPS of pairs and path length: by hand where a Jacobian is known, through small fake weights where it is not."""

import pytest
import torch
from engine_helpers import shrunk
from latent_helpers import tiny
from torch import nn

import organza
from organza.config import ConfigError, Model
from organza.data import open_dataset
from organza.hub import GAN
from organza.latent.sampling import latents
from organza.metrics import lpips
from organza.metrics.lpips import Lpips
from organza.metrics.networks import vgg
from organza.metrics.path_length import for_path_length, path_lengths, without_extremes


def squared(one, two):
    return (one - two).square().flatten(1).sum(1)


def fake_lpips(trunk, **_):
    torch.manual_seed(3)
    network = vgg.AlexNet() if trunk == "alex" else vgg.Vgg16(4)
    heads = [torch.rand(width) for width in lpips.CHANNELS[trunk]]
    return Lpips(trunk, network, heads, "a" * 64 + "+" + "b" * 64)


class Linear(nn.Module):
    """Images 2x2 that are a matrix times the noise, which w makes from z by another one."""

    z_dim = 3

    def __init__(self):
        super().__init__()
        random = torch.Generator().manual_seed(0)
        self.first = nn.Parameter(torch.randn(5, 3, generator=random) * 0.3)
        self.second = nn.Parameter(torch.randn(4, 5, generator=random) * 0.3)

    def mapping(self, z, labels=None):
        return z @ self.first.T

    def synthesis(self, w):
        return (w @ self.second.T).view(-1, 1, 2, 2)

    def forward(self, z, labels=None):
        return self.synthesis(self.mapping(z))


@pytest.mark.parametrize("epsilon", [1e-4, 1e-2, 0.5])
def test_the_length_of_a_linear_generator_is_its_jacobian_whatever_epsilon(epsilon):
    matrix = torch.randn(12, 3, dtype=torch.float64)
    a, b = torch.randn(2, 50, 3, dtype=torch.float64)
    found = path_lengths(lambda z, _: (z @ matrix.T).view(-1, 3, 2, 2), a, b, squared, epsilon=epsilon, batch=7)
    torch.testing.assert_close(found, ((b - a) @ matrix.T).square().sum(1), rtol=1e-6, atol=0)


def test_a_curved_one_is_that_of_its_start():
    a, b = torch.randn(2, 20, 4, dtype=torch.float64)
    found = path_lengths(lambda z, _: z.sin()[:, :, None, None], a, b, squared, epsilon=1e-6)
    torch.testing.assert_close(found, (a.cos() * (b - a)).square().sum(1), rtol=1e-3, atol=1e-4)


def test_extremes_do_not_count():
    values = torch.arange(1000.0, dtype=torch.float64)[torch.randperm(1000)]
    kept = without_extremes(values).sort().values
    assert kept[0] == 9  # 999 x 0.01 = 9.99, the value below
    assert kept[-1] == 990  # 989.01, the value above
    assert torch.equal(without_extremes(values[:1]), values[:1])


def test_what_has_no_length_is_refused():
    a = torch.zeros(2, 3)
    with pytest.raises(ConfigError, match="epsilon is 0"):
        path_lengths(lambda z, _: z, a, a, squared, epsilon=0)
    with pytest.raises(ConfigError, match="give equal shapes"):
        path_lengths(lambda z, _: z, a, a[:1], squared)
    with pytest.raises(ConfigError, match="not at 4 channels"):
        for_path_length(torch.zeros(1, 4, 8, 8))
    assert for_path_length(torch.zeros(1, 1, 512, 512)).shape == (1, 3, 256, 256)


def linear_gan():
    return GAN(Linear().requires_grad_(False), Model(name="linear"), (1, 2, 2), recipe="linear")


def test_ppl_in_z_and_w_of_a_known_generator(monkeypatch):
    measure = type("Squared", (), {"name": "lpips-vgg", "sha256": "x+y", "__call__": lambda _, a, b: squared(a, b)})()
    monkeypatch.setattr("organza.evaluation.through.open_lpips", lambda trunk, **_: measure)
    gan, count = linear_gan(), 200
    real = torch.randint(0, 256, (20, 1, 2, 2), dtype=torch.uint8)
    found = organza.evaluate(gan, real, "ppl", samples=count)
    z = latents(range(1_000_000, 1_000_000 + 2 * count), 3).double().view(count, 2, 3)
    jacobian = (gan.generator.second @ gan.generator.first).double()
    lengths = 3 * ((z[:, 1] - z[:, 0]) @ jacobian.T).square().sum(1)  # three equal channels
    assert found["ppl"].value == pytest.approx(float(without_extremes(lengths).mean()), rel=0.02)
    assert found["ppl-w"].value == pytest.approx(found["ppl"].value, rel=0.02)  # a linear mapping keeps ways straight
    assert [score.name for score in found.scores] == ["ppl-vgg", "ppl-w-vgg"]
    assert found["ppl"].low < found["ppl"].value < found["ppl"].high


def test_truncation_of_w_shortens_ways_in_z_and_in_w(monkeypatch):
    measure = type("Squared", (), {"name": "lpips-vgg", "sha256": "x+y", "__call__": lambda _, a, b: squared(a, b)})()
    monkeypatch.setattr("organza.evaluation.through.open_lpips", lambda trunk, **_: measure)
    real, gan = torch.randint(0, 256, (20, 3, 16, 16), dtype=torch.uint8), tiny("stylegan2")
    none, half, mean = (organza.evaluate(gan, real, "ppl", samples=20, truncation=t) for t in (None, 0.5, 0.0))
    for name in ("ppl", "ppl-w"):
        assert mean[name].value == pytest.approx(0, abs=1e-3 * none[name].value)
        assert 0.01 * none[name].value < half[name].value < none[name].value


def test_lpips_of_fakes_beside_that_of_reals(monkeypatch, tmp_path):
    monkeypatch.setattr("organza.evaluation.through.open_lpips", fake_lpips)
    monkeypatch.setattr("organza.evaluation.perceptual.PAIRS", 64)
    real = open_dataset("mnist").images[:64]
    same = organza.evaluate(real[:1].repeat(32, 1, 1, 1), real, "lpips")
    assert same["lpips"].value == 0 < same["lpips"].details["of_real"]
    assert same["lpips"].name == "lpips-alex"
    assert "lpips-alex (aaaaaaaaaaaa+bbbbbbbbbbbb)" in same["lpips"].protocol
    assert same.networks["lpips-alex"]["sha256"].startswith("a" * 64)
    equal = organza.evaluate(real, real, "lpips")["lpips"]
    assert equal.value == pytest.approx(equal.details["of_real"])
    run = organza.train("dcgan", data="mnist", images=32, out=tmp_path / "run", changes=shrunk("dcgan", (1, 28, 28)),
                        device="cpu")  # fmt: skip
    found = organza.evaluate(run.path, metrics=("fd", "lpips", "ppl"), samples=20, real_samples=20, network="digits")
    assert [score.name for score in found.scores] == ["fd-digits", "lpips-alex", "ppl-vgg"]
    assert found["lpips"].value > 0
    assert found["ppl"].value > 0


def test_what_cannot_be_told_is_refused_before_anything_is_drawn(monkeypatch, tmp_path):
    images = torch.randint(0, 256, (8, 3, 64, 64), dtype=torch.uint8)
    with pytest.raises(ConfigError, match="ppl asks a generator, and images have none"):
        organza.evaluate(images, images, "ppl")
    with pytest.raises(ConfigError, match="lpips looks through LPIPS alone, not through digits"):
        organza.evaluate(images, images, "lpips@digits")
    with pytest.raises(ConfigError, match="lpips looks at images; points take --metrics modes"):
        organza.evaluate(open_dataset("ring").images[:50], "ring", "lpips")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("organza.evaluation.draw", lambda *_: pytest.fail("sampled first"))
    with pytest.raises(ConfigError, match="alex"):
        organza.evaluate(images, images, "lpips")
