"""Numbers that are not finite: found, named, undone; and a run that never gets well is ended."""

import json
import math

import pytest
import torch
from engine_helpers import CPU, log_of, newest, shrunk, small_config, small_store, write_data

import organza
from organza.reporter import Silent
from organza.training.checkpoint import load
from organza.training.guard import ROLLBACKS, BrokenError, Guard
from organza.training.outputs import Outputs
from organza.training.run import Run
from organza.training.trainer import Limits, Trainer


class Saboteur(Silent):
    """Plants NaN in a tensor of the running trainer after chosen steps; remembers the notes."""

    def __init__(self, where, steps) -> None:
        self.where, self.steps, self.taken, self.notes = where, set(steps), 0, []
        self.trainer: Trainer | None = None

    def progress(self, images, total, rate, eta):
        self.taken += 1
        if self.taken in self.steps:
            with torch.no_grad():
                self.where(self.trainer).view(-1)[3] = math.nan

    def note(self, text):
        self.notes.append(text)


def generator_weight(trainer):
    return trainer.game.generator.project.weight


def sabotaged(tmp_path, steps, images=400, changes=None, where=generator_weight):
    """A run whose weights break after some steps: (run, reporter, trainer, status or the error)."""
    often = {"output.log": 16, "output.checkpoint": 48, "images": images, **(changes or {})}
    config, store = small_config("dcgan", often), small_store()
    run = Run.create(tmp_path / "run", config)
    trainer, reporter = Trainer(config, store, CPU), Saboteur(where, steps)
    reporter.trainer = trainer
    data = {"name": "small", "count": 37, "shape": [1, 16, 16], "classes": [], "licence": "", "fingerprint": ""}
    outputs = Outputs(run, config, store, {"data": data, "parameters": {"generator": 1, "discriminator": 1}})
    outputs.begin(trainer)
    try:
        status = trainer.train(outputs, Limits(images), reporter)
        outputs.end(trainer)
    except BrokenError as problem:
        status = problem
    return run, reporter, trainer, status


def finite(tree) -> bool:
    if isinstance(tree, dict):
        return all(finite(value) for value in tree.values())
    return not isinstance(tree, torch.Tensor) or not tree.is_floating_point() or bool(torch.isfinite(tree).all())


def test_a_rollback_and_training_goes_on(tmp_path):
    run, reporter, trainer, status = sabotaged(tmp_path, steps=[15])
    assert status == "finished"
    assert trainer.images >= 400
    assert trainer.rollbacks == 1
    assert finite(trainer.state())
    (note,) = [note for note in reporter.notes if "checkpoint" in note]
    assert "at 128 images" in note  # planted after step 15 = 120 images, seen at the next tick
    assert "back to the checkpoint at 96 images (1 of 3)" in note
    assert "is not finite" in note
    lines = log_of(run.path)
    images = [line["images"] for line in lines]
    assert 1 <= trainer.nonfinite <= 4  # turns between what was planted and the look for it
    assert lines[0]["nonfinite"] == 0
    assert lines[-1]["nonfinite"] == newest(run.path)["counters"]["nonfinite"] == trainer.nonfinite
    assert images == sorted(images)
    assert len(images) == len(set(images))
    assert all(finite(load(path)) for path in run.checkpoints())


def test_other_noise_follows_a_rollback(tmp_path):
    _, _, broken, _ = sabotaged(tmp_path / "a", steps=[15], images=200)
    _, _, whole, _ = sabotaged(tmp_path / "b", steps=[], images=200)
    assert whole.images == broken.images
    assert not torch.equal(whole.batches.noise.get_state(), broken.batches.noise.get_state())
    assert not torch.equal(generator_weight(whole), generator_weight(broken))


def test_three_rollbacks_are_the_last(tmp_path):
    run, reporter, _, status = sabotaged(tmp_path, steps=range(15, 400))
    assert ROLLBACKS == 3
    assert isinstance(status, BrokenError)
    assert [note.split("(")[-1] for note in reporter.notes] == ["1 of 3)", "2 of 3)", "3 of 3)"]
    assert "after 3 rollbacks" in str(status)
    assert all(finite(load(path)) for path in run.checkpoints())
    assert finite(newest(run.path))


