"""The yardstick of the speed table computes what the engine computes: the same players, shown the same."""

import sys
from pathlib import Path

import pytest
import torch
from engine_helpers import LATENT, SHAPE, small_config, small_store
from torch.nn import functional as F

from organza.training.fit import fitted
from organza.training.trainer import Trainer

CPU = torch.device("cpu")
RGB = (3, 16, 16)


@pytest.fixture
def plain_loop(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    monkeypatch.delitem(sys.modules, "plain_loop", raising=False)
    import plain_loop

    return plain_loop


@pytest.mark.parametrize("recipe", LATENT)
def test_both_show_d_the_same_at_the_end_of_a_run(recipe, plain_loop):
    config, store = small_config(recipe), small_store()
    trainer, loop = Trainer(config, store, CPU), plain_loop.PlainLoop(config, store)
    trainer.images = config.images
    for player in ("generator", "discriminator"):
        ours, theirs = trainer._moment(player), loop._moment(player)
        assert (theirs.noise, theirs.blur, theirs.top_k) == (ours.noise, ours.blur, ours.top_k)
        assert float(theirs.augment) == (float(ours.augment) if config.augment.policy else 0.0)
        assert [(p.name, p.weight) for p in theirs.due] == [(p.name, p.weight) for p in ours.due]


@pytest.mark.parametrize(
    "changes",
    [
        {"blur": 2.0},
        {"noise": 0.1},
        {"discriminator.penalties": "lecam", "generator.penalties": "path-length", "share_fakes": False},
    ],
    ids=["blur", "noise", "what is remembered"],
)
def test_the_loop_takes_steps_with_what_recipes_may_ask(changes, plain_loop):
    recipe = "stylegan2" if "generator.penalties" in changes else "dcgan"
    shape = RGB if recipe == "stylegan2" else SHAPE
    loop = plain_loop.PlainLoop(small_config(recipe, changes, shape), small_store(shape))
    before = torch.cat([p.detach().flatten() for p in loop.game.discriminator.parameters()])
    loop.step()
    after = torch.cat([p.detach().flatten() for p in loop.game.discriminator.parameters()])
    assert after.isfinite().all()
    assert 0 < F.l1_loss(after, before) < 0.1
    assert loop.taken == {"generator": 1, "discriminator": 1}


def test_every_run_of_the_doctor_and_of_the_autopilot_can_be_built(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    for name in ("doctor", "autopilot"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import autopilot
    import doctor

    assert {*autopilot.BROKEN, *autopilot.SOUND} <= doctor.FIXTURES.keys()
    for fixture in doctor.FIXTURES.values():
        shape = (2,) if fixture.data in ("ring", "grid") else (3, 32, 32) if fixture.data == "emoji" else (1, 28, 28)
        config = fitted(fixture.recipe, shape, "laptop", {**fixture.changes, "images": fixture.images})
        assert config.images == fixture.images


@pytest.fixture
def speed(monkeypatch, tmp_path):
    """benchmarks/stylegan_speed.py, told to write elsewhere, on the smallest networks."""
    folder = Path(__file__).parents[2] / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    for name in ("common", "stylegan_speed"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import common
    import stylegan_speed

    monkeypatch.setattr(common, "RESULTS", tmp_path)
    small = ("--device", "cpu", "--size", "laptop", "--side", "8", "--steps", "1")
    monkeypatch.setattr(sys, "argv", [str(folder / "stylegan_speed.py"), *small])
    return stylegan_speed


def test_a_form_that_fails_is_told_and_the_others_go_on(speed, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(speed, "FORMS", {"float8": {}, "float32": {}})  # the first is unknown to the process that tries
    with pytest.raises(SystemExit) as ended:
        speed.main()
    failed, row, verdict = capsys.readouterr().out.splitlines()
    assert ended.value.code == 1
    assert failed.startswith("float8: failed: ")
    assert "invalid choice: 'float8'" in failed
    assert "'form': 'float32'" in row
    assert verdict.startswith("no verdict")
    assert [line.split(",")[3] for line in (tmp_path / "stylegan_speed.csv").read_text().splitlines()[1:]] == [
        "float32"
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_without_a_gpu_it_says_so_in_a_line(speed, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["stylegan_speed.py"])
    with pytest.raises(SystemExit) as ended:
        speed.main()
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n")) == (2, 1)
    assert "device is 'cuda'" in said
    assert "--device cpu" in said
