"""Translators written under their official names, for other tools, and read again."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import organza
from organza.config import ConfigError, Model
from organza.hub.original import original, save_original
from organza.hub.translator import Translator, save
from organza.models import translator
from organza.models.both_ways import two_way


@torch.no_grad()
def made(name, side=32, classes=0, channels=3, scale=1, **options):
    torch.manual_seed(1)
    model, source = Model(name=name, options=options), (channels, side, side)
    shape = (channels, scale * side, scale * side)
    network = translator(model, source, shape, classes).eval()
    for value in network.parameters():
        if value.dim() > 1:
            nn.init.kaiming_normal_(value)
    return Translator(network, model, source, shape, tuple("abcde"[:classes]), name)


FOUND = {
    "cyclegan": {"width": 2, "blocks": 1}, "pix2pix": {"width": 2, "downs": 5}, "animegan": {"width": 2},
    "pix2pixhd": {"width": 4, "downs": 3, "blocks": 1, "local": True}, "stargan": {"width": 2, "blocks": 1},
}  # fmt: skip


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("name", FOUND)
def test_what_is_written_is_read_again(tmp_path, name, ending):
    found = made(name, classes=3 if name == "stargan" else 0, **FOUND[name])
    (path,) = save_original(found, tmp_path / "deep" / f"latest_net_G{ending}")
    again = organza.load(path)
    assert again.model.options.items() >= FOUND[name].items()
    state = again.generator.state_dict() if ending == ".safetensors" else torch.load(path, weights_only=True)
    assert list(state) == list(found.generator.state_dict())
    assert all(torch.equal(value, again.generator.state_dict()[key]) for key, value in state.items())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("change", [lambda whole: whole[:-4], lambda whole: whole[:8] + b"{" + whole[8:-1]])
def test_broken_safetensors_are_refused(tmp_path, change):
    (path,) = save_original(made("cyclegan", **FOUND["cyclegan"]), tmp_path / "net.safetensors")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=r"net\.safetensors cannot be read: damaged safetensors"):
        organza.load(path)


@pytest.mark.parametrize(("name", "scale", "wrapper"), [
    ("esrgan", 4, "params_ema"), ("srvgg", 2, "params_ema"), ("srgan", 3, "params"),
])  # fmt: skip
def test_restorers_have_the_wrapper_of_their_code(tmp_path, name, scale, wrapper):
    options = {"width": 4, "depth": 2} if name == "srvgg" else {"width": 4, "blocks": 1}
    found = made(name, scale=scale, side=8, **options)
    (path,) = save_original(found, tmp_path / "net.pth")
    assert torch.load(path, weights_only=True).keys() == {wrapper}
    assert organza.load(path).scale == scale
    (plain,) = save_original(found, tmp_path / "net.safetensors")
    state = load_file(plain)
    assert state.keys() == found.generator.state_dict().keys()
    assert all(torch.equal(state[key], value) for key, value in found.generator.state_dict().items())


def test_spectral_norm_has_its_old_names_also_where_it_was_folded(tmp_path):
    found = made("spade", channels=4, width=2, hidden=2)
    save(found, tmp_path / "folder", "a card")
    folded, x = organza.load(tmp_path / "folder"), torch.randn(1, 4, 32, 64)
    assert not any("orig" in name for name in folded.generator.state_dict())
    for kind in (found, folded):
        state = original(kind)
        assert {"head_0.conv_0.weight_orig", "up_3.conv_s.weight_v", "up_3.norm_s.mlp_gamma.weight"} <= state.keys()
        assert not any("parametrizations" in name for name in state)
        (path,) = save_original(kind, tmp_path / "latest_net_G.pth")
        again = organza.load(path)
        assert again.model.options["spectral"]
        assert torch.allclose(again.generator(x), found.generator(x), rtol=0, atol=1e-3)


def test_the_encoder_of_spade_lies_beside_it(tmp_path):
    found = made("spade", channels=4, width=2, hidden=2, vae=True, z_dim=3, encoder_width=2)
    paths = save_original(found, tmp_path / "latest_net_G.pth")
    assert [path.name for path in paths] == ["latest_net_G.pth", "latest_net_E.pth"]
    encoder = torch.load(paths[1], weights_only=True)
    assert {"layer1.0.weight_orig", "fc_mu.weight", "fc_var.bias"} <= encoder.keys()
    again, x, z = organza.load(paths[0]), torch.randn(1, 4, 32, 32), torch.randn(1, 3)
    like = torch.rand(2, 4, 32, 32)
    assert torch.allclose(again.generator.style_of(like), found.generator.style_of(like), rtol=0, atol=1e-5)
    assert torch.allclose(again.generator(x, z), found.generator(x, z), rtol=0, atol=1e-3)


def test_both_ways_of_cyclegan_are_two_files(tmp_path):
    model = Model(name="cyclegan", options={"width": 2, "blocks": 1})
    torch.manual_seed(0)
    network = two_way(model, (1, 16, 16), (3, 16, 16)).eval()
    found = Translator(network, model, (1, 16, 16), (3, 16, 16), recipe="cyclegan", both_ways=True)
    paths = save_original(found, tmp_path / "latest_net_G.pth")
    assert [path.name for path in paths] == ["latest_net_G_A.pth", "latest_net_G_B.pth"]
    x = torch.randn(1, 1, 16, 16)
    assert torch.equal(organza.load(paths[0]).generator(x), network.forth(x))
    assert organza.load(paths[1]).source[0] == 3


def test_several_networks_stay_apart(tmp_path):
    found = made("stargan-v2", classes=2, width=2, downs=1, style_dim=3, mapping_width=3, max_width=4)
    (path,) = save_original(found, tmp_path / "nets_ema.ckpt.pth")
    assert list(torch.load(path, weights_only=True)) == ["generator", "mapping_network", "style_encoder"]
    x, z, label = torch.randn(1, 3, 32, 32), torch.randn(1, 16), torch.tensor([1])
    assert torch.equal(organza.load(path).generator(x, z, label), found.generator(x, z, label))


def test_refusals(tmp_path):
    with pytest.raises(ConfigError, match=r"ends in .pth or .safetensors"):
        save_original(made("animegan", width=2), tmp_path / "net.onnx")
    from organza.hub import GAN
    from organza.models import build

    model = Model(name="dcgan", options={"width": 2, "z_dim": 2})
    gan = GAN(build(model, "generator", (1, 16, 16), 0), model, (1, 16, 16), recipe="dcgan")
    with pytest.raises(ConfigError, match="'dcgan' starts from noise"):
        save_original(gan, tmp_path / "net.pth")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_lama_has_the_names_of_its_checkpoint(tmp_path, suffix):
    """By the second other tools know it."""
    torch.manual_seed(0)
    model, source, shape = Model(name="lama", options={"width": 4, "blocks": 1}), (4, 16, 16), (3, 16, 16)
    found = Translator(translator(model, source, shape).eval(), model, source, shape, recipe="lama")
    (path,) = save_original(found, tmp_path / f"lama{suffix}")
    state = torch.load(path, weights_only=True)["state_dict"] if suffix == ".pth" else load_file(path)
    assert {"generator.model.1.ffc.convl2l.weight", "generator.model.1.bn_l.running_mean"} <= state.keys()
    assert all(name.startswith("generator.model.") for name in state)
    if suffix == ".pth":
        x = torch.rand(1, 4, 16, 16).round()
        assert torch.equal(organza.load(path).generator(x), found.generator(x))
