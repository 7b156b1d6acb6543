"""R3GAN's snapshots: recognised by order and shape whatever their names, else refused with the names."""

import foreign_files as files
import foreign_formulas as formulas
import pytest
import torch
from foreign_files import OTHER_NAMES, R3_NAMES, judge
from foreign_formulas import near

import organza
from organza.hub.convert import convert, listing
from organza.hub.foreign import read
from organza.latent.sampling import latents
from organza.training.checkpoint import DamagedError

WIDTHS = (8, 8, 4)
TOLD = {"NoiseDimension": 5, "WidthPerStage": [8, 8, 4], "CardinalityPerStage": [4, 4, 2], "BlocksPerStage": [2, 2, 2],
        "ExpansionFactor": 2, "ConditionEmbeddingDimension": 64, "c_dim": 0, "img_resolution": 16}  # fmt: skip


def snapshot(path, g, d=None, told=None, **more):
    frozen = [name for name in (*g, *(d or {})) if name.endswith(("Resampler.Kernel", ".f"))]
    networks = [("Generator", g, told or {}, None, frozen)]
    networks += [("Discriminator", d, {}, None, frozen)] if d else []
    return files.snapshot(path, *networks, cur_nimg=12_000, G_opt_state={}, **more)


@pytest.mark.parametrize("names", [R3_NAMES, OTHER_NAMES], ids=["remembered", "others"])
@pytest.mark.parametrize("c", [0, 4])
def test_outputs_are_those_of_the_formulas(tmp_path, names, c):
    g, d = files.r3_generator(c=c), files.r3_discriminator(c=c)
    other = files.r3_generator(c=c, n=names), files.r3_discriminator(c=c, n=names)
    path = snapshot(tmp_path / "g.pkl", *other)
    gan, z = organza.load(path), latents(range(3), 5)
    labels = torch.tensor([3, 0, 1]) if c else None
    near(gan.generator(z, labels).detach(), formulas.r3_generator(formulas.doubles(g), z.double(), labels, 3))
    x = torch.randn(3, 3, 16, 16)
    near(judge(path)(x, labels).detach(), formulas.r3_discriminator(formulas.doubles(d), x.double(), labels, 3))
    assert (gan.z_dim, len(gan.classes), gan.shape) == (5, c, (3, 16, 16))


def test_what_the_file_tells_is_kept(tmp_path):
    path = snapshot(tmp_path / "g.pkl", files.r3_generator(), files.r3_discriminator(), TOLD)
    found = read(path)
    assert (found.name, found.training["images"], found.training["data"]["name"]) == ("r3gan", 12_000, "cats-16")
    assert "licence file" in found.licence
    assert any("order and shape" in note for note in found.notes)
    assert found.generator is not None
    assert not found.generator.unknown
    assert any("cur_nimg" in key for key, _ in listing(path))
    convert(path, tmp_path / "out")
    assert torch.equal(organza.load(tmp_path / "out").sample(2), organza.load(path).sample(2))


def test_one_block_another_expansion_and_no_discriminator(tmp_path):
    g = files.r3_generator((4, 4), blocks=1, expansion=3, group=6)
    z = latents(range(2), 5)
    gan = organza.load(snapshot(tmp_path / "g.pkl", g))
    near(gan.generator(z).detach(), formulas.r3_generator(formulas.doubles(g), z.double(), None, 2))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"WidthPerStage": [8, 8, 8]}, r"WidthPerStage is \[8, 8, 8\], and its tensors say \[8, 8, 4\]"),
        ({"CardinalityPerStage": [2, 2, 2]}, "CardinalityPerStage"),
        ({"NoiseDimension": 64}, "NoiseDimension is 64, and its tensors say 5"),
        ({"ResamplingFilter": [1, 1]}, "ResamplingFilter"),
        ({"img_resolution": 32}, "img_resolution"),
        ({"c_dim": 3}, "c_dim"),
    ],
)
def test_arguments_that_disagree(tmp_path, change, told):
    with pytest.raises(DamagedError, match=told):
        read(snapshot(tmp_path / "g.pkl", files.r3_generator(), told=TOLD | change))


BLOCK, JOINT = "Model.MainLayers.1.Layers.0", "Model.MainLayers.2.TransitionLayer"


def swapped(tensors, one, two):
    """The same tensors, and two names in each other's place."""
    names = {one: two, two: one}
    return {names.get(name, name): tensor for name, tensor in tensors.items()}


REFUSED = {
    "one too many": (lambda g: g | {f"{BLOCK}.Extra.weight": torch.ones(3)}, r"joins stages 0 and 1.*Extra\.weight"),
    "outside": (lambda g: g | {"Model.Extra.weight": torch.ones(3)}, r"one tensor of each kind.*Extra\.weight"),
    "of a stage": (lambda g: g | {"Model.MainLayers.1.Scale": torch.ones(3)}, r"joins stages 0 and 1.*Scale"),
    "a filter": (lambda g: g | {"Model.MainLayers.1.TransitionLayer.Resampler.Kernel": torch.ones(1, 1, 4, 4)},
                 r"joins stages 0 and 1.*Kernel"),
    "a stage missing": (lambda g: {n: t for n, t in g.items() if "Layers.1.Tr" not in n and "MainLayers.1." not in n},
                        "not numbered one after the other.*MainLayers"),
    "biases swapped": (lambda g: swapped(g, f"{BLOCK}.NonLinearity1.Bias", f"{BLOCK}.NonLinearity2.Bias"),
                       "in this order"),
    "blocks that count back": (lambda g: {n.replace(".Layers.0", ".Layers.5"): t for n, t in g.items()}, "count back"),
    "a kernel of five": (lambda g: g | {f"{BLOCK}.LinearLayer2.Layer.weight": torch.ones(16, 4, 5, 5)},
                         "in this order"),
    "other biases": (lambda g: g | {f"{BLOCK}.NonLinearity1.Bias": torch.ones(3)}, "in this order"),
    "no numbers": (lambda g: {"a.b": torch.zeros(2)}, "not numbered"),
    "empty tensors": (lambda g: {n: t[:0] for n, t in g.items()}, "R3GAN"),
    "no image": (lambda g: {n: t for n, t in g.items() if "Aggregation" not in n}, "one tensor of each kind"),
    "no basis": (lambda g: {n: t for n, t in g.items() if not n.endswith(".Basis")}, "one tensor of each kind"),
    "another join": (lambda g: g | {f"{JOINT}.LinearLayer.Layer.weight": torch.ones(4, 4, 1, 1)},
                     "joins stages 1 and 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(tmp_path, name):
    change, told = REFUSED[name]
    with pytest.raises(DamagedError, match=told):
        read(snapshot(tmp_path / "g.pkl", change(files.r3_generator())))


def test_stages_of_several_forms(tmp_path):
    g = files.r3_generator(blocks=2)
    short = {name: tensor for name, tensor in g.items() if "MainLayers.2.Layers.1" not in name}
    with pytest.raises(DamagedError, match="different blocks"):
        read(snapshot(tmp_path / "g.pkl", short))


def test_a_discriminator_that_does_not_fit_is_left_out(tmp_path):
    d = {name: tensor for name, tensor in files.r3_discriminator().items() if "Basis" not in name}
    found = read(snapshot(tmp_path / "g.pkl", files.r3_generator(), d))
    assert found.discriminator is None
    assert found.generator is not None
    assert any("no discriminator: its discriminator is none of R3GAN's" in note for note in found.notes)
