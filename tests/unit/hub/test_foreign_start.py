"""Training that starts from a foreign file, or from the folder that it was converted to."""

import hashlib
import json
import shutil

import foreign_files as files
import pytest
import torch
from engine_helpers import newest, reduced, shrunk, small_trainer, translation_store, write_data
from safetensors.torch import load_file, save_file

import organza
from organza.config import ConfigError
from organza.hub import GAN
from organza.hub.convert import convert
from organza.hub.export import metadata
from organza.training.checkpoint import DamagedError, checksum
from organza.training.trainer import Trainer
from organza.training.transfer import start_from

SIZES = {"base": 128, "most": 16, "channels": 1}


@pytest.fixture
def snapshot(tmp_path):
    g, d = files.generator2(w=8, **SIZES), files.discriminator2(**SIZES)
    path = files.snapshot(tmp_path / "g.pkl", ("Generator", g, {"synthesis_kwargs": {}}), ("Discriminator", d, {}))
    return path, g, d


@pytest.mark.parametrize("converted", [False, True])
def test_both_networks_start_from_it(snapshot, tmp_path, converted):
    path, g, d = snapshot
    if converted:
        convert(path, tmp_path / "model")
        path = tmp_path / "model"
    trainer = small_trainer("stylegan2")
    lines = start_from(trainer, str(path)).lines
    for network, tensors in ((trainer.game.generator, g), (trainer.game.discriminator, d), (trainer.average, g)):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, tensors[name]), name
    assert [line.split()[0] for line in lines] == ["generator", "discriminator"]
    assert all("new" not in line and "in part" not in line for line in lines)
    trainer.step()


def test_a_generator_or_a_discriminator_alone(tmp_path):
    g = files.generator2(w=8, **SIZES)
    path = files.snapshot(tmp_path / "g.pkl", ("Generator", g, {"synthesis_kwargs": {}}))
    assert "holds no discriminator" in start_from(small_trainer("stylegan2"), str(path)).lines[1]
    d = files.big_discriminator(widths=(8,) * 4, downs=2, attended=None)
    trainer = small_trainer("biggan", {"discriminator.model.widths": (8,) * 4}, shape=(3, 16, 16))
    before = trainer.average.state_dict()["shared.weight"].clone()
    lines = start_from(trainer, str(files.state(tmp_path / "D.pth", d))).lines
    assert "holds no generator" in lines[0]
    assert "tensors kept" in lines[1]
    assert torch.equal(trainer.average.state_dict()["shared.weight"], before)


def test_other_networks_are_refused(snapshot):
    with pytest.raises(ConfigError, match="its networks are others"):
        start_from(small_trainer("gan"), str(snapshot[0]))


TOLD = "unknown; official NVIDIA weights are for non-commercial use"
FACTS = {"data": {"source": "my camera", "people": "none", "licence": "CC0"}}


@pytest.fixture
def begun(snapshot, tmp_path):
    """Begins or resumes a run in `name` that starts from a place; the changes of `shrunk` fit the snapshot."""
    data = write_data(tmp_path)

    def run(start, name="run", images=16, **more):
        changes = shrunk("stylegan2") | {"start": start and str(start), "data.source": data, "output.log": 8} | more
        return organza.train("stylegan2", out=tmp_path / name, images=images, device="cpu", changes=changes)

    return run


def cards(run, tmp_path) -> list[str]:
    """Of the run's model, and of what is published of it."""
    folder = organza.load(run.path).save_pretrained(tmp_path / f"{run.path.name}-out", licence="MIT", facts=FACTS)
    return [(place / "README.md").read_text() for place in (run.path / "model", folder)]


def test_a_run_says_what_it_started_from(snapshot, begun, tmp_path):
    """Its card, its export and what is published of it: file, form, sha256 and licence; the next run's as well."""
    path, *_ = snapshot
    named = f"g.pkl (StyleGAN2 of NVIDIA's PyTorch code, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()})"
    run = begun(path)
    draft, published = cards(run, tmp_path)
    for card in (draft, published):
        assert f"- **Started from**: the generator and the discriminator of {named}\n" in card
        assert f"- **Weights (that training started from)**: {TOLD}\n" in card
        assert "**Recipe**: `stylegan2`" in card
        assert "Organza did not train it" not in card
        assert str(tmp_path) not in card
    assert "**Weights (this model)**: **Not stated.** Whoever publishes this model must fill this in first.\n" in draft
    assert "**Weights (this model)**: MIT, as whoever published it states\n" in published
    about = metadata(organza.load(run.path))
    assert about["started_from"] == f"the generator and the discriminator of {named}"
    assert (about["source_licence"], about["licence"]) == (TOLD, "not stated")
    resumed = organza.train(out=run.path, resume=True, images=32, device="cpu")
    assert named in (resumed.path / "model" / "README.md").read_text()
    second = begun(run.path, "second")
    digest = hashlib.sha256((run.path / "model" / "model.safetensors").read_bytes()).hexdigest()
    for card in cards(second, tmp_path):
        assert f"of run (a run of 'stylegan2', sha256 {digest}), started from the generator and the disc" in card
        assert named in card
        assert TOLD in card


