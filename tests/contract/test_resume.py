"""A run killed with SIGKILL at any step and resumed ends bit for bit as one that was never interrupted."""

import copy
import random
import time

import pytest
import torch
from engine_helpers import (
    CPU,
    FORKS,
    assert_equal_trees,
    in_process,
    log_of,
    newest,
    run_once,
    shrunk,
    small_config,
    small_store,
    variants,
    write_data,
)  # fmt: skip

import organza
from organza.training.trainer import Trainer

IMAGES = 160


def steps_of(name) -> int:
    """Of a whole run of a variant, whose discriminator may take several turns in each."""
    recipe, changes = variants()[name]
    config = small_config(recipe, changes)
    return IMAGES // (config.batch * config.discriminator.turns)


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """Name of a variant -> arguments of `organza.train`, all on one data set."""
    data = write_data(tmp_path_factory.mktemp("data"))

    def of(name, out, **more):
        recipe, changes = variants()[name]
        asked = {"images": IMAGES, "changes": shrunk(recipe) | changes, "device": "cpu"}
        return {"recipe": recipe, "data": data, "out": str(out), **asked, **more}

    return of


@pytest.fixture(scope="module")
def whole(arguments, tmp_path_factory):
    """The uninterrupted run of a variant, made once."""
    made = {}

    def of(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(f"whole-{name}") / "run"
            assert in_process(arguments(name, folder)) == 0
            made[name] = folder
        return made[name]

    return of


@pytest.mark.parametrize("name", variants())
def test_killed_and_resumed_is_bit_identical(name, arguments, whole, tmp_path):
    """Three deaths in one life: in the middle, while a checkpoint is half written, just after one."""
    folder, steps = tmp_path / "run", steps_of(name)
    per_checkpoint = -(-48 * steps // IMAGES)
    assert in_process(arguments(name, folder), kill_after=max(1, per_checkpoint - 1)) == -9
    again = arguments(name, folder, resume=True)
    assert in_process(again, torn_save=1) == -9
    assert in_process(again, kill_after=per_checkpoint + 1) == -9
    assert in_process(again, kill_after=1) == -9
    assert in_process(again) == 0
    reference = whole(name)
    assert_equal_trees(newest(folder), newest(reference))
    assert log_of(folder) == log_of(reference)
    assert newest(folder)["counters"]["images"] == IMAGES
    mine, other = (organza.load(path).sample(4) for path in (folder, reference))
    assert torch.equal(mine, other)


def test_the_runs_that_are_compared_can_differ(arguments, whole, tmp_path):
    """Equality is no accident: another seed gives another end."""
    folder = tmp_path / "run"
    assert in_process(arguments("dcgan", folder, seed=1)) == 0
    with pytest.raises(AssertionError):
        assert_equal_trees(newest(folder), newest(whole("dcgan")))
    assert log_of(folder) != log_of(whole("dcgan"))


@pytest.mark.parametrize("name", ["dcgan-everything", "gan-dropout-flip"])
@pytest.mark.parametrize("kill_after", [1, 2, 3, 4, 5, 7])
def test_death_at_many_steps(name, kill_after, arguments, whole, tmp_path):
    folder = tmp_path / "run"
    assert in_process(arguments(name, folder), kill_after=kill_after) == -9
    assert in_process(arguments(name, folder, resume=True)) == 0
    assert_equal_trees(newest(folder), newest(whole(name)))
    assert log_of(folder) == log_of(whole(name))


def lines(folder) -> int:
    file = folder / "log.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.mark.parametrize("name", ["gan-dropout-flip", "r3gan"])
def test_killed_from_outside_at_random_moments(name, arguments, whole, tmp_path):
    """Wherever the signal falls: in a step, a log line, a grid, a checkpoint, the model, the report."""
    folder, chance, deaths = tmp_path / "run", random.Random(name), 0
    for _ in range(4):
        started = any((folder / "checkpoints").glob("*.safetensors"))
        process = FORKS.Process(target=run_once, args=(arguments(name, folder, resume=started),))
        process.start()
        until = lines(folder) + chance.randint(1, 2)
        while lines(folder) < until and process.is_alive():
            time.sleep(0.003)
        time.sleep(chance.uniform(0, 0.03))
        process.kill()
        process.join()
        deaths += process.exitcode == -9
    assert deaths > 0
    started = any((folder / "checkpoints").glob("*.safetensors"))
    assert in_process(arguments(name, folder, resume=started)) == 0
    assert_equal_trees(newest(folder), newest(whole(name)))
    assert log_of(folder) == log_of(whole(name))
    assert torch.equal(organza.load(folder).sample(4), organza.load(whole(name)).sample(4))


def test_the_first_checkpoint_torn_in_writing_is_a_fresh_start(arguments, whole, tmp_path):
    folder = tmp_path / "run"
    assert in_process(arguments("dcgan", folder), torn_save=1) == -9
    assert not list((folder / "checkpoints").glob("*.safetensors"))
    assert in_process(arguments("dcgan", folder)) == 0  # nothing was trained: the folder is free
    assert_equal_trees(newest(folder), newest(whole("dcgan")))


def test_a_resumed_run_can_go_further(arguments, whole, tmp_path):
    folder = tmp_path / "run"
    organza.train(**arguments("dcgan", folder, images=96))
    organza.train(out=folder, resume=True, images=IMAGES, device="cpu")
    assert_equal_trees(newest(folder), newest(whole("dcgan")))


def test_a_damaged_newest_checkpoint_costs_only_time(arguments, whole, tmp_path):
    folder = tmp_path / "run"
    organza.train(**arguments("cgan", folder))
    last = sorted((folder / "checkpoints").glob("[0-9]*"))[-1]
    content = bytearray(last.read_bytes())
    content[-100] ^= 1
    last.write_bytes(content)
    run = organza.train(out=folder, resume=True, device="cpu")
    assert_equal_trees(newest(folder), newest(whole("cgan")))
    assert log_of(folder) == log_of(whole("cgan"))
    assert any(last.name in note and "damaged" in note for note in run.summary["notes"])


def test_resuming_a_finished_run_changes_nothing(arguments, whole, tmp_path):
    folder = tmp_path / "run"
    organza.train(**arguments("gan", folder))
    organza.train(out=folder, resume=True, device="cpu")
    assert_equal_trees(newest(folder), newest(whole("gan")))
    assert log_of(folder) == log_of(whole("gan"))


def step_until(trainer: Trainer, images: int) -> dict:
    while trainer.images < images:
        trainer.step()
    return trainer.state()


@pytest.mark.parametrize("name", variants())
def test_state_and_restore_at_random_steps(name):
    """Random walks: steps, snapshots, jumps back; what follows a snapshot is always the same."""
    recipe, changes = variants()[name]
    config, store, chance = small_config(recipe, changes), small_store(), random.Random(name)
    trainer = Trainer(config, store, CPU)
    snapshots = {trainer.images: trainer.state()}
    for _ in range(10):
        for _ in range(chance.randint(1, 2)):
            trainer.step()
            now = trainer.state()
            if trainer.images in snapshots:
                assert_equal_trees(now, snapshots[trainer.images])
            snapshots[trainer.images] = now
        kept = chance.choice(list(snapshots))
        if chance.random() < 0.5:  # in this trainer or in a new one, whose random numbers stand elsewhere
            trainer = Trainer(config, store, CPU)
            torch.manual_seed(chance.randint(0, 99))
        trainer.restore(snapshots[kept])
        assert trainer.images == kept
        assert_equal_trees(trainer.state(), snapshots[kept])
    first, last = min(snapshots), max(snapshots)
    assert first == 0 < last
    with pytest.raises(AssertionError):
        assert_equal_trees(snapshots[first], snapshots[last])


def test_a_snapshot_is_no_view_of_the_living_state():
    trainer = Trainer(small_config("dcgan"), small_store(), CPU)
    trainer.step()
    snapshot = trainer.state()
    before = copy.deepcopy(snapshot)
    trainer.step()
    assert_equal_trees(snapshot, before)
    with pytest.raises(AssertionError):
        assert_equal_trees(trainer.state(), before)


def test_telling_the_plan_changes_nothing(tmp_path):
    from organza.training.plan import make_plan

    recipe, changes = variants()["dcgan-everything"]
    trainer = Trainer(small_config(recipe, changes), small_store(), CPU)
    for _ in range(3):
        before = copy.deepcopy(trainer.state())
        make_plan(trainer, tmp_path)
        assert_equal_trees(trainer.state(), before)
        trainer.step()
