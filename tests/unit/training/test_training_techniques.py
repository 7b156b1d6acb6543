"""What remembers and adapts from turn to turn, and what happens to weights after it: numbers against the papers."""

import math
from collections import Counter

import pytest
import torch
from engine_helpers import CPU, TECHNIQUES, assert_equal_trees, small_config, small_trainer

from organza.games.batch import Batch
from organza.training.recent import DECAY, Recent
from organza.training.replay import Replay

POINTS = (2,)
BATCH = 8


# Replay (arXiv:1612.07828, section 2.3)


def pool(share: float, size: int, recipe: str = "gan") -> Replay:
    changes = {"replay.share": share, "replay.size": size} if share else {}
    return Replay(small_config(recipe, changes, POINTS), (1,), CPU)


def numbered(batch: int) -> torch.Tensor:
    """Fakes that are their own number."""
    return torch.arange(batch * BATCH, (batch + 1) * BATCH, dtype=torch.float32)[:, None]


def keyed(batch: int, labels: torch.Tensor | None = None) -> Batch:
    """A batch whose noise is the number too."""
    rows = torch.arange(batch * BATCH, (batch + 1) * BATCH)
    return Batch(torch.zeros(BATCH, 1), labels, rows[:, None].float(), torch.zeros(BATCH), rows)


def shown(replay: Replay, batch: int) -> torch.Tensor:
    return replay.exchange(keyed(batch), numbered(batch))[1]


@pytest.mark.parametrize("size", [16, 20])  # a multiple of the batch, and none
def test_a_pool_fills_first_and_then_exchanges_a_share(size):
    replay, taken, oldest = pool(0.25, size), 0, 0
    filling = math.ceil(size / BATCH)
    for batch in range(400):
        fake, before = numbered(batch), replay.pool.clone()
        seen = shown(replay, batch)
        old = seen != fake
        if batch < filling:
            assert not old.any()
            continue
        taken += int(old.sum())
        oldest = max(oldest, int((fake - seen).max()))
        # Nothing is lost and nothing is there twice: who is shown or kept now is new or was kept.
        assert Counter(torch.cat([seen, replay.pool]).flatten().tolist()) == Counter(
            torch.cat([fake, before]).flatten().tolist()
        )
        assert torch.isin(seen[old], before).all()
    turns = 400 - filling
    assert abs(taken / (turns * BATCH) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / (turns * BATCH))
    assert oldest > 10 * size  # some wait for long: a place is left with the probability of a quarter


