"""Starting from trained networks: what is kept, what begins anew, and what is refused."""

import pytest
import torch
from engine_helpers import shrunk, small_config, small_store, small_trainer, write_data

import organza
from organza.config import ConfigError, override
from organza.models import stylegan2
from organza.models.progan import Discriminator
from organza.training.trainer import Trainer
from organza.training.transfer import fill, start_from
from organza.training.turn import frozen_parameters


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A finished run of a small stylegan2."""
    folder = tmp_path_factory.mktemp("source")
    data = write_data(folder)
    return organza.train(
        "stylegan2", data=data, out=folder / "run", images=16, device="cpu", changes=shrunk("stylegan2")
    )


def test_equal_networks_are_kept_whole(source):
    trainer = small_trainer("stylegan2", {"seed": 5})
    before = trainer.state()["networks"]
    lines = start_from(trainer, str(source.path)).lines
    state, _ = source.newest_state()
    for player in ("generator", "discriminator"):
        for name, tensor in state["networks"][player].items():
            assert torch.equal(getattr(trainer.game, player).state_dict()[name], tensor), name
    assert not torch.equal(before["generator"]["mapping.fc0.weight"], trainer.game.generator.mapping.fc0.weight)
    assert torch.equal(trainer.average.state_dict()["mapping.fc0.weight"], state["average"]["mapping.fc0.weight"])
    assert [line.split()[0] for line in lines] == ["generator", "discriminator"]
    assert all("new" not in line and "in part" not in line for line in lines)


def test_labels_join_networks_without(source):
    trainer = small_trainer("stylegan2", {"conditional": True})
    generator = trainer.game.generator
    columns = generator.mapping.fc0.weight.detach().clone()
    lines = start_from(trainer, str(source.path)).lines
    state, _ = source.newest_state()
    kept = state["networks"]["generator"]["mapping.fc0.weight"]
    assert torch.equal(generator.mapping.fc0.weight[:, : kept.shape[1]], kept)
    assert torch.equal(generator.mapping.fc0.weight[:, kept.shape[1] :], columns[:, kept.shape[1] :])
    assert "mapping.fc0.weight" in lines[0].partition("kept in part")[2]
    assert "mapping.embed.weight" in lines[0].partition(" new ")[2]


def test_another_number_of_classes_begins_its_embedding_anew():
    one = small_trainer("stylegan2", {"conditional": True})
    config = small_config("stylegan2", {"conditional": True})
    two = Trainer(config, small_store(classes=2), torch.device("cpu"))
    own = two.game.generator.mapping.embed.weight.detach().clone()
    kept = fill(two.game.generator, one.game.generator.state_dict())
    assert kept.new == ["mapping.embed.weight"]
    assert torch.equal(two.game.generator.mapping.embed.weight, own)
    assert not kept.partly
    assert not kept.unused


def test_a_larger_size_keeps_the_small_blocks(source):
    trainer = small_trainer("stylegan2", shape=(3, 32, 32))
    lines = start_from(trainer, str(source.path)).lines
    state, _ = source.newest_state()
    name = "synthesis.b8.conv1.weight"
    assert torch.equal(trainer.game.generator.state_dict()[name], state["networks"]["generator"][name])
    assert "b32" in lines[0].partition(" new ")[2]


def test_spectral_norm_does_not_hide_a_weight():
    plain = small_trainer("dcgan")
    normed = small_trainer("dcgan", {"generator.spectral_norm": True, "discriminator.spectral_norm": True})
    kept = fill(normed.game.generator, plain.game.generator.state_dict())
    assert any(name.endswith(".weight") for name in kept.whole)
    learned = [name for name in kept.new if "parametrizations" not in name]
    assert learned == []


def test_a_run_with_start_says_what_it_kept(source, tmp_path):
    config = source.config
    networks = {
        f"{role}.model.{option}": value
        for role in ("generator", "discriminator")
        for option, value in getattr(config, role).model.options.items()
    }
    short = {"images": 8, "batch": 8, "output.log": 8, "output.score": False, "output.pictures": False}
    changes = {"data.source": config.data.source, "start": str(source.path), **networks, **short}
    run = organza.train("stylegan2", out=tmp_path / "run", device="cpu", changes=changes)
    notes = run.summary["notes"]
    assert notes[0].startswith(f"generator from {source.path}: ")
    resumed = organza.train(out=run.path, resume=True, images=16, device="cpu")
    assert resumed.summary["notes"].count(notes[0]) == 1


def test_other_networks_are_refused(source):
    trainer = small_trainer("gan")
    with pytest.raises(ConfigError, match="its networks are others"):
        start_from(trainer, str(source.path))


def test_a_missing_source(tmp_path):
    with pytest.raises(FileNotFoundError):
        start_from(small_trainer("gan"), str(tmp_path / "nothing"))


def test_frozen_layers_stay_and_the_others_move():
    trainer = small_trainer("stylegan2", {"discriminator.frozen": 2})
    before = trainer.state()["networks"]["discriminator"]
    trainer.step()
    trainer.step()
    after = trainer.state()["networks"]["discriminator"]
    names = [name for name, _ in trainer.game.discriminator.named_parameters()]
    frozen = [name for name in names if torch.equal(before[name], after[name])]
    assert frozen == [f"b16.{layer}.{part}" for layer in ("fromrgb", "conv0") for part in ("weight", "bias")]


def test_frozen_layers_of_a_growing_judge_are_those_that_a_picture_meets():
    """Neither the colours of small pictures, which it has first, nor the table of its projection."""
    judge = Discriminator((3, 16, 16), 3, width=4, max_width=4)
    judge.advance(10**9)
    pixel = torch.randn(2, 3, 16, 16)
    judge(pixel, torch.tensor([0, 1])).sum().backward()
    first = frozen_parameters(judge, 3)
    assert all(parameter.grad is not None for parameter in first)
    names = {id(parameter): name for name, parameter in judge.named_parameters()}
    found = list(dict.fromkeys(names[id(parameter)].rpartition(".")[0] for parameter in first))
    assert found == ["from_image.2", "blocks.1.conv1", "blocks.1.conv2"]
    projected = stylegan2.Discriminator((3, 16, 16), 3, width=4, max_width=4)
    (weight, *_), owner = frozen_parameters(projected, 1), dict(projected.named_parameters())
    assert weight is owner["b16.fromrgb.weight"]


def test_too_many_frozen_layers_are_refused():
    with pytest.raises(ConfigError, match="it takes fewer"):
        small_trainer("stylegan2", {"discriminator.frozen": 500})
    with pytest.raises(ConfigError, match="0 or more"):
        small_trainer("stylegan2", {"discriminator.frozen": -1})
    assert override(small_config("stylegan2"), {"discriminator.frozen": 3}).discriminator.frozen == 3
