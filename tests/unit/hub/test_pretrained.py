"""Folders to publish, and repositories of the hub in the cache's layout; no test asks the network."""

import dataclasses
import hashlib
import json
import shutil
import sys

import foreign_files as files
import pytest
import torch
from export_helpers import tiny
from PIL import Image
from safetensors.torch import load_file, save_file

import organza
from organza.config import ConfigError, Model, to_dict
from organza.evaluation.receipt import Receipt, Score
from organza.hub import GAN, Translator
from organza.hub.card import model_card
from organza.hub.convert import convert
from organza.hub.judge import save_judge
from organza.models import build, translator
from organza.report.provenance import read_provenance
from organza.training.checkpoint import DamagedError, checksum
from organza.training.transfer import sources

DATA = {"name": "/home/ann/cats", "count": 90, "licence": "CC BY 4.0", "fingerprint": "51311e2a", "shape": [1, 16, 16]}
TRAINING = {"images": 7000, "seconds": 61.0, "hardware": "a laptop", "data": DATA}
FACTS = {"data": {"source": "my camera", "people": "none"}, "limits": "Cats only."}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def gan() -> GAN:
    return tiny("dcgan", training=TRAINING)


@pytest.fixture
def cache(tmp_path, monkeypatch, gan):
    """A hub's cache that holds ann/cats, and no network."""
    return hub_of(tmp_path, monkeypatch, gan)


def hub_of(tmp_path, monkeypatch, gan):
    constants = pytest.importorskip("huggingface_hub.constants", reason="the extra hub is not installed")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "hub" / "models--ann--cats"
    gan.save_pretrained(tmp_path / "cats", licence="MIT", facts=FACTS)
    for name in ("README.md", "config.json", "model.safetensors"):
        (repository / "blobs").mkdir(parents=True, exist_ok=True)
        (tmp_path / "cats" / name).rename(repository / "blobs" / name)
        (repository / "snapshots" / COMMIT).mkdir(parents=True, exist_ok=True)
        (repository / "snapshots" / COMMIT / name).symlink_to(f"../../blobs/{name}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return repository


def receipt() -> Receipt:
    score = Score("fd-digits", 3.4, "digits-1, EMA", 1, 60_000, 10_000, 3.3, 3.5)
    return Receipt((score,), {"kind": "gan"}, {"kind": "data"}, {}, {}, 1.0)


def test_a_folder_to_publish_is_whole_and_comes_back(gan, tmp_path):
    folder = gan.save_pretrained(tmp_path / "out", licence="MIT", facts=FACTS, receipts=[receipt()])
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()) == [
        "README.md", "config.json", "metrics/evaluation.json", "model.safetensors", "samples/grid.png",
    ]  # fmt: skip
    back = GAN.from_pretrained(folder)
    assert torch.equal(back.sample(5), gan.sample(5))
    assert back.classes == gan.classes
    assert (back.training["licence"], back.training["data"]["name"]) == ("MIT", "cats")
    assert Receipt.load(folder / "metrics" / "evaluation.json")["fd-digits"].value == 3.4
    mark = read_provenance(folder / "samples" / "grid.png")
    assert mark is not None
    assert mark["sha256"] == back.sha256
    with Image.open(folder / "samples" / "grid.png") as grid:
        assert min(grid.size) >= 8 * 16
    assert not [file for file in folder.rglob("*") if file.is_file() and b"/home" in file.read_bytes()]


def test_the_card_states_what_a_published_model_must(gan, tmp_path):
    card = (gan.save_pretrained(tmp_path, licence="MIT", facts=FACTS, receipts=[receipt()]) / "README.md").read_text()
    for words in (
        "license: mit", "**Source**: my camera", "**Licence**: CC BY 4.0", "## Intended use", "non-consensual likeness",
        "| fd-digits | 3.4 | 3.3 to 3.5 | 10,000 | digits-1, EMA |", "Cats only.", "Not to be used for",
        '{type: "fd-digits", value: 3.4, name: "fd-digits, N 10,000, digits-1, EMA"}', "samples/grid.png",
        f"may be asked for by class ({len(gan.classes)} classes)", "generator 1,",
    ):  # fmt: skip
        assert words in card, words
    assert "Not stated" not in card
    assert len(gan.classes) > 0