def test_who_leaves_the_pool_is_drawn():
    """As published: of B batches in it, the oldest fake stays with the probability 1 - 1/B each time."""
    replay, ages = pool(1.0, 4 * BATCH), []
    for batch in range(300):
        seen = shown(replay, batch)
        if batch >= 4:
            ages += (batch - seen // BATCH).flatten().tolist()
    assert {1, 2, 3, 4, 5, 12} <= set(ages)
    assert abs(ages.count(1) / len(ages) - 0.25) < 0.03


def test_a_share_of_one_shows_only_old_fakes_and_of_zero_only_new_ones():
    replay, none = pool(1.0, 16), pool(0.0, 16)
    for batch in range(6):
        seen = shown(replay, batch)
        assert torch.equal(seen, numbered(batch)) if batch < 2 else (seen < batch * BATCH).all()
        assert torch.equal(shown(none, batch), numbered(batch))
    assert none.pool.numel() == 0
    assert none.state() == {}


CLASSES = [torch.arange(8) % 3, torch.tensor([0, 0, 0, 0, 0, 1, 5, 5]), torch.tensor([7, 0, 1, 0, 0, 2, 2, 2])]


@pytest.mark.parametrize("attributes", [1, 2])
@pytest.mark.parametrize("size", [8, 20])
def test_only_fakes_of_one_class_change_places(size, attributes):
    """A class that the pool lacks gets in, and what it displaces is never shown under a wrong label."""
    replay, label_of, taken = pool(0.5, size), {}, 0
    for batch in range(300):
        labels = CLASSES[batch // 100 if batch % 2 else 0]
        if attributes > 1:
            labels = torch.stack([labels, labels % 2], 1)
        label_of |= dict(zip(numbered(batch).flatten().tolist(), labels.tolist(), strict=True))
        made, seen = replay.exchange(keyed(batch, labels), numbered(batch))
        assert [label_of[number] for number in seen.flatten().tolist()] == labels.tolist()
        assert made.labels is labels
        kept = replay.pool.flatten().tolist()
        assert batch * BATCH + BATCH < size or len(set(kept)) == size
        if batch * BATCH + BATCH >= size:
            assert [label_of[number] for number in kept] == replay.beside["labels"].tolist()
            assert not set(kept) & set(seen[seen != numbered(batch)].tolist())
        taken += int((seen != numbered(batch)).sum())
    assert taken / (300 * BATCH) > 0.3


def test_codes_are_read_with_the_noise_of_their_fakes():
    replay, old = pool(0.5, 16, "infogan"), 0
    for batch in range(20):
        made, seen = replay.exchange(keyed(batch), numbered(batch))
        assert torch.equal(made.z, seen)
        old += int((seen != numbered(batch)).sum())
    assert old > 40
    assert torch.equal(replay.beside["z"], replay.pool)


@pytest.mark.parametrize(("recipe", "labels"), [("gan", None), ("infogan", None), ("gan", CLASSES[0])])
def test_a_pool_goes_on_where_its_state_was_taken(recipe, labels):
    replay = pool(0.5, 16, recipe)
    for batch in range(5):
        replay.exchange(keyed(batch, labels), numbered(batch))
    state = {
        name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in replay.state().items()
    }
    resumed = pool(0.5, 16, recipe)
    resumed.restore(state)
    for batch in range(5, 9):
        one, two = (r.exchange(keyed(batch, labels), numbered(batch)) for r in (replay, resumed))
        assert torch.equal(one[1], two[1])
        assert torch.equal(one[0].z, two[0].z)
    fresh = pool(0.5, 16, recipe)
    assert not torch.equal(fresh.pool, resumed.pool)


def test_a_pool_of_a_run_that_kept_no_labels_goes_on_or_fills_anew():
    plain, labelled = pool(1.0, 16), pool(1.0, 16)
    state = {"pools": torch.full((1, 16, 1), -1.0), "cursor": 16}
    plain.restore(state)
    labelled.restore(state)
    assert shown(plain, 3).eq(-1).all()
    assert torch.equal(labelled.exchange(keyed(3, CLASSES[0]), numbered(3))[1], numbered(3))
    assert labelled.cursor == BATCH


@pytest.mark.parametrize("recipe", ["cgan", "acgan", "infogan"])
def test_families_with_labels_or_codes_resume_their_pools_exactly(recipe):
    one, two = (small_trainer(recipe, {"replay.share": 0.5, "replay.size": 12}) for _ in range(2))
    for _ in range(4):
        one.step()
    two.restore(one.state())
    for _ in range(3):
        one.step()
        two.step()
    assert_equal_trees(one.state(), two.state())
    assert one.guard.verdict() is None


def test_old_fakes_are_shown_to_the_discriminator_alone():
    trainer = small_trainer("gan", {"replay.share": 1.0, "replay.size": BATCH, "share_fakes": True}, POINTS)
    shown = []
    trainer.game.discriminator.layers.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0].detach()))
    made = []
    for _ in range(3):
        shown.clear()
        trainer.step()
        _, of_d, of_g = shown  # real and fake in D's turn, fake in G's
        made.append(of_g)
        assert torch.equal(of_d.sort(0).values, made[max(0, len(made) - 2)].sort(0).values)
    assert not torch.equal(made[1], made[2])


# Averages of D's answers: LeCam (arXiv:2104.03310), ADA (arXiv:2006.06676), rests


def watcher(changes) -> Recent:
    return Recent(small_config("dcgan", changes), CPU)


def answer(real: float, fake: float = 0.0, sign: float = 0.0) -> dict:
    names = {"logits/real": real, "logits/fake": fake, "sign/real": sign}
    return {name: torch.tensor(value) for name, value in names.items()}


def test_lecam_remembers_an_average_with_its_decay():
    recent, expected = watcher({"discriminator.penalties": "lecam"}), None
    for turn in range(40):
        real, fake = math.sin(turn) + 2, math.cos(turn) - 1
        recent.watch(answer(real, fake), BATCH)
        expected = (real, fake) if expected is None else tuple(
            0.99 * a + 0.01 * b for a, b in zip(expected, (real, fake), strict=True))  # fmt: skip
        assert recent.answers.tolist() == pytest.approx(expected, rel=1e-5)
    assert DECAY == 0.99
    assert abs(recent.answers[0] - (math.sin(39) + 2)) > 0.1


