"""What every recipe of the catalogue keeps: a complete configuration, a run folder, samples, a model that moves."""

import json
import shutil

import numpy as np
import pytest
import torch
from engine_helpers import (
    CPU,
    LATENT,
    SHAPE,
    SMALL,
    assert_equal_trees,
    log_of,
    newest,
    shrunk,
    small_config,
    small_store,
    write_data,
)  # fmt: skip
from feature_helpers import random_features
from PIL import Image

import organza
from organza.api import prepare
from organza.config import Codes, Config, ConfigError, difference, from_dict, override, to_dict
from organza.games import GAMES
from organza.losses import LOSSES
from organza.models import MODELS, build, complete
from organza.recipes import RECIPES
from organza.training.assemble import check_data, resolve
from organza.training.fit import fitted
from organza.training.trainer import Trainer

ROLES = ("generator", "discriminator")
SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (4, 48, 32), (1, 16, 16), (2,)]
FILES = {
    "config.json", "command.txt", "env.json", "log.jsonl", "report.html", "summary.json", "samples/real.png",
    "samples/000000-raw.png", "samples/000000-ema.png", "model/config.json", "model/model.safetensors",
    "model/README.md", "checkpoints/000000032.safetensors", "checkpoints/000000016.safetensors",
}  # fmt: skip


def accepts(recipe, shape, size="laptop") -> bool:
    """Whether the recipe takes samples of this shape; it says so with a ConfigError."""
    try:
        config = resolve(RECIPES[recipe](shape, size))
        with torch.device("meta"):
            build(config.generator.model, "generator", shape, 0)
            build(config.discriminator.model, "discriminator", shape, 0)
    except ConfigError:
        return False
    return True


POSSIBLE = [(recipe, shape) for recipe in LATENT for shape in SHAPES if accepts(recipe, shape)]


def test_every_recipe_takes_the_usual_images():
    for recipe in LATENT:
        for shape in ((1, 28, 28), (3, 32, 32), (3, 64, 64)):
            assert (recipe, shape) in POSSIBLE
    assert ("gan", (2,)) in POSSIBLE
    assert ("dcgan", (2,)) not in POSSIBLE


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize(("recipe", "shape"), POSSIBLE)
def test_the_configuration_is_complete_and_its_networks_can_be_built(recipe, shape, size):
    config = RECIPES[recipe](shape, size)
    assert isinstance(config, Config)
    assert config.recipe == recipe
    assert config.loss in LOSSES
    assert config.game in GAMES
    resolved = resolve(config)
    assert resolve(resolved) == resolved
    for role in ROLES:
        model = getattr(resolved, role).model
        assert model.name in MODELS
        assert model == complete(model, role)
        unwritten = set(model.options) - set(getattr(config, role).model.options)
        assert unwritten <= {"embed_dim"}, "a default of a constructor decides this recipe"
        for classes in (0, 3):
            with torch.device("meta"):
                network = build(model, role, shape, classes)
            assert sum(p.numel() for p in network.parameters()) > 0
    again = from_dict(json.loads(json.dumps(to_dict(resolved))))
    assert again == resolved
    assert difference(again, resolved) == []


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_budgets_fit_each_other(recipe, size):
    config = RECIPES[recipe]((1, 28, 28), size)
    every = config.output
    assert config.batch <= every.log <= every.samples <= every.checkpoint <= config.images
    assert config.batch % config.accumulate == 0


def test_laptop_is_smaller_than_paper():
    for recipe in LATENT:
        parameters = {}
        for size in ("laptop", "paper"):
            model = resolve(RECIPES[recipe]((3, 32, 32), size)).generator.model
            with torch.device("meta"):
                parameters[size] = sum(p.numel() for p in build(model, "generator", (3, 32, 32), 0).parameters())
        assert parameters["laptop"] <= parameters["paper"], recipe


