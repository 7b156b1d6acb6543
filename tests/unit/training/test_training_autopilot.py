"""The autopilot: what it changes while a run trains, that nothing else moves, and that all of it can be taken back."""

import json
import shlex
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from engine_helpers import (
    CPU,
    as_processes,
    assert_equal_trees,
    log_of,
    newest,
    shrunk,
    small_config,
    small_store,
    small_trainer,
    write_data,
)

import organza
from organza.cli.train import main
from organza.config import ConfigError, Schedule, override, to_dict
from organza.health.advice import against_growth, first, more_penalty
from organza.health.command import train_again
from organza.health.diagnosis import diagnose
from organza.recipes import RECIPES
from organza.reporter import Silent
from organza.training.autopilot import LAST, PLATEAU, Autopilot
from organza.training.checkpoint import load, save
from organza.training.run import Run
from organza.training.schedule import value_at
from organza.training.state import adopt, take_networks
from organza.training.trainer import Trainer

WEAK = {"autopilot": True, "output.log": 8, "discriminator.optimizer.lr": 1e-9}
R1 = {"name": "r1", "weight": 1.0}
CHANGES = {
    "discriminator.turns": 2, "share_fakes": False, "noise": 0.1, "loss": "hinge",
    "generator.optimizer.lr": {"start": 1e-3, "end": 0.0, "images": 100, "shape": "linear"},
    "discriminator.penalties": [R1 | {"every": 1}],
    "augment.policy": ["brightness"], "augment.target": 0.6, "augment.probability": 0.0,
}  # fmt: skip


class Notes(Silent):
    def __init__(self):
        self.notes = []

    def note(self, message):
        self.notes.append(message)


def trained(folder, changes, recipe="gan", images=200, **more):
    """A run on small data: (run, what was told)."""
    folder.mkdir(exist_ok=True)
    reporter = Notes()
    run = organza.train(
        recipe, data=write_data(folder), out=folder / "run", images=images, device="cpu", reporter=reporter,
        changes=shrunk(recipe) | changes, **more,
    )  # fmt: skip
    return run, reporter.notes


def moved(trainer, steps=3):
    for _ in range(steps):
        trainer.step()
    return trainer.state()


def test_adopting_nothing_changes_nothing():
    trainer, other = small_trainer("dcgan"), small_trainer("dcgan")
    moved(trainer), moved(other)
    adopt(trainer, {})
    assert_equal_trees(trainer.state(), other.state())
    assert_equal_trees(moved(trainer), moved(other))


def test_a_change_is_in_force_and_can_be_taken_back():
    trainer, plain = small_trainer("dcgan", {"autopilot": True}), small_trainer("dcgan")
    own = trainer.config
    state = moved(trainer)
    adopt(trainer, CHANGES)
    assert trainer.config.loss == "hinge"
    assert trainer.config.generator.optimizer.lr == Schedule(start=1e-3, end=0.0, images=100, shape="linear")
    assert_equal_trees(trainer.state()["networks"], state["networks"])
    assert_equal_trees(trainer.state()["optimizers"], state["optimizers"])
    assert float(trainer.recent.adaptive) == 0  # begins where the change says, not at the 1 of before
    images = trainer.images
    moved(trainer, 1)
    assert trainer.images == images + 2 * trainer.config.batch
    adopt(trainer, {})
    assert trainer.config == own
    moved(plain, 4)
    with pytest.raises(AssertionError):
        assert_equal_trees(trainer.state()["networks"], plain.state()["networks"])


def test_a_change_that_cannot_be_leaves_everything():
    trainer = small_trainer("dcgan")
    state, config = moved(trainer), trainer.config
    with pytest.raises(ConfigError):
        adopt(trainer, {"loss": "nonsense"})
    assert trainer.config == config
    assert_equal_trees(trainer.state(), state)


def test_another_optimiser_starts_afresh():
    trainer = small_trainer("dcgan")
    moved(trainer)
    adopt(trainer, {"generator.optimizer.name": "rmsprop"})
    assert not trainer.players["generator"].optimizer.state
    assert trainer.players["discriminator"].optimizer.state
    before = trainer.state()["networks"]["generator"]
    after = moved(trainer)["networks"]["generator"]
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_state_brings_its_changes_along():
    first = small_trainer("dcgan", {"autopilot": True})
    adopt(first, CHANGES)
    state = moved(first)
    second = small_trainer("dcgan", {"autopilot": True})
    second.restore(state)
    assert second.config == first.config
    assert_equal_trees(moved(second), moved(first))
    own = small_trainer("dcgan", {"autopilot": False})
    own.restore(state)
    assert own.config.loss != "hinge"
    assert own.images == state["counters"]["images"]


