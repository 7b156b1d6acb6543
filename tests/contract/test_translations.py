"""What every recipe that starts from images keeps: a complete configuration, exact resume, a translator that moves."""

import functools
import json
import random

import numpy as np
import pytest
import torch
from engine_helpers import (
    CPU,
    TRANSLATING,
    assert_equal_trees,
    in_process,
    log_of,
    newest,
    pictures_of,
    reduced,
    translation_config,
    translation_store,
    translation_trainer,
)
from PIL import Image

import organza
from organza.config import from_dict, to_dict
from organza.games import GAMES
from organza.health.signals import Signals
from organza.hub import load_translator
from organza.hub.translator import Translator, save
from organza.models import TRANSLATORS, complete
from organza.recipes import RECIPES
from organza.training.assemble import resolve, shown_shape, source_shape
from organza.training.plan import peak_memory
from organza.training.schedule import zero_until
from organza.training.trainer import Trainer

FILES = {
    "config.json", "command.txt", "env.json", "log.jsonl", "report.html", "summary.json", "samples/real.png",
    "samples/000000-raw.png", "samples/000000-ema.png", "model/config.json", "model/model.safetensors",
    "model/README.md", "checkpoints/000000004.safetensors", "checkpoints/000000008.safetensors",
}  # fmt: skip


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("recipe", TRANSLATING)
def test_the_configuration_is_complete(recipe, size):
    config = RECIPES[recipe]((3, 256, 256), size)
    assert config.recipe == recipe
    assert GAMES[config.game].translates
    assert config.generator.model.name in TRANSLATORS
    resolved = resolve(config)
    assert resolve(resolved) == resolved
    for role in ("generator", "discriminator"):
        model = getattr(resolved, role).model
        assert model == complete(model, role)
        assert model.options.keys() == getattr(config, role).model.options.keys(), "a constructor decides this recipe"
    assert from_dict(json.loads(json.dumps(to_dict(resolved)))) == resolved


def in_its_game(trainer):
    """In the stage in which both players learn."""
    trainer.images = zero_until(trainer.config.discriminator.optimizer.lr)
    return trainer


@pytest.mark.parametrize("recipe", TRANSLATING)
def test_a_step_of_the_paper_size_moves_both_players(recipe):
    trainer = in_its_game(translation_trainer(recipe, size="paper"))
    before = trainer.state()["networks"]
    trainer.step()
    after = trainer.state()["networks"]
    for player in ("generator", "discriminator"):
        with pytest.raises(AssertionError):
            assert_equal_trees(after[player], before[player])
    assert trainer.guard.verdict() is None
    for role in ("generator", "discriminator"):
        owner = "generator/" if role == "generator" else ""
        for penalty in getattr(trainer.config, role).penalties:
            assert torch.isfinite(trainer.window[f"penalty/{owner}{penalty.name}"][0])


@pytest.mark.parametrize("recipe", TRANSLATING)
def test_every_weight_learns(recipe):
    trainer = in_its_game(translation_trainer(recipe))
    trainer.step()
    for name, player in trainer.players.items():
        idle = [key for key, p in player.network.named_parameters() if p.grad is None]
        assert not idle, f"{name}: {idle}"


