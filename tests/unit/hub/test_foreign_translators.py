"""State dicts of translators as their official code writes them: what is read off them, and what they compute."""

import hashlib
import itertools
import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import organza
from organza.config import Model
from organza.hub.convert import convert, report
from organza.hub.foreign import read
from organza.layers.norm_names import old_names
from organza.models import build, translator
from organza.training.checkpoint import DamagedError

SIDE = {"pix2pix": 64, "pix2pixhd": 64, "spade": 64, "stargan-v2": 32}


def network(name, classes=0, source=3, shape=3, **options):
    """A thin network none of whose numbers is without effect, statistics included."""
    torch.manual_seed(1)
    side = SIDE.get(name, 32)
    made = translator(Model(name=name, options=options), (source, side, side), (shape, side, side), classes)
    return varied(made)


@torch.no_grad()
def varied(made):
    for name, value in (*made.named_parameters(), *made.named_buffers()):
        if value.dim() > 1 and not name.endswith("filt"):
            nn.init.kaiming_normal_(value)
        elif value.is_floating_point() and not name.endswith(("._u", "._v")):
            value.uniform_(0.5, 1.5)
    return made.eval()


def saved(path, value):
    torch.save(value, path)
    return path


def same(path, made, sides=(32, 64)):
    """The file translates as the network does."""
    found = organza.load(path)
    x = torch.rand(2, found.source[0], *sides, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad():
        wanted = made(x)
        assert (wanted[0] - wanted[1]).abs().max() > 1e-3  # a network that makes always the same would prove nothing
        assert torch.allclose(found.generator(x), wanted, rtol=0, atol=1e-6)
        # in another order in memory: what is rounded otherwise grows from layer to layer
        assert (found.translate(x) - wanted).abs().mean() < 1e-2
    assert found.licence.startswith("unknown")
    return found


CYCLEGAN = {
    "instance": ({"blocks": 9}, 48, "cyclegan"), "six": ({"blocks": 6}, 36, "cyclegan"),
    "batch": ({"blocks": 6, "norm": "batch"}, 104, "cyclegan"),
    "dropout": ({"blocks": 2, "dropout": 0.5}, 20, "cyclegan"),
    "batch dropout": ({"blocks": 2, "dropout": 0.5, "norm": "batch"}, 56, "cyclegan"),
    "cut": ({"blocks": 9, "antialias": True}, 52, "cut"),
}  # fmt: skip


@pytest.mark.parametrize("form", CYCLEGAN)
def test_cyclegan_and_cut_tell_blocks_norm_and_dropout(tmp_path, form):
    options, tensors, recipe = CYCLEGAN[form]
    made = network("cyclegan", width=3, **options)
    assert len(made.state_dict()) == tensors
    found = same(saved(tmp_path / "latest_net_G_A.pth", made.state_dict()), made)
    assert found.model.options.items() >= options.items()
    assert (found.recipe, found.scale, found.multiple) == (recipe, 1, 4)
    assert ("dropout" in form) == any(isinstance(m, nn.Dropout) for m in found.generator.modules())


def test_the_documented_names_of_cyclegan():
    names = {"model.1": (3, 3, 7, 7), "model.4": (6, 3, 3, 3), "model.7": (12, 6, 3, 3), "model.19": (12, 6, 3, 3),
             "model.22": (6, 3, 3, 3), "model.26": (3, 3, 7, 7)}  # fmt: skip
    names |= {f"model.{block}.conv_block.{place}": (12, 12, 3, 3) for block in range(10, 19) for place in (1, 5)}
    state = network("cyclegan", width=3, blocks=9).state_dict()
    assert {f"{n}.weight": s for n, s in names.items()} == {n: tuple(t.shape) for n, t in state.items() if t.dim() == 4}


def test_stray_statistics_and_the_prefix_of_data_parallel(tmp_path):
    made = network("cyclegan", width=2, blocks=1)
    stray = {f"model.{n}.running_{kind}": torch.full((2,), 9.0) for n in (2, 5) for kind in ("mean", "var")}
    stray["model.2.num_batches_tracked"] = torch.tensor(3)
    state = {f"module.{name}": value for name, value in (made.state_dict() | stray).items()}
    same(saved(tmp_path / "a.pth", state), made)
    (note,) = read(tmp_path / "a.pth").notes
    assert note.startswith("5 tensors of statistics of instance norm")


@pytest.mark.parametrize(("downs", "norm", "tensors"), [(8, "batch", 82), (7, "instance", 28), (5, "batch", None)])
def test_pix2pix_tells_depth_and_norm(tmp_path, downs, norm, tensors):
    side = max(2**downs, 64)
    torch.manual_seed(1)
    model = Model(name="pix2pix", options={"width": 2, "norm": norm, "downs": downs})
    made = varied(translator(model, (1, side, side), (2, side, side)))
    assert tensors in (None, len(made.state_dict()))
    path = saved(tmp_path / "latest_net_G.pth", made.state_dict())
    found = same(path, made, (side, 2 * side))
    assert (found.source, found.shape) == ((1, side, side), (2, side, side))
    assert found.model.options.items() >= {"downs": downs, "norm": norm, "dropout": 0.5}.items()
    assert [note[:13] for note in read(path).notes] == ["official code"] * (norm == "batch")


@pytest.mark.parametrize("options", [
    {"width": 2, "downs": 4, "blocks": 9}, {"width": 4, "downs": 3, "blocks": 2, "norm": "batch"},
    {"width": 4, "downs": 4, "blocks": 2, "local": True}, {"width": 4, "downs": 2, "blocks": 1, "norm": "batch"},
    {"width": 4, "downs": 2, "blocks": 3, "local": True, "local_blocks": 1, "norm": "batch"},
])  # fmt: skip
def test_pix2pixhd_global_and_local(tmp_path, options):
    made = network("pix2pixhd", source=5, **options)
    found = same(saved(tmp_path / "latest_net_G.pth", made.state_dict()), made, (64, 96))
    assert found.model.options.items() >= options.items()
    assert found.recipe == "pix2pixhd"


@pytest.mark.parametrize(("maps", "options"), [
    (4, {}), (36, {"ups": "more"}), (4, {"ups": "most"}), (4, {"norm": "instance", "spectral": False}),
    (36, {"ups": "most", "norm": "instance"}),
])  # fmt: skip
def test_spade_with_the_old_names_of_spectral_norm(tmp_path, maps, options):
    side = 2 ** {"more": 6, "most": 7}.get(options.get("ups"), 5)
    torch.manual_seed(1)
    model = Model(name="spade", options={"width": 2, "hidden": 3, **options})
    made = varied(translator(model, (maps, side, side), (3, side, side)))
    made.train()(torch.randn(1, maps, side, 2 * side))  # norms and statistics are no longer the first ones
    made.eval()
    state = old_names(made.state_dict())
    if options.get("spectral", True):
        assert {f"head_0.conv_0.{part}" for part in ("bias", "weight_orig", "weight_u", "weight_v")} <= state.keys()
        assert "up_0.conv_s.weight_orig" in state
    path = saved(tmp_path / "latest_net_G.pth", state)
    found = same(path, made, (side, 2 * side))
    assert found.model.options.items() >= ({"width": 2, "hidden": 3} | options).items()
    assert "NVIDIA" in found.licence
    assert [note[:15] for note in read(path).notes] == ["no tensor tells"] * (options.get("ups") != "most")


def styled_spade(path, sides=(64, 64)):
    """A thin generator that begins with noise in `path`, and in the layout of `latest_net_E.pth` an encoder's tensors.

    layerN.0: convolutions of 3x3 and stride 2 without bias, in the old names of spectral norm, down to 4x4 of at most
    8 times the first channels; fc_mu and fc_var behind them.
    """
    torch.manual_seed(1)
    model = Model(name="spade", options={"width": 2, "hidden": 2, "vae": True, "z_dim": 5})
    made = varied(translator(model, (4, *sides), (3, *sides)))
    saved(path, old_names(made.state_dict()))
    channels = [3, 6, 12, 24, 48, 48, 48][: min(sides).bit_length() - 2]
    state = {}
    for number, (before, after) in enumerate(itertools.pairwise(channels), 1):
        u, v = (F.normalize(torch.randn(size), dim=0) for size in (after, 9 * before))
        named = {"orig": torch.randn(after, before, 3, 3), "u": u, "v": v}
        state |= {f"layer{number}.0.weight_{part}": value for part, value in named.items()}
    for name in ("fc_mu", "fc_var"):
        state |= {f"{name}.weight": torch.randn(5, 16 * channels[-1]), f"{name}.bias": torch.randn(5)}
    return made, state


def style_of(state, image):
    """SPADE's encoder, line by line (arXiv:1903.07291, appendix A): the middle of an image's style."""
    side = min(256, image.shape[2])
    x = F.interpolate(image, (side, side), mode="bilinear", align_corners=False)
    for number in range(1, sum(name.endswith("weight_orig") for name in state) + 1):
        weight, u, v = (state[f"layer{number}.0.weight_{part}"] for part in ("orig", "u", "v"))
        x = F.conv2d(x, weight / (u @ weight.flatten(1) @ v), stride=2, padding=1)
        mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
        x = F.leaky_relu((x - mean) / (variance + 1e-5).sqrt(), 0.2)
    return F.linear(x.flatten(1), state["fc_mu.weight"], state["fc_mu.bias"])


@pytest.mark.parametrize("sides", [(64, 64), (32, 64)])
def test_spade_that_begins_with_noise(tmp_path, sides):
    made, _ = styled_spade(tmp_path / "latest_net_G.pth", sides)
    found = organza.load(tmp_path / "latest_net_G.pth")
    assert (found.source, found.shape) == ((4, *sides), (3, *sides))
    assert "its encoder, latest_net_E.pth beside it" in read(tmp_path / "latest_net_G.pth").notes[0]
    x, z = torch.rand(1, 4, *sides), torch.randn(1, 5)
    assert torch.allclose(found.generator(x, z), made(x, z), rtol=0, atol=1e-6)


@pytest.mark.parametrize("sides", [(64, 64), (32, 64), (256, 256)])
def test_the_encoder_beside_spade_reads_styles(tmp_path, sides):
    made, state = styled_spade(tmp_path / "latest_net_G.pth", sides)
    path = saved(tmp_path / "latest_net_E.pth", state)
    convert(tmp_path / "latest_net_G.pth", tmp_path / "folder")
    x, like = torch.rand(1, 4, *sides), torch.rand(2, 3, *sides) * 2 - 1
    wanted = style_of(state, like)
    assert (wanted[0] - wanted[1]).abs().max() > 0.1
    for place in ("latest_net_G.pth", "folder"):
        found = organza.load(tmp_path / place)
        assert torch.allclose(found.generator.style_of(like), wanted, rtol=1e-4, atol=1e-4)
        in_style = found.translate(x, style=like[1])
        assert (in_style - made(x, wanted[1:])).abs().mean() < 1e-2
    about = organza.load(tmp_path / "folder").training
    assert about["encoder"] == f"latest_net_E.pth, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize(("change", "words"), [
    (lambda s: s.pop("layer4.0.weight_u"), "names and sizes are not"),
    (lambda s: s.update({"fc_mu.weight": torch.zeros(6, 768)}), "names and sizes are not"),
    (lambda s: [s.pop(name) for name in list(s) if name.startswith("fc")], "no encoder of SPADE"),
    (lambda s: s.update({"layer1.0.weight_orig": torch.tensor(1.0)}), "another form"),
])  # fmt: skip
def test_an_encoder_that_is_not_spades_own_is_told(tmp_path, change, words):
    _, state = styled_spade(tmp_path / "latest_net_G.pth")
    change(state)
    saved(tmp_path / "latest_net_E.pth", state)
    (note,) = read(tmp_path / "latest_net_G.pth").notes
    assert re.search(rf"no encoder.*latest_net_E.pth.*{words}", note)
    assert not organza.load(tmp_path / "latest_net_G.pth").generator.styled