@pytest.mark.parametrize(("facts", "lacks"), [({}, "data.source"), ({"data": {"source": "x"}}, "data.people")])
def test_an_incomplete_card_is_not_published(gan, tmp_path, facts, lacks):
    with pytest.raises(ValueError, match=lacks):
        gan.save_pretrained(tmp_path / "out", licence="MIT", facts=facts)
    with pytest.raises(ValueError, match="licence"):
        gan.save_pretrained(tmp_path / "out", licence=" ", facts=FACTS)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["fewer", "more"])
def test_unknown_and_missing_weights_are_refused(gan, tmp_path, change):
    file = gan.save_pretrained(tmp_path, licence="MIT", facts=FACTS) / "model.safetensors"
    tensors = load_file(file)
    value = tensors["last.bias"].clone() if change == "more" else tensors.pop("last.bias")
    tensors |= {"another": value} if change == "more" else {}
    save_file(tensors, file, metadata={"checksum": str(checksum(tensors))})
    with pytest.raises(DamagedError, match=r"another|last\.bias"):
        GAN.from_pretrained(tmp_path)


def test_a_repository_of_the_hub(cache, gan):
    wanted = gan.sample(3)
    for made in (
        GAN.from_pretrained("ann/cats"), GAN.from_pretrained("hf:ann/cats"), organza.load("hf:ann/cats"),
        GAN.from_pretrained("ann/cats", revision=COMMIT), organza.load(f"hf:ann/cats@{COMMIT}"),
        organza.load("hf:ann/cats@main"),
    ):  # fmt: skip
        assert torch.equal(made.sample(3), wanted)


def test_a_repository_of_the_hub_can_be_judged(cache, gan):
    """As a model, which `organza sample` takes it for, too; what is no model may be a data set."""
    reals = torch.randint(0, 256, (64, *gan.shape), dtype=torch.uint8)
    for name in ("hf:ann/cats", f"hf:ann/cats@{COMMIT}"):
        receipt = organza.evaluate(name, reals, "sliced", samples=64)
        assert (receipt.fake["kind"], receipt.fake["fingerprint"]) == ("gan", organza.load(name).sha256)
    with pytest.raises(
        FileNotFoundError, match=r"hf:ann/dogs is no model \(.*cache.*\), and no data set \(.*hf:ORG/NAME"
    ):
        organza.evaluate("hf:ann/dogs", reals, samples=64)
    with pytest.raises(FileNotFoundError, match=r"^hf:ann/cats at v2 is not in"):
        organza.evaluate("hf:ann/cats@v2", reals, samples=64)


def test_a_run_may_start_from_a_repository_of_the_hub(cache, gan):
    """With the generator alone, with both players, and pinned."""
    for name in ("hf:ann/cats", f"hf:ann/cats@{COMMIT}"):
        found = sources(name)
        assert found.networks.keys() == {"generator"}
        assert torch.equal(found.networks["generator"]["last.bias"], gan.generator.state_dict()["last.bias"])
        assert found.words.startswith(f"{name} (a model of 'dcgan', sha256 ")
        assert found.licence == "MIT"
    model = Model(name="dcgan", options={"width": 4})
    judge = build(model, "discriminator", gan.shape, 0).state_dict()
    about = {"discriminator": to_dict(model), "shape": list(gan.shape), "classes": 0}
    save_judge(cache / "snapshots" / COMMIT, about, judge)
    for name in ("hf:ann/cats", f"hf:ann/cats@{COMMIT}"):
        found = sources(name).networks["discriminator"]
        assert found.keys() == judge.keys()
        assert all(torch.equal(found[key], judge[key]) for key in judge)
    assert organza.load("hf:ann/cats").sample(1).shape == (1, *gan.shape)


def test_what_the_cache_does_not_hold(cache, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"hf:ann/dogs is not in the hub's cache .* HF_HUB_OFFLINE"):
        organza.load("hf:ann/dogs")
    with pytest.raises(FileNotFoundError, match="hf:ann/cats at v2"):
        GAN.from_pretrained("ann/cats", revision="v2")
    with pytest.raises(ConfigError, match="no name on the hub"):
        organza.load("hf:ann/cats/dogs")
    with pytest.raises(ConfigError, match="no revisions"):
        GAN.from_pretrained(tmp_path, revision="v2")


def test_a_pickle_of_the_hub_is_not_opened(cache):
    (cache / "blobs" / "model.safetensors").rename(cache / "snapshots" / COMMIT / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match="holds no GAN"):
        organza.load("hf:ann/cats")


