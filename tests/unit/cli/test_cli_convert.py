import json
import os
import pickle
from pathlib import Path

import foreign_files as files
import pytest
import torch

import organza as package


@pytest.fixture
def snapshot():
    g, d = files.generator2(c=3) | {"synthesis.b16.extra": torch.zeros(2)}, files.discriminator2(c=3)
    kwargs = {"c_dim": 3, "mapping_kwargs": {"num_layers": 2}, "synthesis_kwargs": {"channel_base": 64}}
    return files.snapshot(Path("network-snapshot.pkl"), ("Generator", g, kwargs), ("Discriminator", d, {}))


def lines(said) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in said.out.splitlines())


def test_a_snapshot_becomes_a_model_folder(organza, snapshot):
    said = organza("convert", snapshot)
    assert said.code == 0, said.err
    told = lines(said)
    assert told["found"] == "StyleGAN2 of NVIDIA's PyTorch code: 3x16x16, 3 classes"
    assert told["generator"].startswith("stylegan2, ")
    assert told["unused"] == "synthesis.b16.extra"
    assert told["written"] == "network-snapshot/"
    assert "non-commercial" in told["licence"]
    names = {str(path.relative_to("network-snapshot")) for path in Path("network-snapshot").rglob("*.*")}
    assert names == {"README.md", "config.json", "model.safetensors", "discriminator/config.json",
                     "discriminator/model.safetensors"}  # fmt: skip
    one, two = package.load(snapshot), package.load("network-snapshot")
    assert torch.equal(one.sample(4, labels=2), two.sample(4, labels=2))
    assert one.licence == two.licence == told["licence"]
    assert organza("sample", "network-snapshot", "-n", "2", "--out", "x.png").code == 0
    assert organza("sample", snapshot, "-n", "2", "--out", "y.png").code == 0


def test_the_card_says_what_is_not_known(organza, snapshot):
    organza("convert", snapshot, "out", "--licence", "CC-BY-NC 4.0")
    card = Path("out/README.md").read_text()
    assert "license: cc-by-nc-4.0" in card
    assert "Organza did not train it" in card
    assert "cats-16" in card
    assert "mallory" not in card
    assert card.count("Not stated") >= 3
    assert json.loads(Path("out/config.json").read_text())["licence"] == "CC-BY-NC 4.0"
    assert package.load("out").licence == "CC-BY-NC 4.0"


def test_listing_writes_nothing(organza, snapshot):
    before = sorted(Path().rglob("*"))
    told = organza("convert", snapshot, "--list")
    assert "REFUSED" not in told.out
    assert told.code == 0
    assert "torch_utils.persistence._reconstruct_persistent_obj" in told.out
    assert "HOSTILE" not in told.out
    row = next(line for line in told.out.splitlines() if line.startswith("G_ema"))
    assert "Generator (its code is in the file and was not run)" in row
    assert "mapping_kwargs(num_layers=2)" in row
    assert any(line.startswith("training_set_kwargs.resolution 16") for line in told.out.splitlines())
    assert sorted(Path().rglob("*")) == before
    torch.save({"a": torch.zeros(2, 3), "b": torch.zeros(4)}, "x.pt")
    assert "2 tensors, 10 numbers" in organza("convert", "x.pt", "--list").out


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_hostile_files_are_refused_and_listed(organza):
    Path("evil.pkl").write_bytes(pickle.dumps({"G_ema": Evil("touch planted"), "x\x1b[31m": 1}))
    said = organza("convert", "evil.pkl", "out")
    assert said.code == 2
    assert "would call posix.system" in said.err
    assert "Traceback" not in said.err
    listed = organza("convert", "evil.pkl", "--list")
    assert listed.code == 0
    assert "HOSTILE   posix.system (1 times)" in listed.out
    assert "REFUSED   Organza loads, converts and starts from no file that would call this" in listed.out
    for words in (("sample", "evil.pkl"), ("train", "dcgan", "--data", "mnist", "--start", "evil.pkl", "--out", "run")):
        refused = organza(*words)
        assert (refused.code, "is refused: it would call posix.system" in refused.err) == (2, True)
    assert "\x1b" not in listed.out
    assert not Path("planted").exists()
    assert not Path("out").exists()


def test_the_other_way_for_other_tools(organza):
    from organza.config import Model
    from organza.models import translator

    made = translator(Model(name="animegan", options={"width": 2}), (3, 16, 16), (3, 16, 16))
    torch.save(made.state_dict(), "paprika.pt")
    assert organza("convert", "paprika.pt", "anime").code == 0
    told = lines(organza("convert", "anime", "--to", "original"))
    assert told["written"].startswith("anime.safetensors (")
    assert organza("convert", "anime", "again.pth", "--to", "original").code == 0
    state = torch.load("again.pth", weights_only=True)
    assert all(torch.equal(state[name], value) for name, value in made.state_dict().items())
    assert "is not overwritten" in organza("convert", "anime", "again.pth", "--to", "original").err
    assert "ends in .pth or .safetensors" in organza("convert", "anime", "x.bin", "--to", "original").err
    assert "it takes organza or original" in organza("convert", "anime", "--to", "keras").err
    assert "tensors alone" in organza("convert", "anime", "--to", "original", "--list").err


def test_mistakes(organza, snapshot):
    assert "no file nothing.pkl" in organza("convert", "nothing.pkl", "out").err
    Path("folder").mkdir()
    assert "is a folder" in organza("convert", "folder").err
    Path("torn.pkl").write_bytes(snapshot.read_bytes()[:5000])
    said = organza("convert", "torn.pkl", "out")
    assert said.code == 2
    assert "torn.pkl cannot be read: damaged pickle" in said.err
    torch.save({"a": torch.zeros(2)}, "other.pt")
    assert "none of the GANs that are read" in organza("convert", "other.pt", "out").err
    assert organza("convert", snapshot, "out").code == 0
    assert "is not overwritten" in organza("convert", snapshot, "out").err
    files.state(Path("D.pth"), files.big_discriminator())
    assert "--start D.pth" in organza("convert", "D.pth", "out2").err
    snapshot.rename("plain")
    assert "has no ending to take off" in organza("convert", "plain").err
