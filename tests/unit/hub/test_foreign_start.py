"""Training that starts from a foreign file, or from the folder that it was converted to."""

import foreign_files as files
import pytest
import torch
from engine_helpers import small_trainer

from organza.config import ConfigError
from organza.hub.convert import convert
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
    lines = start_from(trainer, str(path))
    for network, tensors in ((trainer.game.generator, g), (trainer.game.discriminator, d), (trainer.average, g)):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, tensors[name]), name
    assert [line.split()[0] for line in lines] == ["generator", "discriminator"]
    assert all("new" not in line and "in part" not in line for line in lines)
    trainer.step()


def test_a_generator_or_a_discriminator_alone(tmp_path):
    g = files.generator2(w=8, **SIZES)
    path = files.snapshot(tmp_path / "g.pkl", ("Generator", g, {"synthesis_kwargs": {}}))
    assert "holds no discriminator" in start_from(small_trainer("stylegan2"), str(path))[1]
    d = files.big_discriminator(widths=(8,) * 4, downs=2, attended=None)
    trainer = small_trainer("biggan", {"discriminator.model.widths": (8,) * 4}, shape=(3, 16, 16))
    before = trainer.average.state_dict()["shared.weight"].clone()
    lines = start_from(trainer, str(files.state(tmp_path / "D.pth", d)))
    assert "holds no generator" in lines[0]
    assert "tensors kept" in lines[1]
    assert torch.equal(trainer.average.state_dict()["shared.weight"], before)


def test_other_networks_are_refused(snapshot):
    with pytest.raises(ConfigError, match="its networks are others"):
        start_from(small_trainer("gan"), str(snapshot[0]))
