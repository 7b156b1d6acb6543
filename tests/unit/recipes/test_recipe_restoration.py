"""The recipes of restoring, filling in and colouring: two steps of each, what their stages teach, and a whole run."""

import numpy as np
import pytest
import torch
from engine_helpers import CPU, small_store, write_data
from PIL import Image
from torch.nn.functional import softplus

import organza
from organza.config import ConfigError, override
from organza.recipes import RECIPES
from organza.training.assemble import open_for, resolve
from organza.training.schedule import value_at
from organza.training.trainer import Trainer

SHAPE = (3, 32, 32)
NAMES = ("esrgan", "real-esrgan", "inpaint", "lama", "colorize", "colorize-nogan")
THIN = {"width": 8, "blocks": 1, "growth": 4, "depth": 2, "max_width": 16, "layers": 2}


def small(name, size="laptop", **changes):
    """A complete configuration with thin networks."""
    config = RECIPES[name](SHAPE, size)
    for role in ("generator", "discriminator"):
        options = getattr(config, role).model.options
        changes |= {f"{role}.model.{key}": value for key, value in THIN.items() if key in options}
    never = {"output.score": False, "output.pictures": False, "output.evaluate": False, "output.log": 4}
    return resolve(override(config, {"batch": 4, "precision": "float32", "data.window": None} | never | changes))


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("name", NAMES)
def test_two_steps(name, size):
    trainer = Trainer(small(name, size), small_store(SHAPE, rows=9), CPU)
    game = trainer.game
    before = weights(game.generator), weights(game.discriminator)
    trainer.step()
    trainer.step()
    assert not torch.equal(weights(game.generator), before[0])
    waits = name in ("esrgan", "real-esrgan", "colorize-nogan")
    assert torch.equal(weights(game.discriminator), before[1]) == waits
    assert trainer.guard.verdict() is None


@pytest.mark.parametrize("name", ["esrgan", "real-esrgan"])
def test_the_game_begins_with_the_second_stage(name):
    config = RECIPES[name](SHAPE, "paper")
    first = config.images * 10 // 14  # 1 000 000 of 1 400 000 iterations
    _, seen = config.generator.penalties
    for images, weight in ((0, 0.0), (first - 1, 0.0), (first, seen.weight.end)):
        assert value_at(seen.weight, images) == weight
        assert (value_at(config.discriminator.optimizer.lr, images) == 0) == (weight == 0)
    stepped = (f"generator.penalties.{seen.name}.weight", "discriminator.optimizer.lr")
    early = {f"{field}.{end}": 8 for field in stepped for end in ("images", "hold")}
    trainer = Trainer(small(name, **early), small_store(SHAPE, rows=9), CPU)
    start, asked = weights(trainer.game.discriminator), []
    trainer.game.discriminator.register_forward_pre_hook(lambda *_: asked.append("all of D"))
    judge = trainer.game.discriminator.features
    trainer.game.discriminator.features = lambda *rest: (asked.append(trainer.images), judge(*rest))[1]
    moved, heard = [], []
    for _ in range(4):
        trainer.window.clear()
        trainer.step()
        moved.append(not torch.equal(weights(trainer.game.discriminator), start))
        heard.append("loss/generator" in trainer.window)
    assert moved == heard == [False, False, True, True]
    assert min(asked) == 8, "in the first stage nobody asks D, which would cost time"
    assert f"penalty/generator/{seen.name}" in trainer.window


def test_a_judge_that_waits_is_asked_by_what_needs_it():
    """Feature matching learns from D's layers, though D learns nothing."""
    for penalties, heard in (("pixel,judged-alike", True), ("pixel,perceptual", False)):
        config = small("colorize-nogan", **{"generator.penalties": penalties})
        trainer = Trainer(config, small_store(SHAPE, rows=9), CPU)
        trainer.step()
        assert ("loss/generator" in trainer.window) == heard


def test_the_weights_of_the_papers():
    """In units of the game's weight: ESRGAN 0.01 and 1 to 0.005, Real-ESRGAN 1 and 1 to 0.1, LaMa 10, 100, 30 to 10."""
    ends = {name: {p.name: value_at(p.weight, 10**9) for p in RECIPES[name](SHAPE, "paper").generator.penalties}
            for name in NAMES}  # fmt: skip
    assert ends["esrgan"] == {"pixel": 2.0, "perceptual": 200.0}
    assert ends["real-esrgan"] == {"pixel-sharpened": 10.0, "perceptual-sharpened": 10.0}
    assert ends["inpaint"] == {"both-stages": 1.0}
    assert ends["lama"] == {"known": 1.0, "judged-alike": 2.5, "perceptual": 3.0}
    assert ends["colorize"] == {"pixel": 100.0}
    assert [RECIPES[name](SHAPE, "paper").loss for name in NAMES] == [
        "relativistic-average", "non-saturating", "hinge", "non-saturating", "non-saturating", "non-saturating"
    ]  # fmt: skip
    assert RECIPES["esrgan"](SHAPE, "paper").data.degrade == "bicubic-x4"
    assert RECIPES["inpaint"](SHAPE, "paper").discriminator.model.options["skip"] == 3


