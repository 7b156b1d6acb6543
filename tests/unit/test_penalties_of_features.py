"""Penalties that read features, labels, codes, noise or weights, each against its paper's formula."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from organza.augment import augmentation
from organza.draws import Draws
from organza.layers.codes import Coded, Reader
from organza.penalties import PENALTIES, Evidence
from organza.penalties.features import ZCR_STEP

B = 6


def judge(x):
    """A D that cares for places, so that moving an image changes its logit."""
    weights = torch.arange(x[0].numel(), dtype=torch.float32) / x[0].numel()
    return x.flatten(1) @ weights


def seen(**more) -> Evidence:
    torch.manual_seed(0)
    real, fake = torch.randn(B, 1, 8, 8), torch.randn(B, 1, 8, 8)
    base = Evidence(real, fake, judge(real), judge(fake), torch.rand(B), judge, draws=Draws(torch.arange(B)))
    return dataclasses.replace(base, **more)


def test_cr_and_bcr_compare_with_moved_samples():
    evidence, moved = seen(), augmentation(("xflip", "translation"))
    shifted = moved(evidence.real, evidence.draws.other("cr"), 1.0)
    expected = (judge(evidence.real) - judge(shifted)).square()
    found = PENALTIES["cr"].per_sample(evidence)
    torch.testing.assert_close(found, expected)
    assert (found > 1e-4).sum() >= B - 1
    fakes = moved(evidence.fake, evidence.draws.other("bcr"), 1.0)
    both = expected + (judge(evidence.fake) - judge(fakes)).square()
    torch.testing.assert_close(PENALTIES["bcr"].per_sample(evidence), both)


def test_zcr_holds_d_and_drives_g():
    z = torch.randn(B, 4)
    matrix = torch.randn(4, 64)

    def generate(noise):
        return (noise @ matrix).view(-1, 1, 8, 8)

    fake = generate(z)
    evidence = seen(z=z, generate=generate, fake=fake, fake_logits=judge(fake))
    nearby = z + ZCR_STEP * evidence.draws.normal("zcr", 4)
    held = PENALTIES["zcr"].per_sample(evidence)
    torch.testing.assert_close(held, (judge(fake) - judge(generate(nearby))).square())
    driven = PENALTIES["zcr"].per_sample(dataclasses.replace(evidence, turn="generator"))
    torch.testing.assert_close(driven, -(fake - generate(nearby)).square().mean((1, 2, 3)))
    assert (driven < 0).all()


def test_orthogonal_is_zero_for_orthogonal_rows_of_any_length():
    network = nn.Sequential(nn.Linear(5, 3), nn.Conv2d(2, 8, 1))
    for layer in network:
        nn.init.orthogonal_(layer.weight)
        layer.weight.data *= 3
    evidence = seen(discriminator=network)
    assert PENALTIES["orthogonal"].per_sample(evidence).item() == pytest.approx(0, abs=1e-8)
    network[0].weight.data = torch.tensor([[1.0, 0, 0, 0, 0], [2.0, 0, 0, 0, 0], [0, 0, 1.0, 0, 0]])
    assert PENALTIES["orthogonal"].per_sample(evidence).item() == pytest.approx(2 * 2**2, rel=1e-5)  # two entries of 2


def test_feature_matching_compares_means():
    real, fake = torch.randn(B, 5), torch.randn(B, 5, requires_grad=True)
    evidence = seen(real_features=real, fake_features=fake, turn="generator")
    value = PENALTIES["feature-matching"].per_sample(evidence).mean()
    assert value.item() == pytest.approx((real.mean(0) - fake.mean(0)).square().sum().item(), rel=1e-6)
    value.backward()
    torch.testing.assert_close(fake.grad, (2 / B * (fake.mean(0) - real.mean(0))).expand(B, 5).detach())


def test_classification_reads_fakes_and_in_ds_turn_reals():
    network, labels = nn.Module(), torch.tensor([0, 1, 2, 2, 1, 0])
    network.heads = nn.ModuleDict({"classes": nn.Linear(5, 3)})
    real, fake = torch.randn(B, 5), torch.randn(B, 5)
    head = network.heads["classes"]
    evidence = seen(discriminator=network, labels=labels, real_features=real, fake_features=fake)
    of_fakes = -F.log_softmax(head(fake), 1)[torch.arange(B), labels]
    of_reals = -F.log_softmax(head(real), 1)[torch.arange(B), labels]
    torch.testing.assert_close(PENALTIES["classification"].per_sample(evidence), of_fakes + of_reals)
    torch.testing.assert_close(PENALTIES["classification-of-reals"].per_sample(evidence), of_reals)
    in_gs_turn = dataclasses.replace(evidence, turn="generator", real_features=None)
    torch.testing.assert_close(PENALTIES["classification"].per_sample(in_gs_turn), of_fakes)


class Plain(nn.Module):
    z_dim = 12

    def forward(self, z, labels=None):
        return z


def test_mutual_information_is_the_log_likelihood_of_the_codes():
    coded, network = Coded(Plain(), (3, 4), 2), nn.Module()
    network.heads = nn.ModuleDict({"codes": Reader(5, (3, 4), 2)})
    z, features = torch.randn(B, 12), torch.randn(B, 5)
    evidence = seen(generator=coded, discriminator=network, z=z, fake_features=features)
    read, codes = network.heads["codes"](features), coded.encode(z)
    first = -F.log_softmax(read[:, :3], 1)[torch.arange(B), z[:, :3].argmax(1)]
    second = -F.log_softmax(read[:, 3:7], 1)[torch.arange(B), z[:, 3:7].argmax(1)]
    gaussian = torch.distributions.Normal(read[:, 7:9], read[:, 9:].exp())
    expected = first + second - gaussian.log_prob(codes[:, 7:9]).sum(1)
    torch.testing.assert_close(PENALTIES["mutual-information"].per_sample(evidence), expected)


class Painter(nn.Module):
    def reconstruction_error(self, shown, features, draws):
        return (shown - features).flatten(1).abs().mean(1) + 0 * draws.uniform("window")


def test_reconstruction_judges_what_d_was_shown():
    features = torch.randn(B, 1, 8, 8)
    evidence = seen(discriminator=Painter(), real_features=features, show=lambda x: 2 * x)
    expected = (2 * evidence.real - features).abs().mean((1, 2, 3))
    torch.testing.assert_close(PENALTIES["reconstruction"].per_sample(evidence), expected)