def test_the_penalty_reads_the_memory_of_the_turns_before():
    trainer = small_trainer("gan", {"discriminator.penalties": "lecam"}, POINTS)
    real, fake = None, None
    for _ in range(5):
        memory = trainer._moment("discriminator").memory.tolist()
        assert memory == pytest.approx([0.0, 0.0] if real is None else [real, fake], rel=1e-5)
        trainer.step()
        now = trainer.window["logits/real"][-1].item(), trainer.window["logits/fake"][-1].item()
        real, fake = now if real is None else (0.99 * real + 0.01 * now[0], 0.99 * fake + 0.01 * now[1])
    assert small_trainer("gan", {}, POINTS)._moment("discriminator").memory is None


ADAPTIVE = {"augment.policy": "diffaugment", "augment.target": 0.6, "augment.probability": 0.5, "augment.speed": 1000}


@pytest.mark.parametrize(
    ("signs", "direction"),
    [((1, 1, 1, 1), 1), ((-1, -1, -1, -1), -1), ((1, 1, 1, 0), 1), ((1, 1, 1, -1), -1), ((1, 0, 1, 0), -1)],
)
def test_the_probability_follows_the_mean_sign_of_four_turns(signs, direction):
    recent, told = watcher(ADAPTIVE), []
    for turn in range(12):
        recent.watch(answer(0, 0, signs[turn % 4]), BATCH)
        told.append(recent.probability(10**6).item())
    step = direction * 4 * BATCH / 1000  # so far in so many images
    assert told == pytest.approx([0.5] * 3 + [0.5 + step] * 4 + [0.5 + 2 * step] * 4 + [0.5 + 3 * step])
    assert recent.stats()["augment/probability"].item() == pytest.approx(told[-1])


def test_a_sure_discriminator_takes_the_probability_from_zero_to_one_in_speed_images():
    recent = watcher(ADAPTIVE | {"augment.probability": 0.0, "augment.speed": 320})
    told = []
    for _ in range(48):
        recent.watch(answer(0, 0, 1.0), BATCH)
        told.append(recent.probability(0).item())
    assert told[35] == pytest.approx(0.9, rel=1e-5)
    assert told[39] == pytest.approx(1.0, rel=1e-5)  # 40 turns of 8 images
    assert told[-1] == pytest.approx(1.0, abs=1e-6)  # and no further
    assert max(told) <= 1
    for _ in range(60):
        recent.watch(answer(0, 0, -1.0), BATCH)
    assert recent.probability(0).item() == 0


def test_without_a_target_the_probability_is_that_of_its_schedule():
    recent = watcher({"augment.policy": "diffaugment", "augment.probability": 0.25})
    recent.watch(answer(0, 0, 1.0), BATCH)
    assert recent.probability(10**6) == 0.25
    assert recent.stats() == {}


@pytest.mark.parametrize(("loss", "border"), [("non-saturating", 0.0), ("least-squares", 0.5), ("relativistic", None)])
def test_the_sign_counts_how_many_reals_are_called_real(loss, border):
    trainer = small_trainer("gan", {"loss": loss}, POINTS)
    real, fake = torch.tensor([0.2, 0.4, 0.6, 2.0]), torch.tensor([0.0, 0.2, 0.5, 0.5])
    told = trainer.game._discriminator_stats(torch.tensor(0.0), real, fake)["sign/real"].item()
    edge = fake.mean().item() if border is None else border
    assert told == pytest.approx(sum(1 if r > edge else -1 for r in real.tolist()) / 4)


def sure(trainer, logit: float) -> None:
    """Make D call every real sample real (or fake), whatever it has learnt."""
    with torch.no_grad():
        trainer.game.discriminator.head.weight.zero_()
        trainer.game.discriminator.head.bias.fill_(logit)


@pytest.mark.parametrize(("logit", "direction"), [(30.0, 1), (-30.0, -1)])
def test_in_training_an_overfitted_discriminator_is_shown_more_changes(logit, direction):
    still = {"discriminator.optimizer.lr": 1e-12, "discriminator.model.norm": "none"}
    trainer = small_trainer("dcgan", ADAPTIVE | still)
    sure(trainer, logit)
    for _ in range(9):
        trainer.step()
    told = [p.item() for p in trainer.window["augment/probability"]]
    step = direction * 4 * BATCH / 1000
    assert told == pytest.approx([0.5] * 3 + [0.5 + step] * 4 + [0.5 + 2 * step] * 2)
    assert trainer._moment("generator").augment.item() == pytest.approx(told[-1])  # both players


