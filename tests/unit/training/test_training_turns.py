"""The algorithm: what one step changes, against the same algorithm written out by hand."""

import copy

import pytest
import torch
from engine_helpers import (
    CPU,
    SHAPE,
    assert_equal_trees,
    small_config,
    small_store,
    small_trainer,
    translation_trainer,
)
from torch.nn.functional import softplus

from organza.config import ConfigError, Penalty, Schedule
from organza.training.batches import Batches
from organza.training.trainer import Trainer

NORM_FREE = {"generator.model.norm": "none", "discriminator.model.norm": "none"}
SGD = {
    "generator.optimizer.name": "sgd", "generator.optimizer.lr": 0.05, "discriminator.optimizer.name": "sgd",
    "discriminator.optimizer.lr": 0.05,
}  # fmt: skip


def weights(module) -> dict:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def close(one: dict, two: dict, atol=1e-6) -> None:
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=1e-5, atol=atol, msg=lambda text, n=name: f"{n}: {text}")


def by_hand(trainer: Trainer, steps: int, share: bool):
    """Algorithm 1 of arXiv:1406.2661 with the non-saturating loss, one turn each, in a straight line."""
    g, d = copy.deepcopy(trainer.game.generator), copy.deepcopy(trainer.game.discriminator)
    settings = {"lr": 1e-3, "betas": (0.5, 0.999)}
    step_g, step_d = torch.optim.Adam(g.parameters(), **settings), torch.optim.Adam(d.parameters(), **settings)
    batches = Batches(trainer.store, 8, g.z_dim, CPU, seed=0)
    for _ in range(steps):
        batch = batches.next()
        fake = g(batch.z)
        step_d.zero_grad()
        (softplus(-d(batch.real)).mean() + softplus(d(fake.detach())).mean()).backward()
        step_d.step()
        if not share:
            fake = g(batches.next().z)
        step_g.zero_grad()
        softplus(-d(fake)).mean().backward()
        step_g.step()
    return g, d


@pytest.mark.parametrize("share", [True, False])
def test_steps_are_the_algorithm_of_the_paper(share):
    rate = {"generator.optimizer.lr": 1e-3, "discriminator.optimizer.lr": 1e-3}
    trainer = small_trainer("dcgan", {"share_fakes": share, **rate})
    start = weights(trainer.game.generator)
    generator, discriminator = by_hand(trainer, 4, share)
    for _ in range(4):
        trainer.step()
    close(weights(trainer.game.generator), weights(generator), atol=2e-5)
    close(weights(trainer.game.discriminator), weights(discriminator), atol=2e-5)
    moved = (trainer.game.generator.project.weight - start["project.weight"]).abs().max()
    assert moved > 1e-3  # 50 times the tolerance


def test_sharing_fakes_is_another_algorithm():
    one, two = (small_trainer("dcgan", {"share_fakes": share}) for share in (True, False))
    for trainer in (one, two):
        trainer.step()
    assert one.batches.drawn == 8
    assert two.batches.drawn == 16
    assert not torch.equal(one.game.generator.project.weight, two.game.generator.project.weight)