def test_the_encoder_of_spade_alone_makes_no_pictures(tmp_path):
    path = saved(tmp_path / "latest_net_E.pth", styled_spade(tmp_path / "latest_net_G.pth")[1])
    with pytest.raises(DamagedError, match=r"give its generator, as latest_net_G.pth"):
        organza.load(path)


def test_munit_translates_both_ways(tmp_path):
    options = {"width": 4, "blocks": 2, "mlp_width": 6, "style_dim": 3, "style_downs": 3, "channels_of_a": 1}
    made = network("munit", source=4, shape=4, **options)
    parts = {of: getattr(made, of).state_dict() for of in "ab"}
    for part in parts.values():  # never read
        part["dec.model.0.model.0.model.0.norm.running_mean"] = torch.full((16,), 9.0)
    path = saved(tmp_path / "gen_00100000.pt", parts)
    found = organza.load(path)
    assert (found.source[0], found.shape[0], found.both_ways) == (1, 3, True)
    assert found.model.options.items() >= options.items()
    a, z = torch.rand(2, 1, 32, 40) * 2 - 1, torch.zeros(2, 3)
    assert (found.translate(a, seed=1) - found.translate(a, seed=2)).abs().max() > 1e-4
    content, b = made.encode(a, "a")[0], torch.rand(2, 3, 32, 40)
    assert torch.allclose(found.generator.one_way(a), made.decode(content, z, "b"), rtol=0, atol=1e-5)
    wanted = made.decode(made.encode(b, "b")[0], z, "a")
    assert torch.allclose(found.generator.one_way(b, reverse=True), wanted, rtol=0, atol=1e-5)


