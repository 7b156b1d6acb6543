"""Several attributes of an image: what both players learn of them, exact resume, and a translator that takes names."""

import dataclasses
import json
import math
import shutil

import numpy as np
import pytest
import torch
from engine_helpers import CPU, assert_equal_trees, log_of, newest, reduced, translation_config, translation_store
from PIL import Image

import organza
from organza.cli.translate import main
from organza.config import ConfigError, Data
from organza.data.progress import SILENT
from organza.evaluation.results import translated
from organza.evaluation.subjects import open_subject
from organza.games.latent import Batch
from organza.health.signals import Signals
from organza.hub import load_translator
from organza.layers.labels import attributes
from organza.penalties import PENALTIES
from organza.penalties.stargan import domain_classification
from organza.training.assemble import check_data, resolve
from organza.training.examples import toggled
from organza.training.plan import peak_memory
from organza.training.trainer import Trainer

NAMES = ("Blond_Hair", "Male", "Young")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Twelve faces and CelebA's table of them."""
    folder, store = tmp_path_factory.mktemp("faces"), translation_store("stargan", rows=12)
    lines = ["12", " ".join(NAMES)]
    for i, image in enumerate(store.images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{i:06}.png")
        lines.append(f"{i:06}.jpg " + " ".join("1" if i >> bit & 1 else "-1" for bit in range(3)))
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def store(faces):
    return organza.data.open_dataset(faces)


def test_classification_is_the_sum_of_binary_cross_entropies():
    logits, wanted = torch.tensor([[2.0, -1.0, 0.0], [-3.0, 0.5, 4.0]]), torch.tensor([[1, 0, 1], [0, 1, 0]])
    expected = [
        sum(math.log1p(math.exp(-x if y else x)) for x, y in zip(row, told, strict=True))
        for row, told in zip(logits.tolist(), wanted.tolist(), strict=True)
    ]
    torch.testing.assert_close(domain_classification(logits, wanted), torch.tensor(expected))
    torch.testing.assert_close(domain_classification(logits, wanted.float()), torch.tensor(expected))


def test_networks_take_zeros_and_ones_of_any_type():
    told = torch.tensor([[1, 0, 1]])
    assert attributes(told, 3).dtype == torch.float32
    assert torch.equal(attributes(told, 3), told.float())
    for wrong in (told[:, :2], told[0].float(), told[None]):
        with pytest.raises(ValueError, match=r"attributes \(\[B, 3\]\)"):
            attributes(wrong, 3)


def test_players_learn_the_rows_of_other_images(store):
    trainer = Trainer(translation_config("stargan"), store, CPU)
    batch = trainer.batches.next()
    known = {tuple(row) for row in store.labels.tolist()}
    assert {tuple(row) for row in batch.labels.tolist()} <= known
    assert batch.labels.shape == batch.source_labels.shape == (trainer.config.batch, 3)
    assert all(len(part.labels) == 1 for part in batch.split(trainer.config.batch))
    judge = trainer.game.discriminator
    for _ in range(2):
        trainer.step()
    seen = {key: float(values[0]) for key, values in trainer.window.items()}
    for name in ("penalty/classification-of-reals", "penalty/generator/classification"):
        assert 0.5 * 3 * math.log(2) < seen[name] < 2 * 3 * math.log(2), "the sum of three at the start"
    assert judge.conv2.weight.shape[0] == 3
    assert all(np.isfinite(value) for value in Signals(trainer).scalars().values())
    assert peak_memory(trainer.config, store) > 0


def test_the_penalty_of_reals_reads_their_own_rows(store):
    trainer = Trainer(translation_config("stargan"), store, CPU)
    batch = trainer.batches.next()
    features = trainer.game.discriminator.features(batch.real)
    evidence = trainer.game._evidence(
        batch, trainer._moment("discriminator"), "discriminator", real=batch.real, fake=batch.real, real_logits=None,
        fake_logits=None, real_features=features, fake_features=features,
    )  # fmt: skip
    found = PENALTIES["classification-of-reals"].per_sample(evidence)
    logits = trainer.game.discriminator.classes_of(features)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.labels.float(), reduction="sum")
    torch.testing.assert_close(found.mean(), expected / len(batch.labels))


def test_an_example_turns_one_attribute():
    told = torch.tensor([[1, 0, 1], [0, 0, 1]])
    batch = Batch(torch.zeros(2, 3, 8, 8), told, torch.zeros(2, 0), torch.zeros(2), source_labels=told)
    assert toggled(batch, 2).labels.tolist() == [[1, 0, 0], [0, 0, 0]]
    assert told.tolist() == [[1, 0, 1], [0, 0, 1]]