@pytest.mark.parametrize("share", [True, False])
def test_a_frozen_opponent_gets_no_gradient(share):
    trainer = small_trainer("dcgan", {"share_fakes": share})
    generator, discriminator = trainer.game.generator, trainer.game.discriminator
    seen = {}

    def spy(name, player):
        take = player.take_turn

        def turn(*arguments):
            before = {role: weights(p.network) for role, p in trainer.players.items()}
            gradients = {role: [p.grad for p in q.network.parameters()] for role, q in trainer.players.items()}
            result = take(*arguments)
            seen[name] = before, gradients
            return result

        player.take_turn = turn

    spy("discriminator", trainer.players["discriminator"])
    trainer.step()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in discriminator.parameters())
    before, gradients = seen["discriminator"]
    assert all(g is None for g in gradients["generator"])
    kept = [p.grad.clone() for p in discriminator.parameters()]
    batch = trainer.batches.next()
    trainer._take_turn("generator", batch, None)
    assert all(torch.equal(p.grad, old) for p, old in zip(discriminator.parameters(), kept, strict=True))
    assert all(p.grad is not None for p in generator.parameters())
    trainer._take_turn("discriminator", batch, generator(batch.z).detach(), counted=8)
    old = [p.grad.clone() for p in generator.parameters()]
    trainer._take_turn("discriminator", batch, generator(batch.z), counted=8)  # attached fakes
    assert all(torch.equal(p.grad, g) for p, g in zip(generator.parameters(), old, strict=True))
    assert not any(torch.equal(before["discriminator"][n], p) for n, p in discriminator.named_parameters())


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_micro_batches_add_up_to_one_batch(parts):
    penalties = {"discriminator.penalties": (Penalty(name="r1", weight=0.5), Penalty(name="gradient-norm", weight=1.0))}
    common = {"share_fakes": False, **NORM_FREE, **SGD, **penalties}
    whole, split = (small_trainer("dcgan", {"accumulate": n, **common}) for n in (1, parts))
    start = weights(whole.game.discriminator)
    for _ in range(3):
        whole.step()
        split.step()
    for one, two in (
        (whole.game.generator, split.game.generator),
        (whole.game.discriminator, split.game.discriminator),
    ):
        close(weights(one), weights(two), atol=1e-6)
        close(*({n: p.grad for n, p in net.named_parameters()} for net in (one, two)), atol=1e-6)
    assert (whole.game.discriminator.head.weight - start["head.weight"]).abs().max() > 1e-4


def test_clip_limits_the_whole_gradient():
    free, clipped = (small_trainer("dcgan", {"discriminator.clip": clip}) for clip in (None, 1e-2))
    for trainer in (free, clipped):
        trainer.step()
    norm = torch.stack([p.grad.norm() for p in free.game.discriminator.parameters()]).norm()
    short = torch.stack([p.grad.norm() for p in clipped.game.discriminator.parameters()]).norm()
    assert norm > 2e-2
    assert short.item() == pytest.approx(1e-2, rel=1e-3)
    for one, two in zip(free.game.discriminator.parameters(), clipped.game.discriminator.parameters(), strict=True):
        torch.testing.assert_close(one.grad / norm, two.grad / short, rtol=1e-4, atol=1e-6)
    told = clipped.window["gradient/discriminator"][0]
    assert told.item() == pytest.approx(norm.item(), rel=1e-4)  # the log tells the norm before it was cut


def test_a_clip_that_is_not_reached_changes_nothing():
    free, clipped = (small_trainer("dcgan", {"discriminator.clip": clip}) for clip in (None, 1e6))
    start = weights(free.game.discriminator)
    for trainer in (free, clipped):
        trainer.step()
    one, two = (weights(trainer.game.discriminator) for trainer in (free, clipped))
    assert not torch.equal(one["head.weight"], start["head.weight"])
    for name in one:
        assert torch.allclose(one[name], two[name], rtol=1e-5, atol=1e-8), name
    assert 0 < free.window["gradient/discriminator"][0] == clipped.window["gradient/discriminator"][0] < 1e6


def test_lazy_penalties_are_due_every_kth_turn_with_k_times_the_weight():
    from organza.training.assemble import due_penalties

    weight = Schedule(start=4.0, end=2.0, images=100, shape="linear")
    penalties = (Penalty(name="r1", weight=weight, every=3), Penalty(name="drift", weight=0.5))
    player = small_config("dcgan", {"discriminator.penalties": penalties}).discriminator
    told = [[(p.name, p.weight) for p in due_penalties(player, turn, 50)] for turn in range(7)]
    assert told[0] == told[3] == told[6] == [("r1", 9.0), ("drift", 0.5)]
    assert told[1] == told[2] == told[4] == told[5] == [("drift", 0.5)]