def test_only_the_networks_go_back():
    trainer = small_trainer("dcgan")
    early = moved(trainer)
    late = moved(trainer, 5)
    take_networks(trainer, early)
    now = trainer.state()
    for part in ("networks", "average", "optimizers"):
        assert_equal_trees(now[part], early[part])
    for part in ("counters", "batches"):
        assert_equal_trees(now[part], late[part])


def test_a_weak_discriminator_is_woken(tmp_path):
    run, notes = trained(tmp_path, WEAK)
    actions = run.summary["autopilot"]["actions"]
    (first,) = [action for action in actions if "weak discriminator" in action["findings"]]
    assert first["images"] == 96  # the twelfth line
    assert any(line.startswith("discriminator.optimizer.lr: 1e-09 -> 0.0002") for line in first["changed"])
    rates = {line["images"]: line["lr/discriminator"] for line in log_of(run.path) if "lr/discriminator" in line}
    assert rates[96] == 1e-9
    assert rates[104] == pytest.approx(2e-4)
    assert run.config.discriminator.optimizer.lr == 1e-9  # what the user asked for stays on record
    assert any(note.startswith("autopilot at 96 images: ") and "weak discriminator" in note for note in notes)
    assert "weak discriminator" not in {finding.name for finding in diagnose(run.path)}
    asleep, told = trained(tmp_path / "without", WEAK | {"autopilot": False})
    assert "autopilot" not in asleep.summary
    assert "weak discriminator" in {finding.name for finding in diagnose(asleep.path)}
    assert not any("autopilot" in note for note in told)


def test_resume_without_it_undoes_everything(tmp_path):
    run, _ = trained(tmp_path, WEAK, images=120)
    assert json.loads(newest(run.path)["changes"])
    with pytest.raises(ConfigError, match="another configuration"):
        organza.train(out=run.path, resume=True, images=160, changes={"batch": 16})
    organza.train(out=run.path, resume=True, images=160, device="cpu", changes={"autopilot": False})
    rates = [line["lr/discriminator"] for line in log_of(run.path) if line["images"] > 120]
    assert rates == [1e-9] * 5
    assert newest(run.path)["changes"] == "{}"


def test_a_rollback_is_answered_with_slower_players(tmp_path):
    fast = {"autopilot": True, "generator.optimizer.lr": 1e38, "generator.optimizer.name": "sgd", "output.log": 8}
    run, notes = trained(tmp_path, fast)
    (action,) = [a for a in run.summary["autopilot"]["actions"] if a["findings"] == ["divergence"]]
    assert "generator.optimizer.name: sgd -> adam" in action["changed"]
    assert run.summary["status"] == "finished"
    assert sum("is not finite" in note for note in notes) == 1
    (divergence,) = [finding for finding in diagnose(run.path) if finding.name == "divergence"]
    assert divergence.status == "note"


@pytest.mark.parametrize("healthy_at", [48, 0])
def test_a_second_rollback_goes_back_to_healthy_networks(tmp_path, healthy_at):
    """The newest checkpoint is finite and has exploded: nothing that starts from it lasts a line of the log."""
    calm = {"autopilot": True, "output.log": 16}
    run, _ = trained(tmp_path, calm, images=96)
    earlier, latest = run.checkpoints()
    if healthy_at:
        shutil.copyfile(earlier, run.path / "checkpoints" / "healthy.safetensors")
    state = load(latest)
    summary = json.loads(state["summary"])
    summary["autopilot"] = {"healthy_at": healthy_at}
    for networks in (*state["networks"].values(), state["average"]):
        for tensor in networks.values():
            tensor.fill_(1e30) if tensor.is_floating_point() else None
    save(latest, state | {"summary": json.dumps(summary)})
    told = Notes()
    organza.train(out=run.path, resume=True, images=200, device="cpu", reporter=told)
    assert run.summary["status"] == "finished"
    back = [note for note in told.notes if f"networks back to those at {healthy_at} images" in note]
    assert len(back) == 1
    actions = run.summary["autopilot"]["actions"]
    assert [a["back_to"] for a in actions if a["findings"] == ["divergence"]][-1] == healthy_at
    assert newest(run.path)["counters"]["rollbacks"] == (2 if healthy_at else 3)
    assert all(float(t.abs().max()) < 1e3 for t in newest(run.path)["networks"]["generator"].values())


def pilot_of(folder, scores, best_at, **more):
    """An autopilot of a run whose log has these scores, one for each 8 images, and more scalars."""
    run = Run.create(folder / "run", small_config("gan", WEAK | {"discriminator.optimizer.lr": 2e-4}))
    for number, score in enumerate(scores, 1):
        healthy = {"loss/generator": 1.0, "update/discriminator": 1e-3, "update/generator": 1e-3, **more}
        run.log({"images": 8 * number, **healthy, "score/fd-general-1k": score})
    about = {"score": "fd-general-1k", "images": best_at}
    return Autopilot(run, run.config, small_store(), {"best_model": about, "data": {"shape": [1, 16, 16]}})