@pytest.mark.parametrize("recipe", LATENT)
def test_two_steps_of_the_shrunken_paper_size(recipe):
    config = resolve(override(RECIPES[recipe](SHAPE, "paper"), shrunk(recipe, SHAPE, "paper")))
    trainer = Trainer(config, small_store(), CPU)
    before = trainer.state()
    trainer.step()
    trainer.step()
    with pytest.raises(AssertionError):
        assert_equal_trees(trainer.state()["networks"], before["networks"])
    assert trainer.guard.verdict() is None


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", MODELS)
def test_any_network_takes_the_place_of_the_recipe_s(name, role, shape, tmp_path):
    named = {f"{role}.model": name}
    own = getattr(fitted("dcgan", shape, "laptop", named), role).model.options
    small = {f"{role}.model.{key}": value for key, value in SMALL.items() if key in own}
    if "widths" in own:
        small[f"{role}.model.widths"] = (8,) * len(own["widths"])
    if "features" in own:
        small |= {f"{role}.model.features": random_features(), f"{role}.model.resize": 32}
    rest = {key: value for key, value in shrunk("dcgan").items() if not key.startswith(f"{role}.model.")}
    config, store = prepare("dcgan", write_data(tmp_path, shape), "laptop", rest | named | small)
    trainer = Trainer(config, store, CPU)
    trainer.step()
    assert trainer.guard.verdict() is None


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """The finished two-step run of a recipe, made once."""
    made = {}

    def of(recipe):
        if recipe not in made:
            folder, turns = tmp_path_factory.mktemp(recipe) / "run", {"discriminator.turns": 1}
            every = {"output.checkpoint": 16, "images": 32}
            made[recipe] = organza.train(
                recipe, data=data, out=folder, changes=shrunk(recipe) | turns | every | {"batch": 16}, device="cpu"
            )
        return made[recipe]

    return of


def summary_source(path) -> str:
    return json.loads((path / "config.json").read_text())["data"]["source"]