def test_publishing_without_a_network_or_the_extra(cache, gan, monkeypatch, tmp_path):
    with pytest.raises(OSError, match="hf:ann/new was not published"):
        gan.push_to_hub("ann/new", licence="MIT", facts=FACTS)
    with pytest.raises(ValueError, match=r"data\.source"):
        gan.push_to_hub("ann/new", licence="MIT")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as if it were not installed
    for call in (lambda: organza.load("hf:ann/cats"), lambda: gan.push_to_hub("ann/new", licence="MIT", facts=FACTS)):
        with pytest.raises(ConfigError, match=r'pip install "organza\[hub\]"'):
            call()


def test_a_trained_run_can_be_published_with_its_licence_alone(tmp_path, monkeypatch):
    """All that the card needs of embedded data and of the training is in the model folder."""
    monkeypatch.chdir(tmp_path)
    changes = {"output.log": 64, "output.score": False, "output.pictures": False, "generator.model.width": 4,
               "discriminator.model.width": 4, "batch": 32}  # fmt: skip
    run = organza.train("dcgan", data="mnist", images=64, changes=changes)
    shutil.rmtree(run.path / "checkpoints")
    folder = organza.load(run.path).save_pretrained(tmp_path / "out", licence="Apache-2.0")
    card = (folder / "README.md").read_text()
    assert "Not stated" not in card
    assert "CC BY-SA 3.0" in card
    assert json.loads((folder / "config.json").read_text())["training"]["parameters"].keys() == {
        "generator", "discriminator",
    }  # fmt: skip


@pytest.mark.parametrize("converted", [False, True])
def test_weights_of_another_project_keep_their_origin_and_its_licence(tmp_path, converted):
    path = files.snapshot(tmp_path / "network.pkl", ("Generator", files.generator2(), {}), progress={"cur_nimg": 5000})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if converted:
        convert(path, tmp_path / "model")
        path = tmp_path / "model"
    facts = {"data": {"source": "NVIDIA", "people": "faces", "licence": "CC BY-NC 4.0", "count": 9}, "seconds": 1,
             "hardware": "a GPU"}  # fmt: skip
    told = "unknown; official NVIDIA weights are for non-commercial use"
    gan = organza.load(path)
    for step in ("one", "two"):  # what was published may be published again
        card = (gan.save_pretrained(tmp_path / step, licence="MIT", facts=facts) / "README.md").read_text()
        for words in (
            "Organza did not train it", f"from network.pkl (StyleGAN2 of NVIDIA's PyTorch code, sha256 {digest})",
            "**Recipe**: that of whoever trained it", "**Weights (this model)**: MIT, as whoever published it states",
            f"**Weights (the file that they come from)**: {told}",
        ):  # fmt: skip
            assert words in card, words
        gan = organza.load(tmp_path / step)
        assert (gan.licence, gan.training["source_licence"]) == ("MIT", told)
    card = (gan.save_pretrained(tmp_path, licence=told, facts=facts) / "README.md").read_text()
    assert f"**Weights (this model)**: {told}\n- **Data**" in card
    assert f'license: other\nlicense_name: "{told}"' in card


def test_a_licence_that_is_given_to_convert_stands_beside_that_of_the_file(tmp_path):
    path = files.snapshot(tmp_path / "network.pkl", ("Generator", files.generator2(), {}))
    convert(path, tmp_path / "out", licence="MIT")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: mit" not in card  # the hub would show it alone
    assert 'license: other\nlicense_name: "MIT, as stated; of the file that the weights come from: unknown; off' in card
    assert "**Weights (the file that they come from)**: unknown; official NVIDIA weights are for non-commercial" in card


NVIDIA, NONE = "unknown; official NVIDIA weights are for non-commercial use", "unknown; code without a licence file"
LICENCES = [  # stated, of the source, what the hub shows
    ("MIT", "", "mit"), ("MIT", "unknown", "mit"), ("MIT", "Apache-2.0", "other"), ("Apache-2.0", "MIT", "apache-2.0"),
    ("MIT", "non-commercial", "other"), ("CC0", "CC BY 4.0", "other"), ("CC BY-SA 4.0", "CC BY 4.0", "cc-by-sa-4.0"),
    ("CC BY 4.0", "CC BY-NC 4.0", "other"), ("CC BY-NC 4.0", NVIDIA, "cc-by-nc-4.0"), ("CC BY-NC 4.0", NONE, "other"),
]  # fmt: skip


