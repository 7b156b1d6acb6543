"""The plan: few lines, and a memory estimate that is the real peak."""

import pytest
import torch
from engine_helpers import (
    CPU,
    LATENT,
    TRANSLATING,
    small_config,
    small_store,
    translation_config,
    translation_store,
    translation_trainer,
)

from organza.config import override
from organza.data.store import ImageStore
from organza.penalties.eyes import open_eyes
from organza.recipes import RECIPES
from organza.training import plan
from organza.training.assemble import resolve
from organza.training.plan import LivingStorages, duration, make_plan, peak_memory
from organza.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("whole_plan")
CASES = {
    "dcgan": ("dcgan", (1, 16, 16), {}),
    "dcgan-unshared-accumulated": ("dcgan", (3, 16, 16), {"share_fakes": False, "accumulate": 2}),
    "cgan-flip": ("cgan", (1, 16, 16), {"data.flip": True}),
    "r3gan-double-backward": ("r3gan", (3, 16, 16), {}),
    "wgan-gp-double-backward": ("wgan-gp", (1, 16, 16), {"discriminator.turns": 2}),
    "gan-points": ("gan", (2,), {}),
}


def real_peak(config, store) -> int:
    """The same count over two real steps."""
    sample = ImageStore(store.name, store.images[:1].repeat_interleave(config.batch, 0), None, ())
    if store.labels is not None:
        sample = ImageStore(store.name, sample.images, torch.zeros(config.batch, dtype=torch.long), store.classes)
    with LivingStorages() as living:
        trainer = Trainer(config, sample, CPU)
        for _ in range(2):
            trainer.step()
    return living.peak


@pytest.mark.parametrize("case", CASES)
def test_the_estimate_is_the_real_peak(case):
    recipe, shape, changes = CASES[case]
    config, store = small_config(recipe, {"batch": 32, **changes}, shape), small_store(shape)
    ratio = peak_memory(config, store) / real_peak(config, store)
    assert 0.97 < ratio < 1.03


def test_the_estimate_grows_with_the_batch_and_shrinks_with_accumulation():
    store = small_store()
    config = small_config("dcgan", {"share_fakes": False, "batch": 64})
    whole, split, double = (
        peak_memory(override(config, changes), store) for changes in ({}, {"accumulate": 8}, {"batch": 128})
    )
    assert split < 0.6 * whole
    assert 1.6 * whole < double < 2.1 * whole


def test_the_estimate_holds_at_least_weights_gradients_and_both_moments():
    config, store = small_config("r3gan", {"batch": 8}), small_store()
    trainer = Trainer(config, store, CPU)
    players = sum(p.numel() for player in trainer.players.values() for p in player.network.parameters())
    average = sum(p.numel() for p in trainer.average.parameters())
    assert peak_memory(config, store) > 4 * (3 * players + average)


def test_the_estimate_leaves_random_numbers_alone():
    before = torch.get_rng_state()
    peak_memory(small_config("cgan"), small_store())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("recipe", LATENT)
def test_lines(recipe, tmp_path):
    config, store = small_config(recipe), small_store()
    trainer = Trainer(config, store, CPU)
    trainer.step()
    plan = make_plan(trainer, tmp_path)
    lines = plan.lines(100_000, 30.0)
    text = "\n".join(lines)
    assert len(lines) <= 12
    assert all(line == line.strip() and len(line) < 200 for line in lines)
    for word in (recipe, config.loss, "37 samples", "16x16x1", "cpu", str(tmp_path), "images/s", "resumed"):
        assert word in text
    for player in trainer.players.values():
        assert f"{sum(p.numel() for p in player.network.parameters()):,}" in text
    assert plan.rate > 0
    assert plan.disk > 0


def test_minutes_bound_the_time_that_is_told(tmp_path):
    trainer = Trainer(small_config("gan", shape=(2,)), small_store((2,)), CPU)
    plan = make_plan(trainer, tmp_path)
    (line,) = [line for line in plan.lines(10**12, 30.0) if line.startswith("budget")]
    assert "30 min" in line


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "1 s"), (45, "45 s"), (89, "89 s"), (120, "2 min"), (5399, "90 min"), (9000, "2.5 h"), (268_000, "3.1 days")],
)
def test_durations(seconds, told):
    assert duration(seconds) == told


def test_real_networks_at_the_laptop_size():
    """Not only the shrunken networks: the usual ones, in a small batch."""
    store = small_store((1, 28, 28))
    config = resolve(override(RECIPES["dcgan"]((1, 28, 28), "laptop"), {"batch": 4, "precision": "float32"}))
    assert 0.97 < peak_memory(config, store) / real_peak(config, store) < 1.03


@pytest.mark.parametrize("recipe", TRANSLATING)
def test_translations_are_estimated_as_on_a_graphics_card(recipe):
    """There a run has opened for its card what penalties look through, and nothing for the processor."""
    open_eyes.cache_clear()
    assert 1e6 < peak_memory(translation_config(recipe), translation_store(recipe)) < 1e8


def test_the_stage_without_a_judge_counts_at_its_own_pace(monkeypatch, tmp_path):
    changes = {"discriminator.optimizer.lr.hold": 40, "discriminator.optimizer.lr.images": 40, "images": 80}
    trainer = translation_trainer("real-esrgan", changes)
    monkeypatch.setattr(plan, "_seconds_of_an_image", lambda trainer, at: 1.0 if at < 40 else 3.0)
    assert make_plan(trainer, tmp_path).rate == pytest.approx(80 / (40 + 3 * 40))