def test_a_plateau_ends_the_run(tmp_path):
    trainer = Trainer(small_config("gan"), small_store(), CPU)
    flat = [20.0, 10.0, *[11.0] * (PLATEAU + 2)]
    action = pilot_of(tmp_path, flat, best_at=16).choose(trainer, 10_000, None)
    assert action is not None
    assert action.stop
    assert "12 scores since are no better" in action.told
    note, stop = pilot_of(tmp_path / "b", flat, best_at=16).take(trainer, action)
    assert stop
    assert "stops here" in note
    rising = [float(40 - number) for number in range(PLATEAU + 4)]
    assert pilot_of(tmp_path / "c", rising, best_at=8 * len(rising)).choose(trainer, 10_000, None) is None
    few = flat[: PLATEAU - 1] + [None] * 5
    assert pilot_of(tmp_path / "d", [s for s in few if s], best_at=16).choose(trainer, 10_000, None) is None


def test_noise_fades_when_all_is_well(tmp_path, monkeypatch):
    pilot = pilot_of(tmp_path, [1.0] * 13, best_at=8 * 13)
    trainer = small_trainer("gan", {"autopilot": True})
    adopt(trainer, {"noise": 0.1, "generator.turns": 2, "share_fakes": False})
    assert pilot.choose(trainer, 10_000, None) is None  # the log alone is not enough to say so
    monkeypatch.setattr("organza.training.autopilot.alarms", lambda case: [])  # nor are 37 random images healthy
    action = pilot.choose(trainer, 10_000, object)
    assert action is not None
    assert pilot.healthy_at == trainer.images
    pilot.take(trainer, action)
    fading = trainer.config.noise
    assert isinstance(fading, Schedule)
    assert value_at(fading, trainer.images) == pytest.approx(0.1, rel=0.01)
    half = (trainer.images + 10_000) // 2  # of what is left
    assert 0 < value_at(fading, half - 100) < 0.1
    assert value_at(fading, half) == 0
    assert trainer.config.generator.turns == 2
    assert pilot.choose(trainer, 10_000, object) is None  # once is enough


def test_nothing_is_changed_near_the_end(tmp_path):
    pilot = pilot_of(tmp_path, [1.0] * 13, best_at=8 * 13)
    pilot.run.log({"images": 112, "loss/generator": 1.0, "logits/real": 1e9})
    for number in range(6):
        pilot.run.log({"images": 120 + 8 * number, "loss/generator": 1.0, "logits/real": 1e9})
    trainer = small_trainer("gan", {"autopilot": True})
    trainer.images = 160
    assert pilot.choose(trainer, int(160 / LAST) - 1, None) is None
    action = pilot.choose(trainer, 1_000, None)
    assert action is not None
    assert action.findings == ("divergence",)
    assert action.back_to == 0
    assert "gradient-norm" in {penalty["name"] for penalty in to_dict(action)["changes"]["discriminator.penalties"]}


@pytest.mark.parametrize(("clip", "change"), [(None, 0.1), (100.0, 0.1), (0.1, None), (0.05, None)])
def test_a_critic_without_bound_gets_that_of_the_recipe(clip, change):
    config = override(RECIPES["wgan"]((2,), "laptop"), {"discriminator.weight_clip": clip})
    assert (
        against_growth(SimpleNamespace(config=config, shape=(2,), is_image=False)).get("discriminator.weight_clip")
        == change
    )


def test_what_gets_better_is_left_alone(tmp_path):
    """A strong D is answered where the score stands still, and not where it falls; what is sure does not wait."""
    strong = {"accuracy/real": 0.99, "accuracy/fake": 0.99}
    falling, flat = [1000.0 * 0.97**number for number in range(13)], [1000.0] * 13
    for name, scores, more, answered in (
        ("falling", falling, strong, False), ("flat", flat, strong, True), ("ill", falling, {"logits/real": 1e9}, True),
    ):  # fmt: skip
        pilot = pilot_of(tmp_path / name, scores, best_at=8 * 13, **more)
        trainer = small_trainer("gan", {"autopilot": True})
        assert (pilot.choose(trainer, 10_000, None) is not None) == answered, name