@pytest.mark.parametrize("step", [5, 6, 7, 11, 12, 13, 23, 24, 25])
@pytest.mark.parametrize("intervals", [(16, 48), (64, 48), (1000, 48), (80, 24)])
def test_no_checkpoint_ever_holds_what_is_not_finite(tmp_path, step, intervals):
    """Whatever the intervals are, the state is looked at before it is kept, and a run never ends with NaN."""
    changes = {"output.log": intervals[0], "output.checkpoint": intervals[1]}
    run, _, trainer, status = sabotaged(tmp_path, [step], 200, changes)
    assert status == "finished"
    assert trainer.rollbacks == 1
    assert run.checkpoints()
    assert all(finite(load(path)) for path in run.checkpoints())
    assert finite(trainer.state())


def test_a_nan_of_the_last_step_does_not_become_the_result(tmp_path):
    run, _, trainer, status = sabotaged(tmp_path, [25], 200, {"output.log": 10**6, "output.checkpoint": 10**6})
    assert status == "finished"
    assert trainer.images >= 200
    assert finite(newest(run.path))
    assert torch.isfinite(organza.load(run.path).generator.project.weight).all()


def test_divergence_ends_with_a_summary(tmp_path):
    changes = shrunk("dcgan") | {"generator.optimizer.lr": 1e38, "generator.optimizer.name": "sgd"}
    with pytest.raises(BrokenError, match="lower learning rate"):
        organza.train(
            "dcgan", data=write_data(tmp_path), out=tmp_path / "run", images=400, changes=changes, device="cpu"
        )
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "failed"
    assert finite(newest(tmp_path / "run"))


def spoil(parameter, value):
    """Make the gradients of a parameter useless until the hook is removed."""
    parameter.requires_grad_(True)  # the trainer may have frozen it
    return parameter.register_hook(lambda gradient: gradient + value)


def guarded() -> tuple[Trainer, Guard]:
    trainer = Trainer(small_config("dcgan"), small_store(), CPU)
    return trainer, trainer.guard


def test_a_healthy_run_has_no_verdict():
    trainer, guard = guarded()
    for _ in range(3):
        trainer.step()
    assert guard.verdict() is None


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_the_tensor_whose_gradient_broke_is_named(player):
    """Only one gradient breaks; by the next tick every tensor of both players is NaN."""
    trainer, guard = guarded()
    network = trainer.players[player].network
    name = [name for name, _ in network.named_parameters()][-2]
    trainer.step()
    hook = spoil(network.get_parameter(name), math.nan)
    trainer.step()
    hook.remove()
    for _ in range(3):
        trainer.step()
    assert not finite(trainer.game.generator.state_dict())
    assert not finite(trainer.game.discriminator.state_dict())
    module = type(network.get_submodule(name.rpartition(".")[0])).__name__
    assert guard.verdict() == f"the gradient of {player}.{name} ({module}) is not finite"


def test_infinity_counts_too():
    trainer, guard = guarded()
    hook = spoil(trainer.game.discriminator.head.bias, math.inf)
    trainer.step()
    hook.remove()
    assert "discriminator.head.bias (Linear) is not finite" in guard.verdict()


def test_nan_in_the_data_breaks_the_discriminator_first():
    store = small_store()
    store = organza.data.ImageStore("nan", store.images.float() / 127.5 - 1, store.labels, store.classes)
    trainer = Trainer(small_config("dcgan"), store, CPU)
    trainer.step()
    assert trainer.guard.verdict() is None
    store.images.fill_(math.nan)
    for _ in range(2):
        trainer.step()
    assert trainer.guard.verdict().startswith("the gradient of discriminator.")


def test_a_broken_value_is_found_without_a_step():
    trainer, guard = guarded()
    trainer.step()
    trainer.game.generator.state_dict()["project.weight"][0, 0] = math.nan
    assert guard.verdict() == "the value of generator.project.weight (Linear) is not finite"


def test_clearing_forgets():
    trainer, guard = guarded()
    hook = spoil(trainer.game.discriminator.head.bias, math.inf)
    before = trainer.state()
    trainer.step()
    hook.remove()
    trainer.restore(before)
    assert guard.verdict() is None