def test_unit_translates_both_ways(tmp_path):
    made = network("unit", source=6, shape=6, width=4, downs=1, blocks=3)
    found = organza.load(saved(tmp_path / "gen.pt", {of: getattr(made, of).state_dict() for of in "ab"}))
    assert found.model.options == {"width": 4, "downs": 1, "blocks": 3, "channels_of_a": 3}
    x = torch.rand(1, 3, 16, 24) * 2 - 1
    wanted = made.decode(made.encode(x, "b"), "a")
    assert torch.allclose(found.translate(x, reverse=True), wanted, rtol=0, atol=1e-5)


def test_stargan_tells_classes_and_blocks(tmp_path):
    made = network("stargan", classes=5, width=4, blocks=2)
    found = organza.load(saved(tmp_path / "200000-G.ckpt", made.state_dict()))
    assert (len(found.classes), found.source) == (5, (3, 128, 128))
    x = torch.rand(2, 3, 16, 20) * 2 - 1
    for label in (0, 4):
        wanted = made(x, None, torch.full((2,), label))
        assert torch.allclose(found.translate(x, label=label), wanted, rtol=0, atol=1e-5)
    assert (found.translate(x, label=0) - found.translate(x, label=4)).abs().max() > 1e-3


@pytest.mark.parametrize(("prefix", "options"), [
    ("", {"downs": 1, "w_hpf": 0.0, "max_width": 8}), ("module.", {"downs": 2, "w_hpf": 1.0, "max_width": 16}),
])  # fmt: skip
def test_stargan_v2_in_three_parts(tmp_path, prefix, options):
    options |= {"width": 4, "style_dim": 6, "z_dim": 5, "mapping_width": 7}
    made = network("stargan-v2", classes=3, **options)
    parts = ("generator", "mapping_network", "style_encoder")
    value = {part: {prefix + n: v for n, v in getattr(made, part).state_dict().items()} for part in parts}
    path = saved(tmp_path / "100000_nets_ema.ckpt", value | {"fan": {"conv1.weight": torch.zeros(1)}})
    found = organza.load(path)
    assert found.model.options == options
    assert (len(found.classes), found.source) == (3, (3, 32, 32))
    x, z = torch.rand(2, 3, 32, 32) * 2 - 1, torch.randn(2, 5)
    labels = torch.tensor([2, 0])
    assert torch.allclose(found.generator(x, z, labels), made(x, z, labels), rtol=0, atol=1e-5)
    assert [note[:14] for note in read(path).notes] == ["made for faces"] * (options["w_hpf"] > 0)


