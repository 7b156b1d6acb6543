"""Signals: each against its formula, and none of them touches the run."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_helpers import CPU, LATENT, shrunk, small_config, small_trainer

import organza
from organza.config import ConfigError, Data, Optimizer
from organza.evaluation.subjects import trained_on
from organza.health import signals
from organza.health.signals import Signals, at_the_ends, last_step, spread, untouched
from organza.training.trainer import Trainer
from organza.training.turn import build_optimizer

POINTS = (2,)


def stepped(recipe="dcgan", changes=None, shape=(1, 16, 16), steps=3):
    trainer = small_trainer(recipe, changes or {}, shape)
    for _ in range(steps):
        trainer.step()
    return trainer


@pytest.mark.parametrize("recipe", sorted(LATENT))
def test_looking_changes_nothing(recipe):
    """Neither the state of the run nor what its next step does."""
    looked, blind = (stepped(recipe) for _ in range(2))
    before = looked.state()
    found = Signals(looked).scalars()
    after = looked.state()
    assert set(found) >= {"diversity", "average_distance", "saturated", "memory", "update/generator"}
    assert all(torch.tensor(value).isfinite() for value in found.values())
    for one, two in ((before, after), (looked.state(), blind.state())):
        for part in ("networks", "average"):
            for name, tensors in one[part].items():
                pairs = tensors.items() if isinstance(tensors, dict) else [(name, tensors)]
                other = two[part][name] if isinstance(tensors, dict) else two[part]
                assert all(torch.equal(value, other[key]) for key, value in pairs)
        assert torch.equal(one["random"]["cpu"], two["random"]["cpu"])
    for trainer in (looked, blind):
        torch.set_rng_state(before["random"]["cpu"][0].clone())  # of dropout, which all trainers of a process share
        trainer.step()
    for mine, other in zip(looked.game.generator.parameters(), blind.game.generator.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize(
    ("name", "more"), [("adam", {"beta2": 0.99}), ("rmsprop", {"beta1": 0.0}), ("sgd", {"beta1": 0.5})]
)
def test_the_last_step_is_what_the_optimiser_took(name, more):
    torch.manual_seed(0)
    network = torch.nn.Linear(5, 3)
    optimizer = build_optimizer(Optimizer(name=name, lr=0.01, **more), network)
    for _ in range(4):
        before = [p.detach().clone() for p in network.parameters()]
        network(torch.randn(6, 5)).square().sum().backward()
        optimizer.step()
        for old, parameter in zip(before, network.parameters(), strict=True):
            step = last_step(optimizer, parameter)
            assert step is not None
            assert torch.allclose(old - parameter.detach(), step, rtol=1e-3, atol=1e-7)
        optimizer.zero_grad()
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    assert name == "sgd" or last_step(torch.optim.Adam([parameter]), parameter) is None


def test_spread_is_the_mean_distance_of_pairs_and_falls_to_nothing_in_a_collapse():
    features = torch.randn(6, 3)
    pairs = [(features[i] - features[j]).norm() for i in range(6) for j in range(i)]
    assert spread(features) == pytest.approx(float(torch.stack(pairs).mean()), rel=1e-5)
    assert spread((features, torch.zeros(6, 4, 2))) == pytest.approx(float(spread(features)))
    trainer = stepped()
    healthy = Signals(trainer).scalars()["diversity"]
    with torch.no_grad():
        for parameter in trainer.game.generator.parameters():
            parameter.zero_()
    assert Signals(trainer).scalars()["diversity"] < 1e-4 < healthy


def test_saturated_values_are_those_at_the_ends():
    assert at_the_ends(torch.tensor([-1.0, 1.0, 0.9995, 0.99, 0.0])) == pytest.approx(0.6)
    trainer = stepped()
    with torch.no_grad():
        list(trainer.game.generator.parameters())[-1].fill_(100.0)  # the bias of the last layer
    assert Signals(trainer).scalars()["saturated"] > 0.9


def test_the_average_is_as_far_as_it_is():
    trainer = stepped()
    raw = torch.cat([p.detach().flatten() for p in trainer.game.generator.parameters()])
    mean = torch.cat([p.detach().flatten() for p in trainer.average.parameters()])
    found = Signals(trainer).scalars()["average_distance"]
    assert found == pytest.approx(float((mean - raw).norm() / raw.norm()), rel=1e-4)
    assert found > 0


def test_a_discriminator_that_knows_its_reals_shows_a_gap():
    """D learns to tell 32 digits from others, of which none is in the test split."""
    store = organza.open_dataset("mnist")
    few = type(store)("mnist", store.images[:32], catalogue="mnist")
    trainer = Trainer(small_config("dcgan", {"discriminator.model.norm": "none"}, (1, 28, 28)), few, CPU)
    looking, critic = Signals(trainer), trainer.game.discriminator
    before = looking.scalars()["heldout_gap"]
    known, others = (store.images[rows].float() / 127.5 - 1 for rows in (slice(32), slice(1000, 1200)))
    optimizer = torch.optim.Adam(critic.parameters(), 3e-3)
    for _ in range(60):
        loss = torch.nn.functional.softplus(-critic(known)).mean() + torch.nn.functional.softplus(critic(others)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    after = looking.scalars()["heldout_gap"]
    assert abs(before) < 0.5
    assert 0.8 < after < 3
    assert "heldout_gap" not in Signals(stepped()).scalars()  # data without a test split


def test_the_gap_is_the_share_of_the_way_to_fakes_and_each_look_sees_others(monkeypatch):
    """r_v of arXiv:2006.06676, eq. 1; where D cannot tell, a deviation of its answers stands for the way."""
    store = organza.open_dataset("mnist")
    trainer = Trainer(small_config("dcgan", {}, (1, 28, 28)), store, CPU)
    looking, seen = Signals(trainer), []
    way = torch.tensor([3.0, -1.0]).repeat(32)[:, None]  # of mean 1
    answers = {"real": way, "fake": way - 4, "other": way - 1}

    def judge(self, samples, batch, moment):
        kind = "other" if batch is looking.other else "fake" if samples is not batch.real else "real"
        if kind == "other":
            seen.append(samples)
        return answers[kind][: len(samples)], samples.flatten(1)

    monkeypatch.setattr(type(trainer.game), "judge", judge)
    assert looking.scalars()["heldout_gap"] == pytest.approx(1 / 4)
    trainer.images += trainer.config.output.log
    answers["fake"] = way + 0.1
    deviation = float(torch.cat([answers["real"], answers["other"]]).std())
    assert looking.scalars()["heldout_gap"] == pytest.approx(1 / deviation)
    test = organza.open_dataset("mnist", split="test")
    assert len(looking.others) == 1024
    assert len(seen[0]) == 64
    assert not (seen[0] == seen[1]).flatten(1).all(1).any()
    known = {image.tobytes() for image in test.images.numpy()}
    shown = ((torch.cat(seen) + 1) * 127.5).round().byte().numpy()
    assert all(image.tobytes() in known for image in shown)


@pytest.mark.parametrize(("side", "kept"), [(8, 300), (128, 128), (256, 64)])
def test_reals_held_back_for_the_looks_take_little_memory(monkeypatch, side, kept):
    """All there are of small images, as many as have room of larger ones, and 64 in any case."""
    monkeypatch.setattr(signals, "ROOM", 128 * 128 * 128)
    images = torch.zeros(300, 1, 1, 1, dtype=torch.uint8).expand(300, 1, side, side)
    test = organza.data.ImageStore("mine", images)
    trainer = stepped()
    trainer.store = replace(organza.data.ImageStore("mine", images[:80].contiguous()), test=test)
    monkeypatch.setattr(signals, "example_batch", lambda *_: None)
    assert len(Signals(trainer).others) == kept


def test_a_folder_holds_back_a_share(tmp_path):
    """So that D's memory is seen of any data: training sees the others alone, and evaluation can ask for either."""
    digits = organza.open_dataset("mnist")
    np.savez(tmp_path / "mine.npz", images=digits.images[:700].numpy(), labels=digits.labels[:700].numpy())
    source = str(tmp_path / "mine.npz")
    run = organza.train(
        "dcgan", data=source, images=64, out=tmp_path / "run", device="cpu",
        changes=shrunk("dcgan", (1, 28, 28)) | {"data.heldout": 0.1, "batch": 16, "output.pictures": True},
    )  # fmt: skip
    ticks = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    gaps = [line["heldout_gap"] for line in ticks if "heldout_gap" in line]
    assert gaps
    assert all(-1 < gap < 1 for gap in gaps)
    assert "64 held-out reals" in (run.path / "report.html").read_text()  # of 70, whole batches
    whole, data = organza.open_dataset(source), run.config.data
    train, test = (trained_on(run.path, split, organza.data.SILENT) for split in ("train", "test"))
    assert (len(train), len(test)) == (630, 70)
    assert torch.equal(test.images, whole.images[9::10])
    assert torch.equal(test.labels, whole.labels[9::10])
    assert torch.equal(train.images[9], whole.images[10])
    assert train.fingerprint != whole.fingerprint
    assert signals.heldout(train, data, 20).images.shape == (20, 1, 28, 28)
    with pytest.raises(ConfigError, match=r"keeps 7 of the 700 .* type --data.heldout 0.046 or more"):
        organza.data.open_data(replace(data, heldout=0.01))
    for share, kept in ((0.046, 32), (0.3, 210), (0.4, 280), (0.5, 350)):
        part = organza.data.open_data(replace(data, heldout=share))
        assert (len(part), len(part.test)) == (700 - kept, kept)


