"""What the discriminator is told and shown, and which fakes teach the generator: numbers against the papers."""

import copy
import dataclasses
import math
from contextlib import nullcontext

import pytest
import torch
from engine_helpers import small_trainer
from scipy import stats
from torch import nn
from torch.nn import functional as F

from organza.config import Penalty, Schedule, Targets
from organza.draws import Draws
from organza.games.latent import Batch, LatentGame, Moment
from organza.games.targets import called
from organza.games.view import View, most_real
from organza.losses import LOSSES

MANY = 4000
CHANCE = 1e-3
POINTS = (2,)


class Judge(nn.Module):
    """D(x) = w.x, which remembers what it was shown."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight, self.shown = nn.Parameter(torch.arange(1.0, size + 1)), []

    def features(self, x, labels=None):
        self.shown.append(x.detach().clone())
        return x.flatten(1)

    def logits(self, features, labels=None):
        return features @ self.weight


class Maker(nn.Module):
    """G(z) = 100 + z, far from all data."""

    def forward(self, z, labels=None):
        return 100 + z


def scene(rows: int = MANY, loss: str = "non-saturating", first: int = 0, **options):
    """A game with points of two numbers, a batch of it, and its fakes."""
    torch.manual_seed(0)
    game = LatentGame(Maker(), Judge(2), LOSSES[loss], nullcontext(), **options)
    keys = torch.arange(first, first + rows)
    batch = Batch(torch.randn(rows, 2), None, torch.randn(rows, 2), torch.rand(rows), keys)
    return game, batch, torch.randn(rows, 2)


def near_share(found: torch.Tensor, share: float) -> bool:
    """Whether so many of the booleans are true, within four deviations."""
    return abs(found.float().mean().item() - share) <= 4 * math.sqrt(share * (1 - share) / len(found))


# Targets


def test_plain_targets_are_not_drawn():
    game, batch, _ = scene()
    assert called(game.targets, batch, game.discriminator) is None


def test_smoothed_targets_are_the_numbers_of_the_configuration():
    game, batch, _ = scene(targets=Targets(real=0.9, fake=0.1))
    real, fake = called(game.targets, batch, game.discriminator)
    assert real.tolist() == pytest.approx([0.9] * MANY)
    assert fake.tolist() == pytest.approx([0.1] * MANY)


def test_a_spread_moves_each_target_uniformly():
    game, batch, _ = scene(targets=Targets(real=0.8, fake=0.3, spread=0.15))
    real, fake = called(game.targets, batch, game.discriminator)
    assert stats.kstest(real.numpy(), "uniform", (0.65, 0.3)).pvalue > CHANCE
    assert stats.kstest(fake.numpy(), "uniform", (0.15, 0.3)).pvalue > CHANCE
    assert abs(torch.corrcoef(torch.stack([real, fake]))[0, 1]) < 4 / math.sqrt(MANY)


def test_a_spread_leaves_no_target_beyond_yes_and_no():
    """Above 1 the price of a real sample would fall without end as D grows surer."""
    game, batch, _ = scene(targets=Targets(spread=0.2))
    real, fake = called(game.targets, batch, game.discriminator)
    assert 0.8 <= real.min() < real.max() == 1.0
    assert 0.0 == fake.min() < fake.max() <= 0.2
    assert near_share(real == 1, 0.5)
    assert near_share(fake == 0, 0.5)


def test_a_flip_calls_a_share_of_both_kinds_the_opposite():
    game, batch, _ = scene(targets=Targets(real=0.9, fake=0.2, flip=0.25))
    real, fake = called(game.targets, batch, game.discriminator)
    flipped_real, flipped_fake = real < 0.5, fake > 0.5
    assert near_share(flipped_real, 0.25)
    assert near_share(flipped_fake, 0.25)
    assert near_share(flipped_real & flipped_fake, 0.0625)  # each for itself
    assert real[flipped_real].tolist() == pytest.approx([0.1] * int(flipped_real.sum()))
    assert fake[flipped_fake].tolist() == pytest.approx([0.8] * int(flipped_fake.sum()))
    _, later, _ = scene(first=MANY)
    assert near_share(
        (called(game.targets, later, game.discriminator)[0] < 0.5) & flipped_real, 0.0625
    )  # and anew in each batch


@pytest.mark.parametrize("targets", [Targets(real=0.9), Targets(real=0.8, fake=0.2, spread=0.1, flip=0.1)])
def test_the_discriminator_pays_the_cross_entropy_to_its_targets(targets):
    game, batch, fake = scene(32, targets=targets)
    real_target, fake_target = called(game.targets, batch, game.discriminator)
    loss, _ = game.discriminator_turn(batch, fake, Moment())
    weight = game.discriminator.weight
    expected = F.binary_cross_entropy_with_logits(batch.real @ weight, real_target)
    expected += F.binary_cross_entropy_with_logits(fake @ weight, fake_target)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    plain, told = (dataclasses.replace(game, targets=t).generator_turn(batch, fake, Moment())[0] for t in (
        Targets(), targets))  # fmt: skip
    assert torch.equal(plain, told)  # G is always judged by the plain ones


def test_relativistic_pairs_know_how_far_apart_both_are_called():
    game, batch, fake = scene(32, loss="relativistic", targets=Targets(real=0.8, fake=0.1, flip=0.2))
    real_target, fake_target = called(game.targets, batch, game.discriminator)
    loss, _ = game.discriminator_turn(batch, fake, Moment())
    ahead = (batch.real - fake) @ game.discriminator.weight
    expected = F.binary_cross_entropy_with_logits(ahead, (1 + real_target - fake_target) / 2)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


# What D is shown


def test_instance_noise_is_normal_with_the_deviation_of_the_moment():
    game, batch, fake = scene()
    game.discriminator_turn(batch, fake, Moment(noise=0.3))
    real_shown, fake_shown = game.discriminator.shown
    for moved in (real_shown - batch.real, fake_shown - fake):
        for column in moved.T:
            assert stats.kstest(column.numpy(), "norm", (0, 0.3)).pvalue > CHANCE
    game.generator_turn(batch, fake, Moment(noise=0.3))
    assert torch.equal(game.discriminator.shown[-1], fake_shown)  # G's turn on a batch sees what D's turn saw
    _, later, _ = scene(first=MANY)
    game.discriminator_turn(later, fake, Moment(noise=0.3))
    other = game.discriminator.shown[-1] - fake
    assert abs(torch.corrcoef(torch.stack([other.flatten(), moved.flatten()]))[0, 1]) < 4 / math.sqrt(2 * MANY)


def test_without_noise_and_policy_samples_are_shown_as_they_are():
    game, batch, fake = scene(8)
    game.discriminator_turn(batch, fake, Moment())
    assert torch.equal(game.discriminator.shown[0], batch.real)
    assert torch.equal(game.discriminator.shown[1], fake)


def test_noise_fades_with_its_schedule():
    fading = Schedule(start=0.5, end=0.0, images=32, shape="linear")
    trainer = small_trainer("gan", {"noise": fading, "share_fakes": False}, POINTS)
    shown = []
    trainer.game.discriminator.layers.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0].detach()))
    for expected in (0.5, 0.375, 0.25, 0.125, 0.0, 0.0):
        images, before = trainer.images, trainer.batches.state()
        batch = trainer.batches.next()
        trainer.batches.restore(before)
        shown.clear()
        trainer.step()
        assert trainer.images == images + 8
        torch.testing.assert_close(shown[0] - batch.real, expected * batch.draws.normal("noise", 2))


@pytest.mark.parametrize("policy", [("diffaugment",), ("bgc",)])
def test_real_and_fake_images_are_changed_alike_and_gradients_come_through(policy):
    torch.manual_seed(0)
    images, draws, view = torch.rand(6, 3, 16, 16) * 2 - 1, Draws(torch.arange(6)), View(policy)
    changed = view(images, draws, 1.0, 0.0)
    assert torch.equal(view(images.clone(), draws, 1.0, 0.0), changed)
    assert (changed - images).abs().amax((1, 2, 3)).min() > 0.01
    torch.testing.assert_close(view(images, draws, 0.0, 0.0), images, atol=1e-5, rtol=0)
    assert torch.equal(view(images[2:4], draws.within(slice(2, 4)), 1.0, 0.0), changed[2:4])
    fake = images.clone().requires_grad_()
    view(fake, draws, 1.0, 0.1).square().sum().backward()
    assert (fake.grad.flatten(1).norm(dim=1) > 0).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_pseudo_augmentation_passes_a_share_of_fakes_off_as_real(share):
    game, batch, fake = scene(view=View(fakes_for_reals=True))
    game.discriminator_turn(batch, fake, Moment(augment=torch.tensor(share)))
    shown = game.discriminator.shown[0]
    swapped = (shown != batch.real).any(1)
    assert near_share(swapped, share)
    assert torch.equal(shown[~swapped], batch.real[~swapped])
    made = game.generate(batch, batch.draws.other("apa").normal("z", 2))
    assert torch.equal(shown[swapped], made[swapped])
    assert (shown[swapped] != game.generate(batch)[swapped]).any(1).all()  # other fakes than those of the turn
    assert torch.equal(game.discriminator.shown[1], fake)


def test_pseudo_augmentation_leaves_the_generator_no_gradient():
    trainer = small_trainer("gan", {"augment.fakes_for_reals": True, "augment.probability": 0.5}, POINTS)
    batch = trainer.batches.next()
    assert not trainer.game.real(batch, Moment(augment=0.5)).requires_grad


# Top-k


def test_top_k_keeps_the_most_real_fakes_and_their_partners():
    fake, real = torch.tensor([0.5, -1.0, 3.0, 0.0, 2.0, -4.0]), torch.arange(6.0)
    for share, rows in ((0.5, {0, 2, 4}), (1 / 3, {2, 4}), (0.01, {2}), (0.84, {0, 1, 2, 3, 4})):
        kept, partners = most_real(share, fake, real)
        assert sorted(kept.tolist()) == sorted(fake[list(rows)].tolist())
        assert torch.equal(fake[partners.long()], kept)
    assert most_real(1.0, fake, real) == (fake, real)
    assert most_real(0.5, fake, None)[1] is None


def test_top_k_of_several_logits_goes_by_their_mean():
    fake = torch.tensor([[0.0, 0.0], [5.0, -6.0], [1.0, 2.0], [-1.0, 1.5]])
    kept, _ = most_real(0.5, fake, None)
    assert sorted(kept.tolist()) == [[-1.0, 1.5], [1.0, 2.0]]


@pytest.mark.parametrize("loss", LOSSES)
def test_the_generator_learns_from_the_top_fakes_alone(loss):
    game, batch, _ = scene(10, loss=loss)
    fake = torch.randn(10, 2, requires_grad=True)
    value, _ = game.generator_turn(batch, fake, Moment(top_k=0.3))
    fake_logits, real_logits = fake @ game.discriminator.weight, batch.real @ game.discriminator.weight
    rows = fake_logits.argsort(descending=True)[:3]
    expected = LOSSES[loss].generator(fake_logits[rows], real_logits[rows])
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(value, fake)
    assert set(gradient.norm(dim=1).nonzero().flatten().tolist()) == set(rows.tolist())
    whole, _ = game.discriminator_turn(batch, fake, Moment(top_k=0.3))
    assert torch.equal(whole, game.discriminator_turn(batch, fake, Moment())[0])  # D sees them all


def test_top_k_follows_its_schedule():
    falling = Schedule(start=1.0, end=0.5, images=16, shape="linear")
    trainer = small_trainer("gan", {"top_k": falling}, POINTS)
    seen = []
    for _ in range(4):
        seen.append(trainer._moment("generator").top_k)
        trainer.step()
    assert seen == [1.0, 0.75, 0.5, 0.5]


@pytest.mark.parametrize("loss", LOSSES)
def test_what_d_says_weighs_for_g_what_it_is_told(loss):
    game, batch, _ = scene(10, loss=loss)
    fake = torch.randn(10, 2, requires_grad=True)
    one, half = (game.generator_turn(batch, fake, Moment(weight=weight))[0] for weight in (1.0, 0.5))
    assert half.item() == pytest.approx(one.item() / 2, rel=1e-6)
    whole = game.discriminator_turn(batch, fake, Moment())[0]
    assert torch.equal(whole, game.discriminator_turn(batch, fake, Moment(weight=0.5))[0])  # D has its own


# Micro-batches

ORTHOGONAL = (Penalty(name="orthogonal", weight=0.001),)
WITH_IMAGES = {
    "augment": {"augment.policy": "bgc", "augment.probability": 0.7},
    "diffaugment": {"augment.policy": "diffaugment"},
    "noise": {"noise": 0.3},
    "targets": {"targets.real": 0.8, "targets.fake": 0.1, "targets.spread": 0.1, "targets.flip": 0.2},
    "pseudo": {"augment.fakes_for_reals": True, "augment.probability": 0.5},
    "replay": {"replay.share": 0.5, "replay.size": 8},
    "lecam": {"discriminator.penalties": "lecam"},
    "dragan": {"discriminator.penalties": "dragan"},
    "cr": {"discriminator.penalties": "bcr"},
    "zcr": {"discriminator.penalties": "zcr", "generator.penalties": "zcr"},
    "orthogonal": {"discriminator.penalties": ORTHOGONAL, "generator.penalties": ORTHOGONAL},
    "acgan": {
        "conditional": True,
        "discriminator.penalties": "classification",
        "generator.penalties": "classification",
    },
}


@pytest.mark.parametrize("name", WITH_IMAGES)
def test_two_micro_batches_learn_what_one_batch_learns(name):
    common = {"share_fakes": False, "generator.model.norm": "none", "discriminator.model.norm": "none"}
    for role in ("generator", "discriminator"):
        common |= {f"{role}.optimizer.name": "sgd", f"{role}.optimizer.lr": 0.02, f"{role}.init": "he"}
    trainers = [small_trainer("dcgan", common | WITH_IMAGES[name] | {"accumulate": parts}) for parts in (1, 2)]
    trainers.append(small_trainer("dcgan", common))
    for trainer in trainers:
        for _ in range(3):
            trainer.step()
    weights = [dict(t.game.discriminator.named_parameters()) for t in trainers]
    weights = [w | dict(t.game.generator.named_parameters(prefix="g")) for w, t in zip(weights, trainers, strict=True)]
    whole, split, plain = weights
    for key, value in whole.items():
        torch.testing.assert_close(split[key], value, rtol=1e-5, atol=2e-6, msg=lambda text, n=key: f"{n}: {text}")
    changed = max(
        (whole[key] - value).abs().max().item() for key, value in plain.items() if value.shape == whole[key].shape
    )
    assert changed > 2e-4  # the technique does something, and a hundred times more than that


def test_a_batch_and_its_halves_draw_the_same():
    _, batch, _ = scene(8)
    halves = batch.split(2)
    together = torch.stack([half.draws.normal("a", 3) for half in halves], 1).flatten(0, 1)
    assert torch.equal(together, batch.draws.normal("a", 3))
    unnamed = copy.copy(dataclasses.replace(batch, keys=None))
    assert unnamed.draws.keys.tolist() == list(range(8))


# Dropout of D's last features


def test_dropout_leaves_out_a_share_and_keeps_the_mean():
    game, batch, _ = scene(rows=MANY, dropout=0.3)
    ones = torch.ones(MANY, 2)
    thinned = game.thinned(ones, batch)
    assert near_share(thinned[:, 0] == 0, 0.3)
    assert near_share((thinned == 0).all(1), 0.09)  # each feature for itself
    assert torch.allclose(thinned[thinned != 0], torch.tensor(1 / 0.7))
    logits, features = game.judge(ones, batch, Moment())
    assert torch.equal(features, thinned)
    assert torch.equal(logits, thinned @ torch.tensor([1.0, 2.0]))
    assert 2.9 < float(logits.detach().mean()) < 3.1  # without dropout it is 3
    assert len(logits.unique()) == 4


def test_dropout_belongs_to_the_sample():
    _, whole, _ = scene(rows=8)
    game, part, _ = scene(rows=4, first=4, dropout=0.5)
    ones = torch.ones(8, 2)
    assert torch.equal(game.thinned(ones, whole)[4:], game.thinned(ones[4:], part))
    game, *_ = scene(rows=8)
    assert game.thinned(ones, whole) is ones


@pytest.mark.parametrize("recipe", ["gan", "dcgan", "wgan-gp", "r3gan", "sngan", "biggan", "progan", "stylegan2"])
def test_dropout_goes_with_every_network_of_one_vector(recipe):
    trainer = small_trainer(recipe, {"dropout": 0.5})
    trainer.step()
    assert trainer.guard.verdict() is None