@pytest.mark.parametrize("recipe", TRANSLATING)
def test_state_and_restore(recipe):
    """Steps after a snapshot are the same in this trainer and in a new one; looking changes nothing."""
    trainer = translation_trainer(recipe)
    trainer.step()
    snapshot = trainer.state()
    assert all(np.isfinite(value) for value in Signals(trainer).scalars().values())
    assert_equal_trees(trainer.state(), snapshot)
    trainer.step()
    again = Trainer(trainer.config, trainer.store, CPU)
    torch.manual_seed(random.Random(recipe).randint(0, 99))
    again.restore(snapshot)
    again.step()
    assert_equal_trees(again.state(), trainer.state())
    with pytest.raises(AssertionError):
        assert_equal_trees(trainer.state()["networks"], snapshot["networks"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Where the data of a recipe lies: pairs of A and B, or three classes."""
    top, made = tmp_path_factory.mktemp("data"), {}

    def of(recipe):
        store = translation_store(recipe, rows=12)
        kind = "classes" if store.labels is not None else "pairs" if store.sources is not None else "alone"
        key = f"{kind}-{pictures_of(recipe)[1]}"
        if key not in made:
            for i in range(len(store)):
                label = "abc"[i % 3] if kind == "classes" else "B" if kind == "pairs" else ""
                write(store.images[i], top / key / label / f"{i:02}.png")
                if store.sources is not None:
                    write(store.sources[i], top / key / "A" / f"{i:02}.png")
            made[key] = str(top / key)
        return made[key]

    return of


def write(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)


@pytest.mark.parametrize("recipe", ["munit", "stargan"])
def test_a_run_and_its_translator(recipe, folders, tmp_path, whole_plan):
    every = {"output.checkpoint": 4, "output.log": 4, "images": 8}
    asked = {"data": folders(recipe), "device": "cpu"}
    run = organza.train(recipe, out=tmp_path / "run", changes=reduced(recipe) | every, **asked)
    found = {str(file.relative_to(run.path)) for file in run.path.rglob("*") if file.is_file()}
    assert found == FILES
    assert recipe in (run.path / "report.html").read_text()
    for line in log_of(run.path):
        assert {"loss/discriminator", "loss/generator", "diversity"} <= line.keys()
        assert all(np.isfinite(value) for value in line.values())

    translator = load_translator(str(run.path / "model"))
    assert translator.recipe == recipe
    assert bool(translator.classes) == GAMES[run.config.game].domains


def in_steps_of_four(recipe, folders, out, **more):
    """Arguments of `organza.train` for a run in which both players learn, with a checkpoint at every step."""
    wanted = {"output.checkpoint": 4, "output.log": 4, "ema.half_life": 20.0}
    if zero_until(translation_config(recipe).discriminator.optimizer.lr):
        wanted["discriminator.optimizer.lr"] = 1e-4  # else D would wait for all of a short run
    changes = reduced(recipe) | wanted
    return {
        "recipe": recipe,
        "data": folders(recipe),
        "out": str(out),
        "changes": changes,
        "images": 12,
        "device": "cpu",
    } | more


@pytest.fixture(scope="module")
def whole(folders, tmp_path_factory):
    """The run of three steps that never stopped, made once."""

    @functools.cache
    def of(recipe):
        out = tmp_path_factory.mktemp(recipe) / "run"
        return organza.train(**in_steps_of_four(recipe, folders, out)).path

    return of


@pytest.mark.parametrize("recipe", TRANSLATING)
def test_a_run_that_stops_goes_on_from_its_folder(recipe, folders, whole, tmp_path):
    """What one step left on the disk and two more are the bits of three steps, and the log is the same."""
    run = organza.train(**in_steps_of_four(recipe, folders, tmp_path / "run", images=4)).path
    before = newest(run)
    organza.train(out=run, resume=True, images=12, device="cpu")
    assert_equal_trees(newest(run), newest(whole(recipe)))
    assert log_of(run) == log_of(whole(recipe))
    assert newest(run)["counters"]["images"] == 12
    for player in ("generator", "discriminator"):
        with pytest.raises(AssertionError):
            assert_equal_trees(newest(run)["networks"][player], before["networks"][player])


@pytest.mark.parametrize("recipe", ["cyclegan", "esrgan"])
def test_a_killed_run_goes_on_from_its_folder(recipe, folders, whole, tmp_path):
    """SIGKILL in a process of its own, after a step and in the middle of writing a checkpoint."""
    asked = in_steps_of_four(recipe, folders, tmp_path / "run")
    assert in_process(asked, kill_after=2) == -9
    assert in_process(asked | {"resume": True}, torn_save=1) == -9
    assert newest(tmp_path / "run")["counters"]["images"] < 12
    assert in_process(asked | {"resume": True}) == 0
    assert_equal_trees(newest(tmp_path / "run"), newest(whole(recipe)))
    assert log_of(tmp_path / "run") == log_of(whole(recipe))


@pytest.mark.parametrize("recipe", TRANSLATING)
def test_a_translator_can_move(recipe, tmp_path):
    trainer, channels = translation_trainer(recipe), 3
    config, store, kind = trainer.config, trainer.store, GAMES[trainer.config.game]
    shapes = source_shape(config, store), shown_shape(config, store)
    made_here = Translator(
        trainer.average.eval(), config.generator.model, *shapes, store.classes, recipe, {}, degrade=config.data.degrade,
        both_ways=kind.both_ways,
    )  # fmt: skip
    save(made_here, tmp_path / "model", "card")
    translator = load_translator(str(tmp_path / "model"))
    side = 2 * pictures_of(recipe)[1] - 3
    images = torch.randint(0, 256, (2, shapes[0][0], side, side), dtype=torch.uint8)
    label = "b" if translator.classes else None
    made = translator.translate(images, label=label, seed=1)
    assert made.shape == (2, channels, *(2 * (round(side * translator.scale),)))
    assert made.dtype == torch.uint8
    here = made_here.translate(images, label=label, seed=1)
    assert (here.int() - made.int()).abs().max() <= 1  # weights in another layout may choose other kernels
    assert made.float().std() > 0
    if translator.both_ways:
        back = translator.translate(images, reverse=True)
        assert back.shape == made.shape
        assert not torch.equal(back, made)


def test_blurred_edges_can_be_planned():
    """Edges are followed as far as they go, which a plan without numbers cannot do."""
    assert peak_memory(translation_config("animegan"), translation_store("animegan")) > 1e5


def test_networks_of_both_ways_say_what_they_are(tmp_path):
    trainer = translation_trainer("munit")
    network, source = trainer.game.generator, torch.randn(2, 6, 16, 16)
    z = torch.randn(2, network.z_dim)
    ab, ba = network(source, z).split(3, 1)
    torch.testing.assert_close(network.one_way(source[:, :3], z), ab)
    torch.testing.assert_close(network.one_way(source[:, 3:], z, reverse=True), ba)
    network = translation_trainer("unit").game.generator
    ab, ba = network(source).split(3, 1)
    torch.testing.assert_close(network.one_way(source[:, :3], z), ab)
    torch.testing.assert_close(network.one_way(source[:, 3:], None, True), ba)


REFUSED = [
    ("munit", {"game": "unpaired"}, "add --game cycle"),
    ("munit", {"generator.model.channels_of_a": 2}, "leave generator.model.channels_of_a at 0"),
    ("cyclegan", {"generator.penalties": "image"}, "type --generator.model munit or unit"),
    ("stargan", {"generator.penalties": "classification,style"}, "type --generator.model munit or stargan-v2"),
    ("cyclegan", {"data.layout_classes": 4}, "add --game paired"),
    ("spade", {"data.layout_classes": 4}, "leave one of both out"),
    ("pix2pix", {"data.layout_classes": -1}, "0 for images"),
]


@pytest.mark.parametrize(("recipe", "changes", "message"), REFUSED)
def test_what_cannot_work_is_refused(recipe, changes, message):
    store = translation_store(recipe)
    with pytest.raises(ValueError, match=message):
        Trainer(translation_config(recipe, changes), store, CPU)


def test_drawings_have_colours():
    store = translation_store("animegan")
    grey = organza.data.ImageStore("grey", store.images[:, :1], sources=store.sources[:, :1])
    with pytest.raises(ValueError, match=r"add --data\.channels rgb"):
        Trainer(translation_config("animegan"), grey, CPU)
