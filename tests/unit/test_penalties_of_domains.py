"""The terms of MUNIT, UNIT, StarGAN and StarGAN v2."""

import math

import pytest
import torch

from organza.models import munit as munit_model
from organza.models import stargan as stargan_model
from organza.models import stargan_v2 as v2_model
from organza.models import unit as unit_model
from organza.penalties.distances import apart
from organza.penalties.munit import divergence, munit, unit
from organza.penalties.stargan import cycle, diversity, domain_classification, reconstruction, style_reconstruction

SHAPE = (3, 16, 16)  # one channel of A, two of B


@pytest.fixture
def munit_generator():
    torch.manual_seed(0)
    return munit_model.Generator(
        SHAPE, SHAPE, width=4, blocks=1, style_dim=3, mlp_width=5, style_downs=3, channels_of_a=1
    )


@pytest.fixture
def unit_generator():
    torch.manual_seed(0)
    return unit_model.Generator(SHAPE, SHAPE, width=4, blocks=1, channels_of_a=1)


@pytest.fixture
def styled():
    torch.manual_seed(0)
    return v2_model.Generator(SHAPE, SHAPE, 2, width=4, max_width=8, style_dim=5, z_dim=3, mapping_width=6)


def emptied(network):
    """A network that draws grey and encodes zeros."""
    for p in network.parameters():
        torch.nn.init.zeros_(p)
    return network


def per_sample(x):
    return torch.stack([row.abs().mean() for row in x])


def test_apart_is_the_mean_of_each_sample():
    x, y = torch.zeros(2, 1, 2), torch.tensor([[[1.0, -3.0]], [[0.0, 0.5]]])
    assert apart(x, y).tolist() == [2.0, 0.25]
    assert apart(x.bfloat16(), y).dtype == torch.float32


def test_munit_of_an_empty_network(munit_generator):
    """Its images are grey, its contents and styles zero: what is missing is all there was."""
    network, source, z = emptied(munit_generator), torch.randn(4, *SHAPE), torch.randn(4, 6)
    terms = munit(network, source, z, network(source, z))
    images = per_sample(source[:, :1]) + per_sample(source[:, 1:])
    torch.testing.assert_close(terms["image"], images)
    torch.testing.assert_close(terms["cycle"], images)
    torch.testing.assert_close(terms["style"], per_sample(z[:, :3]) + per_sample(z[:, 3:]))
    assert terms["content"].tolist() == [0.0] * 4
    assert munit(network, source, z, network(source, z), cycle=False).keys() == {"image", "style", "content"}


def test_munit_is_its_formula(munit_generator):
    network, source, z = munit_generator.double(), torch.randn(2, *SHAPE).double(), torch.randn(2, 6).double()
    a, b = network.a, network.b
    of_a, of_b, to_b, to_a = source[:, :1], source[:, 1:], z[:, :3], z[:, 3:]
    content_a, content_b = a.enc_content(of_a), b.enc_content(of_b)
    ab, ba = b.decode(content_a, to_b), a.decode(content_b, to_a)
    expected = {
        "image": per_sample(a.decode(content_a, a.enc_style(of_a)) - of_a)
        + per_sample(b.decode(content_b, b.enc_style(of_b)) - of_b),
        "style": per_sample(b.enc_style(ab) - to_b) + per_sample(a.enc_style(ba) - to_a),
        "content": per_sample(b.enc_content(ab) - content_a) + per_sample(a.enc_content(ba) - content_b),
        "cycle": per_sample(a.decode(b.enc_content(ab), a.enc_style(of_a)) - of_a)
        + per_sample(b.decode(a.enc_content(ba), b.enc_style(of_b)) - of_b),
    }
    terms = munit(network, source, z, network(source, z))
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value.float(), msg=name)


def test_munit_teaches_every_part(munit_generator):
    source, z = torch.randn(2, *SHAPE), torch.randn(2, 6)
    terms = munit(munit_generator, source, z, munit_generator(source, z))
    sum(term.mean() for term in terms.values()).backward()
    assert all(p.grad is not None and p.grad.any() for p in munit_generator.parameters())


def test_unit_of_an_empty_network(unit_generator):
    network, source = emptied(unit_generator), torch.randn(3, *SHAPE)
    z = torch.randn(3, network.z_dim)
    terms = unit(network, source, z, network(source, z), z)
    images = per_sample(source[:, :1]) + per_sample(source[:, 1:])
    torch.testing.assert_close(terms["image"], images)
    torch.testing.assert_close(terms["cycle"], images)
    assert terms["kl"].tolist() == terms["kl-cycle"].tolist() == [0.0] * 3


