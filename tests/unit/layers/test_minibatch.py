import math

import pytest
import torch
from torch.autograd import gradgradcheck

from organza.config import ConfigError, Model
from organza.layers.minibatch import MinibatchDiscrimination, minibatch_deviation
from organza.models import build


@pytest.mark.parametrize(("batch", "group", "features"), [(8, 4, 1), (6, 3, 2), (4, 8, 1), (1, 4, 4), (6, 2, 4)])
def test_deviation_sample_by_sample(batch, group, features):
    torch.manual_seed(0)
    x = torch.randn(batch, 4, 3, 2)
    y = minibatch_deviation(x, group, features)
    assert y.shape == (batch, 4 + features, 3, 2)
    assert torch.equal(y[:, :4], x)
    size = min(group, batch)
    for sample in range(batch):
        members = [x[i] for i in range(sample % (batch // size), batch, batch // size)]
        assert len(members) == size
        for part in range(features):
            values = []
            for channel in range(part * 4 // features, (part + 1) * 4 // features):
                for place in range(6):
                    numbers = [m[channel].flatten()[place].item() for m in members]
                    mean = sum(numbers) / size
                    values.append(math.sqrt(sum((n - mean) ** 2 for n in numbers) / size + 1e-8))
            expected = torch.full((3, 2), sum(values) / len(values))
            torch.testing.assert_close(y[sample, 4 + part], expected)


def test_deviation_has_a_gradient_where_all_samples_are_equal():
    x = torch.ones(4, 2, 3, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(minibatch_deviation(x)[:, -1].sum(), x, create_graph=True)
    assert torch.isfinite(gradient).all()


def test_a_broken_batch_is_refused():
    with pytest.raises(ConfigError, match=r"10 samples.*groups of 4.*--batch 12"):
        minibatch_deviation(torch.zeros(10, 4, 2, 2), 4)
    with pytest.raises(ConfigError, match="3 parts"):
        minibatch_deviation(torch.zeros(8, 4, 2, 2), 4, 3)


def test_discrimination_follows_the_paper():
    torch.manual_seed(0)
    layer, f = MinibatchDiscrimination(5, kernels=3, dims=2), torch.randn(4, 5)
    out = layer(f)
    assert out.shape == (4, 8)
    assert torch.equal(out[:, :5], f)
    m = [[(f[i] @ layer.transform[:, b]).tolist() for b in range(3)] for i in range(4)]
    for i in range(4):
        for b in range(3):
            distances = [sum(abs(p - q) for p, q in zip(m[i][b], m[j][b], strict=True)) for j in range(4)]
            assert out[i, 5 + b].item() == pytest.approx(sum(math.exp(-d) for d in distances), rel=1e-4)


def test_discrimination_counts_copies():
    layer = MinibatchDiscrimination(5)
    torch.testing.assert_close(layer(torch.ones(6, 5))[:, 5:], torch.full((6, 100), 6.0))
    far = layer(1e4 * torch.eye(5))[:, 5:]
    torch.testing.assert_close(far, torch.ones(5, 100))


SHAPE = (1, 16, 16)
WIDTHS = {"sngan": (4, 8), "biggan": (4, 8), "biggan-deep": (8, 8), "r3gan": (8, 8, 8)}


def judge(name: str, minibatch: str):
    torch.manual_seed(0)
    options = {"minibatch": minibatch} | ({"widths": WIDTHS[name]} if name in WIDTHS else {"width": 8})
    options |= {"downs": 1} if name in ("sngan", "biggan") else {}
    options |= {"blocks": 1, "channels_per_group": 8} if name == "r3gan" else {}
    return build(Model(name=name, options=options), "discriminator", SHAPE, 3).eval()


@pytest.mark.parametrize("name", ["mlp", "dcgan", "resnet", "r3gan", "sngan", "biggan", "biggan-deep"])
def test_networks_with_features_may_see_the_batch(name):
    one, many = torch.randn(1, *SHAPE).expand(4, -1, -1, -1), torch.randn(4, *SHAPE)
    labels = torch.zeros(4, dtype=torch.long)
    plain, deviation, closeness = (judge(name, how) for how in ("none", "stddev", "discrimination"))
    for network in (deviation, closeness):  # whose heads are wider, and their starts other ones
        shapes = {key: value.shape for key, value in network.state_dict().items()}
        equal = {key: value for key, value in plain.state_dict().items() if value.shape == shapes[key]}
        assert len(equal) >= 2
        network.load_state_dict(equal, strict=False)
    alone = plain.features(many, labels)
    seen = deviation.features(many, labels)
    assert deviation.feature_size == plain.feature_size + 1 == seen.shape[1]
    torch.testing.assert_close(seen[:, :-1], alone)
    expected = (alone.var(0, correction=0) + 1e-8).sqrt().mean()
    torch.testing.assert_close(seen[:, -1], expected.expand(4))
    torch.testing.assert_close(deviation.features(one, labels)[:, -1], torch.full((4,), 1e-4), rtol=1e-2, atol=1e-5)
    together, apart = (closeness.features(x, labels)[:, -32:] for x in (one, many))
    torch.testing.assert_close(together, torch.full((4, 32), 4.0), rtol=1e-3, atol=0)
    assert (apart > 1 - 1e-5).all()
    assert apart.mean() < together.mean()
    assert deviation(many, labels).shape == closeness(many, labels).shape == (4,)


@pytest.mark.parametrize(("group", "features"), [(4, 1), (2, 2)])
def test_second_derivatives_of_the_deviation(group, features):
    x = torch.randn(4, 2, 2, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert gradgradcheck(lambda v: minibatch_deviation(v, group, features).square(), x)