def test_buffers_come_back_even_after_an_error():
    norm = torch.nn.BatchNorm1d(3)
    before = norm.running_mean.clone()
    state = torch.get_rng_state()

    def fail():
        with untouched(norm, device=CPU):
            norm(torch.randn(8, 3))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(norm.running_mean, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_line_of_the_log_has_them(tmp_path):
    changes = shrunk("gan", POINTS) | {"augment.fakes_for_reals": True, "augment.probability": 0.3}
    run = organza.train("gan", data="ring", images=48, out=tmp_path / "run", changes=changes, device="cpu")
    lines = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    ticks = [line for line in lines if "loss/generator" in line]
    assert len(ticks) == 3
    for line in ticks:
        assert {"diversity", "update/discriminator", "gradient/generator_most", "accuracy/real", "memory"} <= set(line)
        assert line["augment/probability"] == pytest.approx(0.3)
        assert line["nonfinite"] == 0
        assert "saturated" not in line  # points have no range
        assert line["memory"] > 10_000_000


def test_only_embedded_sets_are_opened_for_the_gap(monkeypatch):
    """A signal must not fetch a set from the network, nor decode a large one."""
    monkeypatch.setattr(signals, "open_dataset", lambda *_, **__: pytest.fail("opened"))
    images = torch.zeros(8, 1, 28, 28, dtype=torch.uint8)
    for name in ("fashion-mnist", "svhn", "cifar10", "celeba", ""):
        assert signals.heldout(organza.data.ImageStore(name, images, catalogue=name), Data()) is None
    monkeypatch.undo()
    other = signals.heldout(organza.open_dataset("mnist"), Data(resolution=(32, 32)))
    assert other.shape == (1, 32, 32)
    assert len(other) == signals.LOOKED_AT