def test_nogan_has_three_parts():
    """G alone, D on what G makes, and the game; G's penalties weigh the same in all, since Adam gets used to a size."""
    config = RECIPES["colorize-nogan"](SHAPE, "laptop")
    g, d = config.generator.optimizer.lr, config.discriminator.optimizer.lr
    parts = [(value_at(d, n) > 0, value_at(config.game_weight, n), value_at(g, n)) for n in (0, 80_000, 95_000)]
    assert parts == [(False, 0, 1e-3), (True, 0, 1e-3), (True, 1, pytest.approx(1e-4))]
    assert {penalty.name: penalty.weight for penalty in config.generator.penalties} == {"pixel": 100, "perceptual": 10}
    trainer = Trainer(small("colorize-nogan"), small_store(SHAPE, rows=9), CPU)
    for images, moves, heard in ((0, False, False), (80_000, True, False), (95_000, True, True)):
        trainer.images, before = images, weights(trainer.game.discriminator)
        trainer.window.clear()
        trainer.step()
        assert torch.equal(weights(trainer.game.discriminator), before) != moves
        assert ("loss/generator" in trainer.window) == heard
        assert {"penalty/generator/pixel", "penalty/generator/perceptual"} <= trainer.window.keys()


@pytest.mark.parametrize(("name", "changes", "message"), [
    ("inpaint", {"data.degrade": "grey"}, "--data.degrade hole"),
    ("lama", {"generator.model": "pix2pix", "data.degrade": "grey", "generator.penalties": "known",
              "targets.known": False}, "sources have no"),
    ("lama", {"generator.penalties": "both-stages"}, "--generator.model deepfill"),
    ("colorize", {"data.degrade": "outline"}, None),
    ("esrgan", {"data.degrade": "bicubic-x2"}, None),
])  # fmt: skip
def test_other_sources(name, changes, message):
    """Outlines may be coloured and twice be enlarged, and a network without a hole to fill says what to type."""
    if message is None:
        Trainer(small(name, **changes), small_store(SHAPE, rows=9), CPU).step()
        return
    config = RECIPES[name](SHAPE, "laptop")
    if "generator.model" in changes:
        config = override(config, {"generator.model": {"name": "pix2pix", "width": 8}})
        changes = {key: value for key, value in changes.items() if key != "generator.model"}
    config = resolve(override(config, {"batch": 4, "precision": "float32"} | changes))
    with pytest.raises(ConfigError, match=message):
        Trainer(config, small_store(SHAPE, rows=9), CPU).step()


def test_a_run_leaves_a_translator(tmp_path, whole_plan):
    """Of the degradation that looks at values, which a plan has none of."""
    name = "real-esrgan"
    data = write_data(tmp_path, SHAPE, rows=24)
    config = small(name)
    changes = {f"{role}.model.{key}": value for role in ("generator", "discriminator")
               for key, value in getattr(config, role).model.options.items() if key in THIN}  # fmt: skip
    never = {"output.score": False, "output.pictures": False, "output.evaluate": False, "output.log": 8}
    run = organza.train(
        name, data=data, out=tmp_path / "run", images=16, device="cpu",
        changes=changes | never | {"batch": 8, "output.samples": 16, "output.checkpoint": 16, "precision": "float32"},
    )  # fmt: skip
    found = organza.load(run.path)
    source = torch.zeros(2, found.source[0], 16, 24, dtype=torch.uint8)
    made = found.translate(source)
    assert made.shape == (2, 3, round(16 * found.scale), round(24 * found.scale))
    assert made.dtype == torch.uint8
    assert (run.path / "samples" / "000000-ema.png").is_file()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "colorize-nogan"])
def test_the_paper_size_takes_pictures_as_they_are_found(tmp_path, name):
    random = np.random.RandomState(0)
    for i, size in enumerate(((70, 90), (64, 150), (33, 80))):
        Image.fromarray(random.randint(0, 256, (*size, 3)).astype(np.uint8)).save(tmp_path / f"{i}.png")
    asked = {"data.source": str(tmp_path), "data.window": (32, 32)}
    store = open_for(override(RECIPES[name](SHAPE, "paper"), asked))
    assert store.shape == (3, 33, 64)
    trainer = Trainer(small(name, "paper", **asked), store, CPU)
    trainer.step()
    with pytest.raises(ConfigError, match=r"none of 3 images is as large as data\.window"):
        open_for(override(RECIPES[name](SHAPE, "paper"), {"data.source": str(tmp_path)}))


def test_lama_calls_patches_without_a_hole_real():
    """arXiv:2109.07161, section 2.3: D pays for a fake patch that meets the hole, and elsewhere as for a real one."""
    trainer = Trainer(small("lama", **{"discriminator.penalties": ""}), small_store(SHAPE, rows=9), CPU)
    game, batch = trainer.game, trainer.batches.next()
    fake = game.generate(batch).detach()
    moment = trainer._moment("discriminator")
    loss, _ = game.discriminator_turn(batch, fake, moment)
    real, made = (game.judge(x, batch, moment)[0].view(4, *game.discriminator.places) for x in (batch.real, fake))
    height, width = game.discriminator.places
    prices, counted = [], set()
    for n in range(4):
        for i in range(height):
            for j in range(width):
                rows = slice(i * 32 // height, -(-(i + 1) * 32 // height))
                columns = slice(j * 32 // width, -(-(j + 1) * 32 // width))
                hole = bool((batch.source[n, -1, rows, columns] > 0).any())
                counted.add(hole)
                prices.append(softplus(made[n, i, j] if hole else -made[n, i, j]))
    assert counted == {True, False}
    torch.testing.assert_close(loss, softplus(-real).mean() + torch.stack(prices).mean())