def test_a_discriminator_far_ahead_rests_until_it_is_needed():
    trainer = small_trainer("gan", {"balance": 0.9, "share_fakes": False}, POINTS)
    player = trainer.players["discriminator"]

    def weights():
        return [p.detach().clone() for p in player.parameters]

    sure(trainer, 30.0)
    for turn in range(1, 5):  # four turns to know it
        trainer.step()
        assert player.turns_taken == turn
        sure(trainer, 30.0)
    before, state = weights(), {n: t.clone() for n, t in player.optimizer.state[player.parameters[0]].items()}
    told = {name: len(values) for name, values in trainer.window.items()}
    for turn in range(5, 8):
        trainer.step()
        assert player.turns_taken == 4
        assert all(torch.equal(old, new) for old, new in zip(before, weights(), strict=True))
        assert trainer.images == turn * BATCH  # the run goes on, and D's answers are logged
        assert len(trainer.window["logits/real"]) == turn
        assert len(trainer.window["gradient/discriminator"]) == told["gradient/discriminator"]
    now = player.optimizer.state[player.parameters[0]]
    assert all(torch.equal(value, now[name]) for name, value in state.items())
    assert trainer.players["generator"].turns_taken == 7  # G goes on while D rests
    sure(trainer, -30.0)
    trainer.step()  # three old turns and this one have the mean sign of 0.5: three quarters are called real
    assert player.turns_taken == 4
    trainer.step()
    assert player.turns_taken == 5
    assert any(not torch.equal(old, new) for old, new in zip(before, weights(), strict=True))


def test_balance_is_a_share_of_reals():
    recent = watcher({"balance": 0.8})
    for signs, rests in (((0.7, 0.7, 0.7, 0.7), True), ((0.5, 0.5, 0.5, 0.5), False), ((1, 1, 1, -0.7), False)):
        for sign in signs:
            recent.watch(answer(0, 0, sign), BATCH)
        assert recent.resting() == rests
    fresh = watcher({"balance": 0.8})
    for _ in range(3):
        fresh.watch(answer(0, 0, 1.0), BATCH)
        assert not fresh.resting()
    fresh.watch(answer(0, 0, 1.0), BATCH)
    assert fresh.resting()


def test_what_is_remembered_goes_on_where_it_was():
    changes = ADAPTIVE | {"balance": 0.8, "discriminator.penalties": "lecam"}
    recent, resumed = watcher(changes), watcher(changes)
    for turn in range(6):
        recent.watch(answer(turn, -turn, 1.0), BATCH)
    resumed.restore(recent.state())
    for turn in range(6, 12):
        for one in (recent, resumed):
            one.watch(answer(turn, -turn, 0.3), BATCH)
        assert_equal_trees(recent.state(), resumed.state())
        assert recent.resting() == resumed.resting()


# Weight clipping (arXiv:1701.07875, algorithm 1)


def test_every_weight_is_cut_on_both_sides_after_each_turn():
    trainer = small_trainer("dcgan", {"discriminator.weight_clip": 0.013, "loss": "wasserstein"})
    free = small_trainer("dcgan", {"discriminator.weight_clip": 1e6, "loss": "wasserstein"})
    for _ in range(2):
        trainer.step()
        free.step()
        every = torch.cat([p.detach().flatten() for p in trainer.game.discriminator.parameters()])
        assert every.max().item() == pytest.approx(0.013)
        assert every.min().item() == pytest.approx(-0.013)
        assert (every.abs() < 0.0129).float().mean() > 0.1  # cut, not scaled
    for network in (free.game.discriminator, trainer.game.generator):
        assert max(p.abs().max() for p in network.parameters()) > 0.03


def test_the_bundle_that_resumes_exactly_exercises_what_it_names():
    """In `TECHNIQUES` D rests in some steps, the probability goes both ways, and old fakes change places."""
    trainer, told = small_trainer("dcgan", TECHNIQUES), []
    for _ in range(20):
        pool = trainer.replay.pool.clone()
        trainer.step()
        told.append(trainer.recent.adaptive.item())
    assert 4 < trainer.players["discriminator"].turns_taken < 18
    assert min(told) < 0.15
    assert max(told[8:]) > min(told) + 0.05
    assert trainer.replay.cursor == 20 * BATCH
    kept = (pool == trainer.replay.pool).flatten(1).all(1)
    assert 0 < kept.sum() < len(kept)
    assert trainer.guard.verdict() is None
    seen = {name.split("/", 1)[1] for name in trainer.window if name.startswith("penalty/")}
    assert seen == {"lecam", "bcr", "drift", "orthogonal", "generator/zcr", "generator/feature-matching",
                    "generator/orthogonal"}  # fmt: skip