def test_animegan(tmp_path):
    made = network("animegan", width=4)
    assert len(made.state_dict()) == 77
    found = same(saved(tmp_path / "paprika.pt", made.state_dict()), made, (32, 40))
    assert found.model.options == {"width": 4, "blocks": 4}


JUDGES = {
    "patches": ("pix2pix", 3, {"norm": "instance"}), "conditional": ("pix2pix", 6, {"layers": 4, "norm": "batch"}),
    "pixels": ("pix2pix", 3, {"layers": 0, "norm": "batch"}), "cut": ("pix2pix", 3, {"antialias": True, "layers": 2}),
    "scales": ("pix2pixhd", 6, {"scales": 3, "layers": 2}), "spade": ("spade", 7, {}), "u-net": ("srvgg", 3, {}),
}  # fmt: skip


@pytest.mark.parametrize("form", JUDGES)
def test_a_discriminator_translates_nothing_and_starts_training(tmp_path, form):
    name, channels, options = JUDGES[form]
    model = Model(name=name, options={"width": 2, **options})
    made = build(model, "discriminator", (channels, 256, 256), 0).eval()
    path = saved(tmp_path / "latest_net_D.pth", old_names(made.state_dict()))
    found = read(path)
    assert found.generator is None
    assert found.discriminator.model.options.items() >= model.options.items()
    assert found.discriminator.tensors.keys() == made.state_dict().keys()
    with pytest.raises(DamagedError, match=r"a discriminator and no generator.*organza train --start"):
        organza.load(path)