def test_a_run_from_nothing_says_nothing_of_a_start(begun, tmp_path):
    run = begun(None)
    assert all("tarted from" not in card and "come from" not in card for card in cards(run, tmp_path))
    assert metadata(organza.load(run.path)).keys().isdisjoint({"started_from", "source_licence", "file"})
    plain = begun(run.path, "plain")  # of a run whose licence nobody stated
    draft, published = cards(plain, tmp_path)
    assert "the generator and the discriminator of run (a run of 'stylegan2', sha256 " in draft
    assert "(that training started from)" not in draft + published


def test_a_converted_file_keeps_all_its_networks_and_its_origin_in_a_run_and_its_resumption(snapshot, begun, tmp_path):
    path, g, d = snapshot
    convert(path, tmp_path / "converted")
    run = begun(tmp_path / "converted", images=48)
    first = organza.training.checkpoint.load(run.path / "checkpoints" / "000000000.safetensors")
    for tensors, name in ((g, "generator"), (d, "discriminator")):
        assert tensors.keys() == first["networks"][name].keys()
        assert all(torch.equal(first["networks"][name][key], tensors[key]) for key in tensors)
    assert all(torch.equal(first["average"][key], g[key]) for key in g)
    notes = run.summary["notes"]
    assert [note.split(": ")[1] for note in notes[:2]] == [f"{len(t)} of {len(t)} tensors kept" for t in (g, d)]
    assert not torch.equal(newest(run.path)["networks"]["generator"]["mapping.fc0.weight"], g["mapping.fc0.weight"])
    assert "converted from g.pkl (StyleGAN2 of" in (run.path / "model" / "README.md").read_text()
    once = begun(tmp_path / "converted", "once", images=96)
    shutil.rmtree(tmp_path / "converted")
    resumed = organza.train(out=run.path, resume=True, images=96, device="cpu")
    for name in ("generator", "discriminator"):
        ours, whole = (newest(r.path)["networks"][name] for r in (resumed, once))
        assert all(torch.equal(ours[key], whole[key]) for key in whole)
    assert resumed.summary["notes"][:2] == notes[:2]


def test_a_published_folder_has_the_discriminator_and_others_train_on_from_it(begun, snapshot, tmp_path):
    run = begun(snapshot[0])
    gan = organza.load(run.path)
    plain = gan.save_pretrained(tmp_path / "plain", licence="MIT", facts=FACTS)
    assert not (plain / "discriminator").exists()
    folder = gan.save_pretrained(tmp_path / "out", licence="MIT", facts=FACTS, discriminator=run.path)
    again = GAN.from_pretrained(folder).save_pretrained(
        tmp_path / "again", licence="MIT", facts=FACTS, discriminator=folder
    )
    whole = newest(run.path)["networks"]["discriminator"]
    for place in (folder, again):
        assert json.loads((place / "discriminator" / "config.json").read_text())["licence"] == "MIT"
        trainer = small_trainer("stylegan2")
        lines = start_from(trainer, str(place)).lines
        assert all(torch.equal(value, whole[key]) for key, value in trainer.game.discriminator.state_dict().items())
        assert [line.split(": ")[1].split(" ")[0] for line in lines] == [str(len(snapshot[1])), str(len(whole))]
    assert "holds no discriminator" in start_from(small_trainer("stylegan2"), str(plain)).lines[1]
    with pytest.raises(ConfigError, match="holds no discriminator"):
        gan.save_pretrained(tmp_path / "none", licence="MIT", facts=FACTS, discriminator=plain)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("change", ["fewer", "more", "damaged", "undescribed"])