def test_unit_is_its_formula(unit_generator):
    network, source = unit_generator.double(), torch.randn(2, *SHAPE).double()
    z, again = torch.randn(2, 2, network.z_dim).double()
    a, b, of_a, of_b = network.a, network.b, source[:, :1], source[:, 1:]
    on_a, on_b, on_ab, on_ba = (n.view(2, 16, 4, 4) for n in (*z.chunk(2, 1), *again.chunk(2, 1)))
    code_a, code_b = a.enc(of_a), b.enc(of_b)
    code_ab, code_ba = b.enc(b.dec(code_a + on_a)), a.enc(a.dec(code_b + on_b))
    expected = {
        "image": per_sample(a.dec(code_a + on_a) - of_a) + per_sample(b.dec(code_b + on_b) - of_b),
        "cycle": per_sample(a.dec(code_ab + on_ab) - of_a) + per_sample(b.dec(code_ba + on_ba) - of_b),
        "kl": per_sample(code_a**2) + per_sample(code_b**2),
        "kl-cycle": per_sample(code_ab**2) + per_sample(code_ba**2),
    }
    terms = unit(network, source, z, network(source, z), again)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value.float(), msg=name)
    still = unit(network, source, None, network(source))
    torch.testing.assert_close(
        still["image"], (per_sample(a.dec(code_a) - of_a) + per_sample(b.dec(code_b) - of_b)).float()
    )
    assert (still["image"] - terms["image"]).abs().min() > 1e-4


def test_divergence_is_twice_that_of_normal_distributions():
    mean = torch.tensor([[[3.0]], [[-0.5]]])
    exact = torch.distributions.kl_divergence(torch.distributions.Normal(mean, 1), torch.distributions.Normal(0, 1))
    torch.testing.assert_close(divergence(mean), 2 * exact.flatten())


def test_classes_and_attributes():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    found = domain_classification(logits, torch.tensor([0, 2]))
    assert found.tolist() == pytest.approx([math.log(1 + math.exp(-2) + math.exp(-3)), math.log(3)])
    found = domain_classification(logits, torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    softplus = [math.log1p(math.exp(-2)) + math.log(2) + math.log1p(math.exp(1)), 3 * math.log(2)]
    assert found.tolist() == pytest.approx(softplus)


def test_stargan_brings_back_with_the_labels_of_the_source():
    torch.manual_seed(0)
    network = stargan_model.Generator(SHAPE, SHAPE, 2, width=4, blocks=1)
    source, labels = torch.randn(3, *SHAPE), torch.tensor([0, 1, 0])
    fake = network(source, None, 1 - labels)
    found = reconstruction(network, source, fake, labels)
    torch.testing.assert_close(found, per_sample(source - network(fake, None, labels)))
    torch.testing.assert_close(reconstruction(emptied(network), source, fake, labels), per_sample(source))


def test_stargan_v2_is_its_formulas(styled):
    source, domain = torch.randn(2, *SHAPE), torch.tensor([1, 0])
    style, other = styled.style_from(torch.randn(2, 3), domain), styled.style_from(torch.randn(2, 3), domain)
    fake = styled.translate(source, style)
    found = style_reconstruction(styled, fake, style, domain)
    torch.testing.assert_close(found, per_sample(style - styled.style_encoder(fake, domain)))
    found = diversity(styled, source, fake, other)
    torch.testing.assert_close(found, per_sample(fake - styled.generator(source, other)))
    assert diversity(styled, source, fake, style).abs().max() < 1e-6  # one style, one image
    found = cycle(styled, source, fake, 1 - domain)
    back = styled.generator(fake, styled.style_encoder(source, 1 - domain))
    torch.testing.assert_close(found, per_sample(source - back))


def test_stargan_v2_of_an_empty_network(styled):
    source, style, domain = torch.randn(2, *SHAPE), torch.randn(2, 5), torch.tensor([1, 0])
    emptied(styled)
    torch.testing.assert_close(style_reconstruction(styled, source, style, domain), per_sample(style))
    torch.testing.assert_close(diversity(styled, source, source, style), per_sample(source))
    torch.testing.assert_close(cycle(styled, source, source, domain), per_sample(source))


def test_the_other_image_of_diversity_has_no_gradient(styled):
    source, other = torch.randn(1, *SHAPE), torch.randn(1, 5, requires_grad=True)
    fake = torch.zeros(1, *SHAPE, requires_grad=True)
    diversity(styled, source, fake, other).sum().backward()
    assert fake.grad is not None
    assert other.grad is None
    assert all(p.grad is None for p in styled.parameters())


def test_masks_reach_the_generator():
    torch.manual_seed(0)
    shape = (3, 64, 64)
    network = v2_model.Generator(shape, shape, 2, width=2, max_width=2, style_dim=2, downs=1, w_hpf=1.0)
    source, style, domain = torch.randn(1, *shape), torch.randn(1, 2), torch.tensor([0])
    masks = (torch.ones(1, 1, 32, 32), torch.ones(1, 1, 64, 64))
    fake = network.translate(source, style)
    assert diversity(network, source, fake, style, masks) > 1e-3
    assert not torch.equal(cycle(network, source, fake, domain, masks), cycle(network, source, fake, domain))