@pytest.mark.parametrize(("tensors", "words"), [
    ({"cnns.0.0.conv.weight": torch.zeros(2, 3, 4, 4)}, "MUNIT's or UNIT's discriminator, which judges"),
    ({"main.0.weight": torch.zeros(2, 3, 4, 4), "conv1.weight": torch.zeros(1, 2, 3, 3)}, "StarGAN's discriminator"),
])  # fmt: skip
def test_judges_that_are_known_and_not_read(tmp_path, tensors, words):
    with pytest.raises(DamagedError, match=words):
        organza.load(saved(tmp_path / "D.pth", tensors))


def zero_padded(name):
    return re.sub(r"conv_block\.(\d)", lambda m: f"conv_block.{int(m[1]) - (1 if m[1] == '1' else 2)}", name)


@pytest.mark.parametrize(("change", "words"), [
    (lambda s: s.pop("model.11.bias"), r"lacks 1 tensors: model.11.bias; nearest is cyclegan.* 15 of its 15"),
    (lambda s: s.update({"model.4.weight": torch.zeros(4, 2, 1, 1)}), "other shapes.*nearest is cyclegan.* 15 of its"),
    (lambda s: [s.update({zero_padded(n): s.pop(n)}) for n in list(s)], "fills? borders with zeros"),
    (lambda s: [s.pop(n) for n in list(s) if n.endswith("bias")], "without any norm"),
    (lambda s: s.update({"model.90000.conv_block.1.weight": torch.zeros(8, 8, 3, 3)}), "lacks"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_with_the_nearest(tmp_path, change, words):
    state = dict(network("cyclegan", width=2, blocks=1).state_dict())
    change(state)
    with pytest.raises(DamagedError, match=words):
        organza.load(saved(tmp_path / "net.pth", state))


def test_an_unknown_architecture_is_told_what_it_is_nearest_to(tmp_path):
    state = network("animegan", width=2).state_dict()
    other = {f"x{name}" if name.startswith(("out", "block_a.0")) else name: value for name, value in state.items()}
    with pytest.raises(
        DamagedError, match=r"none of the GANs .*nearest is animegan, where 73 of its 77 tensors \(95%\)"
    ):
        organza.load(saved(tmp_path / "net.pth", other))
    with pytest.raises(DamagedError) as problem:
        organza.load(saved(tmp_path / "other.pth", {"encoder.q.weight": torch.zeros(2)}))
    assert "nearest" not in str(problem.value)


def test_a_converted_folder_is_the_file(tmp_path):
    made = network("cyclegan", width=2, blocks=1)
    path = saved(tmp_path / "latest_net_G_A.pth", made.state_dict())
    lines = dict(report(convert(path, tmp_path / "out")))
    assert lines["found"] == "CycleGAN's residual translator, 1 blocks, instance norm: pictures of 3 channels into 3"
    same(tmp_path / "out", made)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "organza translate PICTURES --model FOLDER" in card
    assert "times as tall" not in card
    parts = {of: getattr(network("unit", source=4, shape=4, width=2, downs=1), of).state_dict() for of in "ab"}
    convert(saved(tmp_path / "gen.pt", parts), tmp_path / "both")
    assert organza.load(tmp_path / "both").both_ways