def test_a_strange_discriminator_is_refused(snapshot, tmp_path, change):
    folder = tmp_path / "model"
    convert(snapshot[0], folder)
    file = folder / "discriminator" / "model.safetensors"
    tensors = load_file(file)
    value = tensors["b4.out.bias"] if change == "more" else tensors.pop("b4.out.bias")
    tensors |= {"another": value.clone()} if change == "more" else {}
    total = "0" if change == "damaged" else str(checksum(tensors))
    save_file(tensors, file, metadata={"checksum": total})
    if change == "undescribed":
        (folder / "discriminator" / "config.json").write_text('{"format": 1}')
    told = {"fewer": r"b4\.out\.bias", "more": "another", "damaged": "checksum", "undescribed": "no discriminator of"}
    with pytest.raises(DamagedError, match=told[change]):
        start_from(small_trainer("stylegan2"), str(folder))


@pytest.mark.parametrize("recipe", ["acgan", "infogan", "sngan", "cgan", "biggan"])
def test_discriminators_of_other_families_are_published(tmp_path, recipe):
    """With spectral norm, heads, classes that are told or read, and codes."""
    run = organza.train(recipe, data=write_data(tmp_path), out=tmp_path / "run", images=8, device="cpu",
                        changes=shrunk(recipe))  # fmt: skip
    folder = organza.load(run.path).save_pretrained(
        tmp_path / "out", licence="MIT", facts={"data": FACTS["data"]}, discriminator=run.path
    )
    trainer = small_trainer(recipe, {"seed": 3})
    start_from(trainer, str(folder))
    whole = newest(run.path)["networks"]["discriminator"]
    own = trainer.game.discriminator.state_dict()
    assert own.keys() == whole.keys()
    assert all(torch.equal(own[name], whole[name]) for name in own if own[name].is_floating_point())


@pytest.mark.parametrize("recipe", ["pix2pix", "cyclegan", "stargan", "munit"])
def test_discriminators_of_translators_are_published(tmp_path, monkeypatch, recipe):
    """That see results, results beside their sources, and both ways at once."""
    store = translation_store(recipe)
    monkeypatch.setattr("organza.api.open_for", lambda *_: store)
    run = organza.train(recipe, data="small", out=tmp_path / "run", images=4, device="cpu", changes=reduced(recipe))
    folder = organza.load(run.path).save_pretrained(
        tmp_path / "out", licence="MIT", facts=FACTS, discriminator=run.path
    )
    trainer = Trainer(run.config, store, torch.device("cpu"))
    start_from(trainer, str(folder))
    whole, own = newest(run.path)["networks"]["discriminator"], trainer.game.discriminator.state_dict()
    assert own.keys() == whole.keys()
    assert all(torch.equal(own[name], whole[name]) for name in own if own[name].is_floating_point())
    config = json.loads((folder / "discriminator" / "config.json").read_text())
    assert ("of_a" in config) == (recipe in ("cyclegan", "munit"))


@pytest.mark.parametrize("converted", [False, True])
def test_networks_have_the_sizes_of_those_that_they_start_from(snapshot, tmp_path, converted):
    """Where neither the command nor the data say otherwise, all of both is kept."""
    path, g, d = snapshot
    data = write_data(tmp_path)
    if converted:
        convert(path, tmp_path / "model")
        path = tmp_path / "model"
    short = {"images": 8, "batch": 8, "output.log": 8, "output.score": False, "output.pictures": False, "seed": 1,
             "output.evaluate": False, "start": str(path)}  # fmt: skip
    run = organza.train("stylegan2-ada", data=data, out=tmp_path / "run", device="cpu", changes=short)
    kept = [f"{len(t)} of {len(t)} tensors kept" for t in (g, d)]
    assert [note.split(": ")[1] for note in run.summary["notes"][:2]] == kept
    assert organza.train(out=run.path, resume=True, images=16, device="cpu").summary["images"] == 16
    again = organza.train("stylegan2-ada", data=data, out=tmp_path / "two", device="cpu",
                          changes=short | {"start": str(run.path)})  # fmt: skip
    assert again.config.generator.model.options == run.config.generator.model.options
    asked = short | {"generator.model.mapping_layers": 3}
    third = organza.train("stylegan2-ada", data=data, out=tmp_path / "three", device="cpu", changes=asked)
    assert "mapping.fc2.weight" in third.summary["notes"][0].partition(" new ")[2]
    assert third.config.generator.model.options["mapping_layers"] == 3
    assert third.config.generator.model.options["mixing"] == 0.0  # the recipe's, of which the file tells nothing