def test_a_penalty_that_is_there_weighs_more(tmp_path):
    """Three times as much, at the same turns, up to ten times the usual weight; the next rung comes then."""
    strong = {"accuracy/real": 0.99, "accuracy/fake": 0.99}
    mine = {"autopilot": True, "discriminator.penalties": [{"name": "drift", "weight": 0.1}, R1 | {"every": 4}]}
    trainer, said = small_trainer("gan", mine), []
    own = trainer.config
    for step in range(3):
        pilot = pilot_of(tmp_path / str(step), [1000.0] * 13, best_at=8 * 13, **strong)
        action = Autopilot(pilot.run, own, pilot.store, pilot.summary).choose(trainer, 10_000, None)
        assert action is not None
        assert action.findings == ("strong discriminator",)
        said.append(pilot.take(trainer, action)[0])
    assert "discriminator.penalties: 0.1 drift, 1 r1 -> 0.1 drift, 3 r1" in said[0]
    assert "0.1 drift, 3 r1 -> 0.1 drift, 9 r1" in said[1]
    assert "noise: 0 -> 0.1" in said[2]
    drift, r1 = trainer.config.discriminator.penalties
    assert (drift.weight, r1.weight, r1.every) == (0.1, 9.0, 4)
    moved(trainer, 1)
    adopt(trainer, {})
    assert trainer.config == own


def test_the_weight_of_the_recipe_says_how_much_is_too_much(tmp_path):
    """R3GAN's own gamma / 2, on a schedule: both ends rise, twice at most."""
    recipe = RECIPES["r3gan"]((1, 16, 16), "laptop")
    pilot = pilot_of(tmp_path, [1.0] * 13, best_at=8 * 13)
    case = replace(pilot._case(small_trainer("gan")), config=recipe)
    weights = [recipe.discriminator.penalties]
    while changes := more_penalty(case, "r1"):
        (penalties,) = changes.values()
        weights.append(penalties)
        case = replace(case, config=override(case.config, changes))
    assert [[first(p.weight) / first(o.weight) for p, o in zip(w, weights[0], strict=True)] for w in weights] == [
        [pytest.approx(factor)] * 2 for factor in (1, 3, 9)
    ]
    one = weights[0][0].weight
    assert isinstance(one, Schedule)
    assert weights[2][0].weight.end == pytest.approx(9 * one.end)
    assert {p.name for p in weights[2]} == {"r1", "r2"}


def test_penalties_of_points_weigh_a_hundredth(tmp_path):
    """Their modes are narrow, and D steep between them: R1 at 1 made a run on 25 modes lose what it had."""
    pilot = pilot_of(tmp_path, [1.0] * 13, best_at=8 * 13)
    case = replace(pilot._case(small_trainer("gan")), store=organza.open_dataset("ring"))
    assert not case.is_image
    for name, weight in (("r1", 0.01), ("gradient-norm", 0.1)):
        (penalties,) = more_penalty(case, name).values()
        assert [(p.name, p.weight) for p in penalties] == [(name, pytest.approx(weight))]
    weights = [first(penalties[0].weight)]
    while changes := more_penalty(case, "gradient-norm"):
        (penalties,) = changes.values()
        weights.append(first(penalties[0].weight))
        case = replace(case, config=override(case.config, changes))
    assert weights == [pytest.approx(w) for w in (0.1, 0.1, 0.3, 0.9)]


def test_advice_with_weights_is_a_command_that_the_command_line_takes(tmp_path, capsys):
    pilot = pilot_of(tmp_path, [1.0] * 13, best_at=8 * 13)
    config = override(pilot.own, {"discriminator.penalties": [R1 | {"every": 4}]})
    case = replace(pilot._case(small_trainer("gan")), config=config)
    command = train_again(case, more_penalty(case, "r1"))
    assert "--discriminator.penalties r1 --discriminator.penalties.r1.weight 3 " in command
    assert "--discriminator.penalties.r1.every 4 " in command
    words = shlex.split(command)
    main([*words[2:4], "mnist", *words[5:], "--device", "cpu", "--dry-run"])
    assert capsys.readouterr().out


def steered(rank_number, folder):
    reporter = Notes()
    organza.train(
        "gan", data=f"{folder}/small.npz", out=f"{folder}/two", images=200, device="cpu", reporter=reporter,
        changes=shrunk("gan") | WEAK,
    )  # fmt: skip
    assert len([note for note in reporter.notes if note.startswith("autopilot")]) >= 1, reporter.notes


def test_every_process_makes_the_change(tmp_path):
    write_data(tmp_path)
    assert as_processes(steered, str(tmp_path)) == [0, 0]
    actions = Run(tmp_path / "two").summary["autopilot"]["actions"]
    assert any("weak discriminator" in action["findings"] for action in actions)


def test_a_healthy_run_is_left_alone(tmp_path):
    calm = {"autopilot": True, "output.log": 8}
    pilot = pilot_of(tmp_path, [1.0] * 13, best_at=8 * 13)
    trainer = small_trainer("gan", calm)
    assert pilot.choose(trainer, 10_000, None) is None
    assert replace(trainer.config, autopilot=False) == replace(small_config("gan", calm), autopilot=False)