def test_turns_and_counters():
    trainer = small_trainer("dcgan", {"share_fakes": False, "discriminator.turns": 3, "generator.turns": 2})
    for _ in range(2):
        trainer.step()
    assert trainer.images == 2 * 3 * 8
    assert trainer.steps == 2
    assert trainer.batches.drawn == 2 * 5 * 8
    assert {name: player.turns_taken for name, player in trainer.players.items()} == {
        "generator": 4, "discriminator": 6,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_optimisers_take_their_settings(name):
    settings = {
        "name": name, "lr": Schedule(start=0.0, end=1.0, images=16, shape="linear"), "beta1": 0.25, "beta2": 0.75,
        "eps": 1e-5, "weight_decay": 0.125,
    }  # fmt: skip
    trainer = small_trainer("dcgan", {f"discriminator.optimizer.{key}": value for key, value in settings.items()})
    start = weights(trainer.game.discriminator)
    trainer.step()
    group = trainer.players["discriminator"].optimizer.param_groups[0]
    assert group["lr"] == 0  # at 0 images
    assert all(torch.equal(p, start[n]) for n, p in trainer.game.discriminator.named_parameters())
    trainer.step()
    assert group["lr"] == 0.5  # at 8 of 16
    assert group["weight_decay"] == 0.125
    assert group.get("betas", (0.25, 0.75)) == (0.25, 0.75)
    assert group.get("alpha", 0.75) == 0.75
    assert group.get("momentum", 0) == (0.25 if name == "sgd" else 0)
    assert group.get("eps", 1e-5) == 1e-5
    assert not torch.equal(trainer.game.discriminator.head.weight, start["head.weight"])


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_a_scheduled_beta2_moves(name):
    moving = Schedule(start=0.5, end=0.9, images=16, shape="linear")
    trainer = small_trainer("dcgan", {"discriminator.optimizer.name": name, "discriminator.optimizer.beta2": moving})
    group = trainer.players["discriminator"].optimizer.param_groups[0]
    for expected in (0.5, 0.7, 0.9, 0.9):
        trainer.step()
        assert (group["betas"][1] if name == "adam" else group["alpha"]) == pytest.approx(expected)


def test_the_average_follows_the_generator():
    trainer = small_trainer("dcgan", {"ema.half_life": 8.0, "ema.ramp": None})
    before = weights(trainer.average)
    trainer.step()
    now, raw = weights(trainer.average), weights(trainer.game.generator)
    for name in before:
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(now[name], (before[name] + raw[name]) / 2)
    copied = small_trainer("dcgan", {"ema.half_life": 0.0})
    copied.step()
    close(weights(copied.average), weights(copied.game.generator), atol=0)


def test_equal_configurations_are_equal_bit_by_bit():
    one, two = small_trainer("cgan", {"data.flip": True}), small_trainer("cgan", {"data.flip": True})
    other = small_trainer("cgan", {"data.flip": True, "seed": 1})
    for trainer in (one, two, other):
        for _ in range(3):
            trainer.step()
    mine, same, others = (weights(t.game.generator) for t in (one, two, other))
    assert all(torch.equal(mine[name], same[name]) for name in mine)
    assert not torch.equal(mine["project.weight"], others["project.weight"])


def test_labels_reach_both_players():
    store = small_store(SHAPE)
    trainer = small_trainer("cgan", store=store)
    seen = {}
    generator, judge = trainer.game.generator, trainer.game.discriminator.features
    generator.register_forward_pre_hook(lambda _, inputs: seen.update({"generator": inputs[1]}))
    trainer.game.discriminator.features = lambda x, y: seen.update({"discriminator": y}) or judge(x, y)
    trainer.step()
    assert torch.equal(seen["generator"], seen["discriminator"])
    order = trainer.batches.order.rows(0, 8)
    assert torch.equal(seen["generator"], store.labels[order])


def test_a_mapping_network_learns_at_a_rate_of_its_own():
    """Adam's first step is as long as the rate, whatever the gradient; a state in two groups comes back as it was."""
    trainer = translation_trainer("stargan-v2")
    generator, rate = trainer.game.generator, trainer.config.generator.optimizer.lr
    before = {name: p.detach().clone() for name, p in generator.named_parameters()}
    trainer.step()
    moved = {name: float((p - before[name]).detach().abs().max()) for name, p in generator.named_parameters()}
    mapping = [size for name, size in moved.items() if name.startswith("mapping_network")]
    assert max(mapping) == pytest.approx(0.01 * rate, rel=0.05)
    assert max(set(moved.values()) - set(mapping)) == pytest.approx(rate, rel=0.05)
    state = trainer.state()
    trainer.step()
    again = Trainer(trainer.config, trainer.store, CPU)
    again.restore(state)
    again.step()
    assert_equal_trees(again.state(), trainer.state())
    for value, told in ((0.0, "it takes a share above 0"), (0.1, "this network has no mapping network")):
        with pytest.raises(ConfigError, match=told):
            small_trainer("dcgan", {"generator.optimizer.mapping": value})