@pytest.mark.parametrize("recipe", LATENT)
def test_the_run_folder_is_whole(recipe, runs):
    path = runs(recipe).path
    found = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    codes = {"samples/000000-codes.png"} if runs(recipe).config.codes != Codes() else set()
    assert found == FILES | codes
    config = from_dict(json.loads((path / "config.json").read_text()))
    assert config == runs(recipe).config
    assert resolve(config) == config
    assert {"torch", "organza", "python", "device", "processes"} <= json.loads((path / "env.json").read_text()).keys()
    summary = json.loads((path / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["images"] == 32
    assert summary["data"]["count"] == 37
    assert (path / "command.txt").read_text().strip()
    trained, start = (path / "samples" / "000000-raw.png").read_bytes(), runs(recipe).path.parent / "start"
    often = {"discriminator.turns": 1, "images": 16, "output.log": 10**6, "output.checkpoint": 10**6}
    one = organza.train(
        recipe, data=summary_source(path), out=start, device="cpu", changes=shrunk(recipe) | often | {"batch": 16}
    )
    assert (one.path / "samples" / "000000-raw.png").read_bytes() != trained  # the last grid is that of the last step
    for picture in (path / "samples").iterdir():
        with Image.open(picture) as image:
            image.load()
            assert min(image.size) >= 16
    report = (path / "report.html").read_text()
    assert report.startswith("<!doctype html>") or report.lower().startswith("<!doctype html>")
    assert recipe in report
    assert (path / "model" / "README.md").read_text().startswith("---")


@pytest.mark.parametrize("recipe", LATENT)
def test_the_log_has_finite_scalars_of_every_tick(recipe, runs):
    lines = log_of(runs(recipe).path)
    assert [line["images"] for line in lines] == [16, 32]
    names = {"loss/discriminator", "loss/generator", "D(x)", "D(G(z))", "gradient/generator", "lr/discriminator"}
    for line in lines:
        assert names <= line.keys()
        assert all(np.isfinite(value) for value in line.values())
        assert 0 <= line["D(x)"] <= 1
    for penalty in runs(recipe).config.discriminator.penalties:
        assert f"penalty/{penalty.name}" in lines[-1 if penalty.every == 1 else 0]


@pytest.mark.parametrize("recipe", LATENT)
def test_samples(recipe, runs):
    gan = organza.load(runs(recipe).path)
    assert gan.recipe == recipe
    assert bool(gan.classes) == runs(recipe).config.conditional
    images = gan.sample(6, seed=3)
    assert images.dtype == torch.uint8
    assert images.shape == (6, *SHAPE)
    assert images.is_contiguous()
    assert torch.equal(gan.sample(6, seed=3), images)
    labels = [1, 0, 2, 1, 0, 2] if gan.classes else None
    chosen = gan.sample(6, seed=3, labels=labels)
    for batch in (1, 4):
        difference = gan.sample(6, seed=3, labels=labels, batch=batch).int() - chosen.int()
        assert difference.abs().max() <= 1  # another batch size may choose other kernels: one rounding of 255
    alone = gan.sample(1, seed=5, labels=labels[2] if labels else None)
    assert (alone[0].int() - chosen[2].int()).abs().max() <= 1
    points = gan.generator(torch.randn(2, gan.z_dim), torch.tensor([0, 1]) if gan.classes else None)
    assert points.dtype == torch.float32
    assert torch.isfinite(points).all()


@pytest.mark.parametrize("recipe", LATENT)
def test_the_model_alone_can_move(recipe, runs, tmp_path):
    path = runs(recipe).path
    shutil.copytree(path / "model", tmp_path / "elsewhere")
    here, there = organza.load(path), organza.load(tmp_path / "elsewhere")
    assert torch.equal(here.sample(3), there.sample(3))
    assert here.sha256 == there.sha256
    assert torch.equal(here.sample(3), organza.load(path / "model").sample(3))


def normed(state: dict) -> dict:
    """The weights that a network with spectral norm computes with, under their plain names."""
    plain = {name: value for name, value in state.items() if "parametrizations" not in name}
    for name, weight in state.items():
        if name.endswith(".parametrizations.weight.original"):
            layer = name.removesuffix(".parametrizations.weight.original")
            u, v = (state[f"{layer}.parametrizations.weight.0.{part}"] for part in ("_u", "_v"))
            plain[f"{layer}.weight"] = weight / torch.dot(u, torch.mv(weight.flatten(1), v))
    return plain


@pytest.mark.parametrize("recipe", LATENT)
def test_the_model_is_the_average(recipe, runs):
    gan, state = organza.load(runs(recipe).path), newest(runs(recipe).path)
    weights, average = gan.generator.state_dict(), normed(state["average"])
    assert weights.keys() == average.keys()
    for name, weight in weights.items():
        exact = name in state["average"]  # a division by the norm rounds
        torch.testing.assert_close(weight, average[name], rtol=0 if exact else 1e-4, atol=0 if exact else 1e-6)


@pytest.mark.parametrize("recipe", LATENT)
def test_resume_goes_on(recipe, runs, tmp_path):
    shutil.copytree(runs(recipe).path, tmp_path / "run")
    run = organza.train(out=tmp_path / "run", resume=True, images=48, device="cpu")
    assert run.summary["images"] == 48
    assert [line["images"] for line in log_of(run.path)] == [16, 32, 48]
    assert newest(run.path)["counters"]["steps"] == 3


@pytest.mark.parametrize("recipe", LATENT)
def test_a_run_is_replayed_from_its_config_alone(recipe, runs, tmp_path):
    config = to_dict(runs(recipe).config)
    trainer = Trainer(from_dict(config), organza.open_dataset(config["data"]["source"]), CPU)
    while trainer.images < 32:
        trainer.step()
    state = newest(runs(recipe).path)
    for part in ("networks", "average", "optimizers", "batches", "random"):
        assert_equal_trees(trainer.state()[part], state[part])


def test_a_folder_of_images_by_class(tmp_path):
    random = np.random.RandomState(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(5):
            Image.fromarray(random.randint(0, 256, (16, 16, 3), np.uint8)).save(
                tmp_path / "pets" / name / f"{number}.png"
            )
    run = organza.train(
        "cgan", data=str(tmp_path / "pets"), out=tmp_path / "run", images=16, device="cpu",
        changes=shrunk("cgan", (3, 16, 16)),
    )  # fmt: skip
    gan = organza.load(run.path)
    assert gan.classes == ("cat", "dog")
    assert gan.sample(3, labels="dog").shape == (3, 3, 16, 16)


@pytest.mark.parametrize("recipe", [recipe for recipe, shape in POSSIBLE if shape == (2,)])
def test_points(recipe, tmp_path):
    run = organza.train(
        recipe, data="ring", out=tmp_path / "run", images=32, changes=shrunk(recipe, (2,)), device="cpu"
    )
    samples = organza.load(run.path).sample(5)
    assert samples.shape == (5, 2)
    assert samples.dtype == torch.float32
    assert run.summary["status"] == "finished"


@pytest.mark.parametrize("recipe", [recipe for recipe in LATENT if RECIPES[recipe]((1, 28, 28), "laptop").conditional])
def test_conditional_recipes_refuse_unlabelled_data(recipe):
    with pytest.raises(ConfigError, match="no labels"):
        check_data(small_config(recipe), organza.data.ImageStore("bare", small_store().images), 1)


@pytest.mark.parametrize("recipe", LATENT)
def test_every_recipe_fits_itself_to_real_digits(recipe):
    config, store = prepare(recipe, "mnist", "laptop", {})
    assert store.shape == (1, 28, 28)
    check_data(config, store, 1)
    assert config.data.source == "mnist"