@pytest.mark.parametrize(("stated", "source", "shown"), LICENCES)
def test_the_hub_shows_no_looser_licence_than_that_of_the_source(stated, source, shown):
    info = {"recipe": "dcgan", "licence": stated, "source_licence": source, "data": {"name": "cats"}}
    head = model_card(info, draft=True).split("---")[1]
    assert f"\nlicense: {shown}\n" in head
    assert (f"{stated}, as stated; of the file that the weights come from: {source}" in head) == (shown == "other")


@pytest.fixture
def enlarger() -> Translator:
    torch.manual_seed(0)
    model, source, shape = Model(name="srvgg", options={"width": 4, "depth": 1}), (3, 8, 8), (3, 16, 16)
    training = TRAINING | {"scale": 2.0, "use": "upscale PICTURES"}
    return Translator(translator(model, source, shape).eval(), model, source, shape, (), "real-esrgan", training)


def test_a_translator_to_publish_is_whole_and_comes_back(enlarger, tmp_path):
    folder = enlarger.save_pretrained(tmp_path / "out", licence="MIT", facts=FACTS, receipts=[receipt()])
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()) == [
        "README.md", "config.json", "metrics/evaluation.json", "model.safetensors",
    ]  # fmt: skip
    back, images = Translator.from_pretrained(folder), torch.rand(2, 3, 9, 7) * 2 - 1
    assert torch.equal(back.translate(images), enlarger.translate(images))
    assert (back.training["licence"], back.training["data"]["name"], back.degrade) == ("MIT", "cats", "none")
    card = (folder / "README.md").read_text()
    for words in (
        "license: mit", "pipeline_tag: image-to-image", "task: {type: image-to-image}", "2 times as tall and wide",
        "organza upscale PICTURES --model FOLDER", "**Source**: my camera", "| fd-digits | 3.4 |", "Cats only.",
    ):  # fmt: skip
        assert words in card, words
    assert "Not stated" not in card
    with pytest.raises(ConfigError, match="translates images"):
        GAN.from_pretrained(folder)
    with pytest.raises(ValueError, match=r"data\.source"):
        enlarger.save_pretrained(tmp_path / "new", licence="MIT")
    assert not (tmp_path / "new").exists()


def test_nothing_of_another_model_stays_beside_a_published_one(enlarger, gan, tmp_path):
    first = gan.save_pretrained(tmp_path / "out", licence="MIT", facts=FACTS, receipts=[receipt()])
    before = {file: file.read_bytes() for file in first.rglob("*") if file.is_file()}
    with pytest.raises(ConfigError, match="out has metrics, samples of another model"):
        enlarger.save_pretrained(first, licence="MIT", facts=FACTS)
    assert {file: file.read_bytes() for file in first.rglob("*") if file.is_file()} == before
    organza.load(first).save_pretrained(first, licence="Apache-2.0", facts=FACTS)  # the same weights: its own parts
    gan.save_pretrained(first, licence="MIT", facts=FACTS, receipts=[receipt()])


def test_a_translator_of_another_licence_and_strange_weights(enlarger, tmp_path):
    known = dataclasses.replace(enlarger, licence="unknown", training=TRAINING, degrade="x2")
    folder = known.save_pretrained(tmp_path, licence="MIT", facts=FACTS)
    assert Translator.from_pretrained(folder).licence == "MIT"
    assert "**Weights (the file that they come from)**: unknown\n" in (folder / "README.md").read_text()
    assert "organza upscale PICTURES --model FOLDER" in (folder / "README.md").read_text()
    tensors = load_file(folder / "model.safetensors")
    tensors["another"] = tensors.pop("body.0.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"checksum": str(checksum(tensors))})
    with pytest.raises(DamagedError, match=r"another, body\.0\.weight"):
        Translator.from_pretrained(folder)


def test_a_translator_of_the_hub(tmp_path, monkeypatch, enlarger, gan):
    hub_of(tmp_path, monkeypatch, enlarger)
    images = torch.rand(1, 3, 8, 8) * 2 - 1
    for made in (
        Translator.from_pretrained("ann/cats"), Translator.from_pretrained("hf:ann/cats", revision=COMMIT),
        organza.load(f"hf:ann/cats@{COMMIT}"),
    ):  # fmt: skip
        assert torch.equal(made.translate(images), enlarger.translate(images))
    with pytest.raises(OSError, match="hf:ann/new was not published"):
        enlarger.push_to_hub("ann/new", licence="MIT", facts=FACTS)
    with pytest.raises(ConfigError, match="starts from noise"):
        Translator.from_pretrained(gan.save_pretrained(tmp_path / "gan", licence="MIT", facts=FACTS))