def test_a_run_its_resumption_and_its_translator(faces, tmp_path, capsys):
    few = {"output.checkpoint": 4, "output.log": 4, "output.samples": 4, "data.attributes": "Young,Blond_Hair"}
    asked = {"data": str(faces), "device": "cpu"}
    run = organza.train("stargan", out=tmp_path / "run", changes=reduced("stargan") | few | {"images": 8}, **asked)
    assert run.summary["data"]["classes"] == ["Young", "Blond_Hair"]
    half = organza.train("stargan", out=tmp_path / "half", changes=reduced("stargan") | few | {"images": 4}, **asked)
    half = organza.train(out=half.path, resume=True, images=8, device="cpu")
    assert_equal_trees(newest(half.path), newest(run.path))
    assert log_of(half.path) == log_of(run.path)
    assert run.config.data.attributes == ("Young", "Blond_Hair")

    with Image.open(run.path / "samples" / "000000-ema.png") as grid:
        assert grid.height > 2.5 * grid.width / 10, "sources, and a row for each attribute"
    made = load_translator(str(run.path))
    assert made.attributes
    images = torch.randint(0, 256, (2, 3, *made.shape[1:]), dtype=torch.uint8)
    both, young = made.translate(images, label="Blond_Hair, Young"), made.translate(images, label=["Young"])
    assert torch.equal(both, made.translate(images, label=(0, 1)))
    assert torch.equal(young, made.translate(images, label="Young"))
    assert torch.equal(made.translate(images, label="none"), made.translate(images, label=()))
    assert not torch.equal(both, young)
    x = images.float().div(127.5).sub(1)
    with torch.no_grad():
        direct = made.generator(x, None, torch.tensor([[1.0, 0.0]] * 2))
    torch.testing.assert_close(made.translate(x, label="Young"), direct, atol=1e-5, rtol=1e-5)
    for label, message in [
        ("Blond_Hair,Yung", "no attribute 'Yung'; did you mean 'Young'"),
        ("2", "no attribute '2'"),
        (None, "say which attributes results shall have; label takes none or some of Young, Blond_Hair"),
    ]:
        with pytest.raises(ConfigError, match=message):
            made.translate(images, label=label)
    main([str(faces / "000003.png"), "--model", str(run.path), "--label", "Blond_Hair,Young", "--out", str(tmp_path)])
    with Image.open(faces / "000003.png") as before, Image.open(tmp_path / "000003-b.png") as after:
        pixels = torch.from_numpy(np.array(before)).permute(2, 0, 1)[None]
        assert np.array_equal(np.array(after), made.translate(pixels, label="Young,Blond_Hair")[0].permute(1, 2, 0))


def test_a_translator_of_classes_takes_one(tmp_path, store):
    trainer = Trainer(translation_config("stargan"), translation_store("stargan"), CPU)
    from organza.training.outputs import Outputs
    from organza.training.run import Run

    run = Run.create(tmp_path / "run", trainer.config)
    outputs = Outputs(run, trainer.config, trainer.store, {"data": {}, "parameters": {}})
    made = outputs._translator(trainer, trainer.average, {})
    assert not made.attributes
    with pytest.raises(ConfigError, match="no label"):
        made.translate(torch.zeros(1, *made.source), label=f"{made.classes[0]},{made.classes[1]}")


@pytest.mark.parametrize("recipe", ["cgan", "acgan", "stargan-v2", "biggan"])
def test_other_conditional_recipes_refuse_attributes_before_anything_is_built(recipe, faces, tmp_path):
    with pytest.raises(ConfigError, match=r"\(Blond_Hair, Male, Young\), and 'stargan' alone reads several attributes"):
        organza.train(recipe, data=str(faces), out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_other_networks_in_the_recipe_refuse_them_too(store):
    for role, model in (("generator", "stargan-v2"), ("discriminator", "dcgan")):
        config = translation_config("stargan")
        player = dataclasses.replace(getattr(config, role), model=organza.config.Model(name=model))
        with pytest.raises(ConfigError, match="'stargan' alone reads several"):
            check_data(dataclasses.replace(config, **{role: player}), store, 1)
    check_data(translation_config("stargan"), store, 1)


def test_recipes_without_classes_take_every_image_and_leave_a_table_alone(faces, tmp_path):
    folder = shutil.copytree(faces, tmp_path / "faces")
    shutil.copyfile(folder / "000001.png", folder / "without_a_row.png")
    for recipe, changes in (("dcgan", {}), ("cgan", {"conditional": "false"}), ("pix2pix", {"data.degrade": "grey"})):
        config, found = organza.api.prepare(recipe, str(folder), "laptop", {"data.resolution": 32} | changes)
        check_data(config, found, 1)
        assert (len(found), found.labels, found.classes) == (13, None, ())
    _, found = organza.api.prepare("stargan", str(folder), "laptop", {"data.resolution": 32})
    assert (len(found), found.has_attributes) == (12, True)


def test_names_of_attributes_are_refused_where_nothing_reads_them():
    config = translation_config("pix2pix")
    with pytest.raises(ConfigError, match="'stargan' alone reads"):
        resolve(dataclasses.replace(config, data=Data(source="emoji-pairs", attributes=("Male",))))


def test_a_model_of_before_has_classes(faces, tmp_path):
    changes = reduced("stargan") | {"images": 4, "output.checkpoint": 4}
    run = organza.train("stargan", data=str(faces), out=tmp_path / "run", changes=changes, device="cpu")
    file = run.path / "model" / "config.json"
    about = json.loads(file.read_text())
    assert about.pop("attributes") is True
    file.write_text(json.dumps(about))
    assert load_translator(str(run.path / "model")).attributes is False


def test_results_are_judged_as_what_their_targets_are(faces, tmp_path):
    """Result i has the attributes of target i, and is made of another image."""
    never = {"images": 4, "output.log": 4, "output.score": False, "output.pictures": False, "output.evaluate": False}
    run = organza.train("stargan", data=str(faces), out=tmp_path / "run", changes=reduced("stargan") | never)
    translator = load_translator(run.path)
    made, targets = translated(translator, run.path, SILENT)
    assert len({tuple(row) for row in targets.labels.tolist()}) == 8
    for row, labels in enumerate(targets.labels.tolist()):
        names = [name for name, has in zip(NAMES, labels, strict=True) if has]
        source = targets.images.flip(0)[row : row + 1]
        assert (made[row].int() - translator.translate(source, label=names)[0].int()).abs().max() <= 1
    seen = open_subject(run.path, "cpu", SILENT)
    assert torch.equal(seen.labels, targets.labels)
    assert seen.classes == NAMES
