"""Official StyleGAN files, made of known tensors: what comes out of them is what the published formulas give."""

import foreign_files as files
import foreign_formulas as formulas
import pytest
import torch
from foreign_files import judge
from foreign_formulas import near

import organza
from organza.hub.foreign import read
from organza.latent.sampling import latents
from organza.latent.space import LatentSpace
from organza.layers.style import Mapping
from organza.training.checkpoint import DamagedError

NESTED = {"mapping_kwargs": {"num_layers": 2}, "synthesis_kwargs": {"channel_base": 64, "conv_clamp": None}}
FLAT = {"mapping_kwargs": {"num_layers": 2}, "channel_base": 128, "channel_max": 12, "num_fp16_res": 4}


def one_hot(labels, classes):
    return torch.nn.functional.one_hot(labels, classes).double()


CASES = {
    "ada": ({}, NESTED),
    "labels": ({"c": 3}, {"c_dim": 3, **NESTED}),
    "flat": ({"res": 32, "base": 128}, FLAT),
    "resnet": ({"arch": "resnet"}, {"mapping_kwargs": {}, "synthesis_kwargs": {"architecture": "resnet"}}),
    "orig": ({"arch": "orig", "channels": 1}, {"synthesis_kwargs": {"architecture": "orig"}}),
    "clamped": ({}, {"synthesis_kwargs": {"conv_clamp": 1.5}}),
    "mapping rate": ({"rate": 0.1}, {"mapping_kwargs": {"lr_multiplier": 0.1}, "synthesis_kwargs": {}}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("psi", "cutoff"), [(1.0, None), (0.6, None), (0.4, 2)])
def test_stylegan2_generator(tmp_path, case, psi, cutoff):
    made, kwargs = CASES[case]
    g = files.generator2(**made)
    gan = organza.load(files.snapshot(tmp_path / "g.pkl", ("Generator", g, kwargs)))
    res, c, t = made.get("res", 16), made.get("c", 0), formulas.doubles(g)
    z, labels = latents(range(4), 8), torch.tensor([0, 2, 1, 1]) if c else None
    told = one_hot(labels, c) if c else None
    count = 2 * res.bit_length() - 4
    ws = formulas.codes(t, z.double(), told, count, psi, cutoff, made.get("rate", 0.01))
    clamp = kwargs.get("synthesis_kwargs", {}).get("conv_clamp", 256 if case == "flat" else None)
    space = LatentSpace(gan.generator)
    own = space.codes(z, labels, psi, cutoff)
    near(own, ws)
    for noise in ("const", "none"):
        near(space.draw(own, noise=noise), formulas.synthesis2(t, ws, res, made.get("arch", "skip"), noise, clamp))
    if psi == 1 and case != "clamped":
        wanted = (formulas.synthesis2(t, ws, res, made.get("arch", "skip"), "const", clamp) * 127.5 + 128).clamp(0, 255)
        off = (gan.sample(4, labels=None if labels is None else labels.tolist()).double() - wanted.floor()).abs()
        assert off.max() <= 1
        assert (off > 0).double().mean() < 0.001


def test_random_noise_is_given_pictures(tmp_path):
    g = files.generator2()
    gan = organza.load(files.snapshot(tmp_path / "g.pkl", ("Generator", g, NESTED)))
    ws = formulas.codes(formulas.doubles(g), latents([5, 6], 8).double(), None, 6)
    pictures = [torch.randn(2, 1, side, side) for side in (4, 8, 8, 16, 16)]
    wanted = formulas.synthesis2(formulas.doubles(g), ws, 16, noise=[picture.double() for picture in pictures])
    space = LatentSpace(gan.generator)
    near(space.draw(ws.float(), noise=pictures), wanted)
    assert not torch.allclose(space.draw(ws.float(), noise="random"), space.draw(ws.float(), noise="none"))


D_CASES = {
    "resnet": ({}, {"channel_base": 64, "block_kwargs": {}}, 4),
    "labels": ({"c": 3}, {"c_dim": 3, "block_kwargs": {}}, 4),
    "skip": ({"arch": "skip"}, {"architecture": "skip", "block_kwargs": {}}, 4),
    "orig": ({"arch": "orig", "channels": 1}, {"architecture": "orig", "epilogue_kwargs": {"mbstd_group_size": 2}}, 2),
    "whole batch": ({}, {"epilogue_kwargs": {"mbstd_group_size": None}}, 8),
    "clamped": ({}, {"conv_clamp": 0.8, "epilogue_kwargs": {}}, 4),
}


@pytest.mark.parametrize("case", D_CASES)
def test_stylegan2_discriminator(tmp_path, case):
    made, kwargs, group = D_CASES[case]
    d, channels, c = files.discriminator2(**made), made.get("channels", 3), made.get("c", 0)
    g = files.generator2(channels=channels, c=c)
    path = files.snapshot(tmp_path / "g.pkl", ("Generator", g, NESTED), ("Discriminator", d, kwargs))
    x, labels = torch.randn(8, channels, 16, 16), torch.arange(8) % 3 if c else None
    told = one_hot(labels, c) if c else None
    clamp = kwargs.get("conv_clamp")
    wanted = formulas.discriminator2(formulas.doubles(d), x.double(), told, made.get("arch", "resnet"), group, clamp)
    near(judge(path)(x, labels).detach(), wanted)
    assert read(path).notes == ()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("half", [False, True])
def test_protocols_half_precision_and_frozen_layers(tmp_path, protocol, half):
    g, d = files.generator2(), files.discriminator2()
    g = {name: t.half().float() for name, t in g.items()} if half else g
    stored = {name: t.half() for name, t in g.items()} if half else g
    frozen = {"b16.fromrgb.weight", "b16.conv0.weight"}  # Freeze-D makes buffers of them
    path = files.snapshot(
        tmp_path / "g.pkl", ("Generator", stored, NESTED), ("Discriminator", d, {}, None, frozen), protocol
    )
    found = read(path)
    assert found.generator is not None
    assert found.discriminator is not None
    for name, tensor in g.items():
        assert torch.equal(found.generator.tensors[name], tensor), name
    for name, tensor in d.items():
        assert torch.equal(found.discriminator.tensors[name], tensor), name
    assert not found.generator.missing + found.generator.unknown + found.discriminator.unknown


THREES = {
    "t": (dict(), {}),
    "r": (dict(kernel=1, radial=True), {"conv_kernel": 1, "use_radial_filters": True}),
    "labels": (dict(c=3), {"c_dim": 3}),
    "fewer layers": (dict(res=32, base=128, layers=8), {"num_layers": 8, "output_scale": 0.5, "conv_clamp": 2.0}),
}


@pytest.mark.parametrize("case", THREES)
@pytest.mark.parametrize(("psi", "cutoff"), [(1.0, None), (0.5, 3)])
def test_stylegan3_generator(tmp_path, case, psi, cutoff):
    made, kwargs = THREES[case]
    g, bands = files.generator3(**made)
    d = files.discriminator2(c=made.get("c", 0), res=made.get("res", 16), base=made.get("base", 64))
    kwargs = {"channel_base": made.get("base", 64), "channel_max": 12, "magnitude_ema_beta": 0.9, **kwargs}
    path = files.snapshot(tmp_path / "g.pkl", ("Generator", g, kwargs), ("Discriminator", d, {"channel_base": 64}))
    gan = organza.load(path)
    c, t, z = made.get("c", 0), formulas.doubles(g), latents(range(3), 8)
    labels = torch.tensor([2, 0, 1]) if c else None
    ws = formulas.codes(t, z.double(), one_hot(labels, c) if c else None, len(bands) + 1, psi, cutoff)
    wanted = formulas.synthesis3(
        t, ws, bands, made.get("radial", False), kwargs.get("output_scale", 0.25), kwargs.get("conv_clamp", 256.0)
    )
    space = LatentSpace(gan.generator)
    own = space.codes(z, labels, psi, cutoff)
    near(own, ws)
    near(space.draw(own), wanted)
    assert gan.recipe == ("stylegan3-r" if case == "r" else "stylegan3-t")
    assert read(path).discriminator is not None


def test_stylegan3_without_arguments_is_told_by_its_layers(tmp_path):
    g, bands = files.generator3(kernel=1, radial=True)
    settings = {"synthesis": {"num_critical": 2, "margin_size": 10, "output_scale": 0.5},
                "synthesis.L0_36_12": {"conv_clamp": 3.0}}  # fmt: skip
    gan = organza.load(files.snapshot(tmp_path / "g.pkl", ("Generator", g, {}, settings)))
    t, z = formulas.doubles(g), latents([1, 2], 8)
    ws = formulas.codes(t, z.double(), None, 16)
    near(gan.generator(z).detach(), formulas.synthesis3(t, ws, bands, True, 0.5, 3.0))
    assert gan.recipe == "stylegan3-r"


def test_another_design_is_refused(tmp_path):
    g, _ = files.generator3()
    with pytest.raises(DamagedError, match=r"filters are not those|other shapes|lacks"):
        organza.load(files.snapshot(tmp_path / "a.pkl", ("Generator", g, {"first_stopband": 3.0})))
    with pytest.raises(DamagedError, match="super-resolution"):
        organza.load(files.snapshot(tmp_path / "b.pkl", ("SuperresGenerator", g, {})))
    kwargs = {"mapping_kwargs": {"activation": "relu"}}
    with pytest.raises(DamagedError, match="activation is 'relu'"):
        organza.load(files.snapshot(tmp_path / "c.pkl", ("Generator", files.generator2(), kwargs)))


TOLD = {"z_dim": 8, "c_dim": 0, "w_dim": 10, "img_resolution": 16, "img_channels": 3,
        "mapping_kwargs": {"num_layers": 2}}  # fmt: skip
BOTH = [
    ({"img_resolution": 512, "c_dim": 10, "z_dim": 99}, "z_dim is 99, and its tensors say 8"),
    ({"w_dim": 512}, "w_dim is 512, and its tensors say 10"),
    ({"c_dim": 10}, "c_dim is 10, and its tensors say 0"),
    ({"img_resolution": 512}, "img_resolution is 512, and its tensors say 16"),
    ({"img_resolution": float("nan")}, "img_resolution is nan, and its tensors say 16"),
    ({"img_channels": {"a": 1}}, "img_channels is 'neither a number nor"),
    ({"mapping_kwargs": {"num_layers": 8}}, "num_layers is 8, and its tensors say 2"),
]
TWO = [
    ({"synthesis_kwargs": {"architecture": "resnet"}}, "architecture is 'resnet', and its tensors say skip"),
    ({"channel_base": 32, "channel_max": 12}, r"give widths \[8, 4, 2\], its tensors \[12, 8, 4\]"),
]
THREE = [
    ({"num_layers": 8}, "num_layers is 8, and its tensors say 14"),
    ({"conv_kernel": 1}, "conv_kernel is 1, and its tensors say 3"),
    ({"use_radial_filters": True}, "use_radial_filters is True, and its tensors say False"),
]


@pytest.mark.parametrize(
    ("generation", "change", "told"), [(2, *case) for case in BOTH + TWO] + [(3, *case) for case in BOTH + THREE]
)
def test_arguments_that_disagree(tmp_path, generation, change, told):
    g = files.generator2() if generation == 2 else files.generator3()[0]
    assert read(files.snapshot(tmp_path / "agrees.pkl", ("Generator", g, TOLD))).generator is not None
    with pytest.raises(DamagedError, match=told):
        read(files.snapshot(tmp_path / "g.pkl", ("Generator", g, TOLD | change)))


@pytest.mark.parametrize(("told", "notes"), [
    ((0, 16, 3), ()), ((0, 512, 3), ("no discriminator: its img_resolution is 512, and its tensors say 16",)),
    ((10, 16, 3), ("no discriminator: its c_dim is 10, and its tensors say 0",)),
])  # fmt: skip
def test_a_discriminator_whose_arguments_disagree_is_left_out(tmp_path, told, notes):
    """Given by place, as the class takes them: it has no z and no w."""
    networks = ("Generator", files.generator2(), TOLD), (
        "Discriminator", files.discriminator2(), {}, {"": {"_init_args": told}},
    )  # fmt: skip
    found = read(files.snapshot(tmp_path / "g.pkl", *networks))
    assert (found.discriminator is None, found.notes) == (bool(notes), notes)


def xl(classes=3, table=5, embed=8, hidden=6):
    """A stem of StyleGAN-XL: z 8, an embedding behind a projection, a mean w for each class."""
    g, bands = files.generator3()
    r = files.Random(9)
    r("mapping.embed.weight", table, hidden)
    r.linear("mapping.embed_proj", hidden, embed)
    r.linear("mapping.fc0", 8 + embed if classes else 8, 10, rate=0.01)
    r("mapping.w_avg", *((classes, 10) if classes else (10,)))
    return g | r.made, bands


def test_stylegan_xl_stem(tmp_path):
    g, bands = xl()
    gan = organza.load(files.snapshot(tmp_path / "xl.pkl", ("Generator", g, {"c_dim": 3}), progress={"cur_nimg": 5000}))
    t, z, labels = formulas.doubles(g), latents(range(4), 8), torch.tensor([0, 1, 2, 1])
    y = formulas.fc(t["mapping.embed.weight"][labels], t, "mapping.embed_proj", active=True)
    x = torch.cat([formulas.normalized(z.double()), formulas.normalized(y)], 1)
    w = formulas.fc(formulas.fc(x, t, "mapping.fc0", 0.01, True), t, "mapping.fc1", 0.01, True)
    centre = t["mapping.w_avg"][labels]
    ws = (centre + 0.7 * (w - centre))[:, None].repeat(1, 16, 1)
    space = LatentSpace(gan.generator)
    own = space.codes(z, labels, 0.7)
    near(own, ws)
    near(space.draw(own), formulas.synthesis3(t, ws, bands))
    assert len(gan.classes) == 3
    assert gan.training["images"] == 5000


def test_stylegan_xl_without_labels(tmp_path):
    g, bands = xl(classes=0)
    gan = organza.load(files.snapshot(tmp_path / "xl.pkl", ("Generator", g, {})))
    t, z = formulas.doubles(g), latents(range(2), 8)
    near(gan.generator(z).detach(), formulas.synthesis3(t, formulas.codes(t, z.double(), None, 16), bands))
    assert gan.classes == ()


def test_what_is_told_of_the_file(tmp_path):
    g = files.generator2() | {"synthesis.b16.extra": torch.zeros(3)}
    del g["synthesis.b8.conv0.noise_const"]
    d = {name: t for name, t in files.discriminator2().items() if name != "b8.conv0.weight"}
    found = read(files.snapshot(tmp_path / "g.pkl", ("Generator", g, NESTED), ("Discriminator", d, {})))
    assert found.generator is not None
    assert found.generator.unknown == ("synthesis.b16.extra",)
    assert found.generator.missing == ("synthesis.b8.conv0.noise_const",)
    assert found.discriminator is None
    assert any("b8.conv0.weight" in note for note in found.notes)
    assert "non-commercial" in found.licence
    assert found.training["data"]["name"] == "cats-16"
    assert found.training["data"]["xflip"] is True
    assert len(found.sha256) == 64


def test_a_missing_weight_and_a_wrong_shape_are_named(tmp_path):
    for change, told in ((None, r"lacks 1 tensors: synthesis.b8.conv0.weight"),
                         (torch.zeros(12, 12, 3, 4), r"synthesis.b8.conv0.weight, \[12, 12, 3, 4\]")):  # fmt: skip
        g = files.generator2()
        g["synthesis.b8.conv0.weight"] = change
        g = {name: t for name, t in g.items() if t is not None}
        with pytest.raises(DamagedError, match=told):
            organza.load(files.snapshot(tmp_path / "g.pkl", ("Generator", g, NESTED)))


def test_the_means_of_classes_follow_their_own():
    """Each mean w moves towards that of its class, and stays where no sample of the class is."""
    mapping = Mapping(4, 3, 5, 1, decay=0.9, embed_dim=2, by_class=True)
    w, labels = torch.randn(6, 5), torch.tensor([0, 0, 2, 2, 2, 2])
    mapping.follow(w, labels)
    assert torch.allclose(mapping.w_avg[0], 0.1 * w[:2].mean(0))
    assert torch.equal(mapping.w_avg[1], torch.zeros(5))
    assert torch.allclose(mapping.w_avg[2], 0.1 * w[2:].mean(0))
    assert mapping(torch.randn(2, 4), torch.tensor([0, 1])).shape == (2, 5)


REFUSED = {
    "EG3D": ({"G_ema": "TriPlaneGenerator"}, "class TriPlaneGenerator is no StyleGAN2 or 3"),
    "FastGAN": ({"g": {"init.0.weight": torch.zeros(2)}, "g_ema": {"init.0.weight": torch.zeros(2)}}, "no StyleGAN2"),
    "GigaGAN": ({"G": {"init_block": torch.zeros(2)}, "D": {}, "steps": 3}, "none of the GANs that are read"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_the_page_calls_refused_is(tmp_path, form):
    entries, words = REFUSED[form]
    if form == "EG3D":
        path = files.snapshot(tmp_path / "g.pkl", (entries["G_ema"], {"backbone.w": torch.zeros(2)}, {}))
    else:
        torch.save(entries, path := tmp_path / "g.pt")
    with pytest.raises(DamagedError, match=words):
        read(path)
