"""TensorFlow's StyleGAN2, rosinality's, and BigGAN: the same numbers as the published formulas, whatever the layout."""

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
from organza.training.checkpoint import DamagedError


@pytest.mark.parametrize(("case", "protocol"), [("skip", 2), ("skip", 4), ("resnet", 3), ("labels", 3)])
def test_tensorflow_tuples(tmp_path, case, protocol):
    arch, c = ("resnet" if case == "resnet" else "skip"), (3 if case == "labels" else 0)
    g, d = files.generator2(arch=arch, c=c), files.discriminator2(c=c)
    path = files.tf_pickle(tmp_path / "g.pkl", g, d, protocol)
    gan, t, z = organza.load(path), formulas.doubles(g), latents(range(3), 8)
    labels = torch.tensor([1, 0, 2]) if c else None
    told = torch.nn.functional.one_hot(labels, c).double() if labels is not None else None
    ws = formulas.codes(t, z.double(), told, 6, 0.7)
    space = LatentSpace(gan.generator)
    own = space.codes(z, labels, 0.7)
    near(own, ws)
    for noise in ("const", "none"):
        near(space.draw(own, noise=noise), formulas.synthesis2(t, ws, 16, arch, noise))
    x = torch.randn(4, 3, 16, 16)
    d_labels = torch.tensor([1, 0, 2, 2]) if c else None
    d_told = torch.nn.functional.one_hot(d_labels, c).double() if d_labels is not None else None
    near(judge(path)(x, d_labels).detach(), formulas.discriminator2(formulas.doubles(d), x.double(), d_told))
    found = read(path).generator
    assert found is not None
    for name, tensor in g.items():  # and the very tensors, so that --start has them
        if "resample_filter" not in name and "affine.bias" not in name:
            assert torch.equal(found.tensors[name], tensor), name


def test_older_tensorflow_networks_are_refused(tmp_path):
    with files.foreign_modules():
        import pickle

        for state, told in (({"version": 1}, "before 2"), ({"version": 3, "variables": []}, "older"), ({}, "version")):
            (tmp_path / "g.pkl").write_bytes(pickle.dumps((files.Network(state),) * 3))
            with pytest.raises(DamagedError, match=told):
                read(tmp_path / "g.pkl")
        inner = files.Network({"version": 3, "components": {}, "variables": []})
        inner.state["components"]["a"] = inner
        (tmp_path / "g.pkl").write_bytes(pickle.dumps((inner,) * 3))
        with pytest.raises(DamagedError):
            read(tmp_path / "g.pkl")


@pytest.mark.parametrize("form", ["converted", "trained", "old"])
def test_rosinality(tmp_path, form):
    g, d = files.generator2(w=8, res=32, base=128), files.discriminator2(res=32, base=128)
    path = files.rosinality(tmp_path / "g.pt", g, d, 32, form != "trained", form == "old", form == "trained")
    gan, t, z = organza.load(path), formulas.doubles(g), latents(range(3), 8)
    ws, space = formulas.codes(t, z.double(), None, 8), LatentSpace(gan.generator)
    near(space.codes(z), ws)
    for noise in ("const", "none"):
        near(space.draw(space.codes(z), noise=noise), formulas.synthesis2(t, ws, 32, noise=noise))
    x = torch.randn(4, 3, 32, 32)
    near(judge(path)(x).detach(), formulas.discriminator2(formulas.doubles(d), x.double()))
    found = read(path)
    assert found.generator is not None
    assert not found.generator.unknown
    average = found.generator.tensors["mapping.w_avg"]
    if form == "trained":  # a mean that the file has not
        many = formulas.mapping(t, torch.randn(4000, 8, dtype=torch.float64), None)
        assert (average - many.mean(0)).abs().max() < 6 * float(many.std(0).max()) / 4000**0.5
        assert any("no mean w" in note for note in found.notes)
        assert torch.equal(average, read(path).generator.tensors["mapping.w_avg"])  # type: ignore[union-attr]
    else:
        assert torch.equal(average, g["mapping.w_avg"])


@pytest.mark.parametrize("layers", [0, 8])
def test_the_generator_in_the_file_of_an_encoder(tmp_path, layers):
    """pSp and e4e keep rosinality's StyleGAN2 as `decoder`, and the mean w, for each of its layers or once."""
    g = files.generator2(w=8, res=32, base=128)
    average, encoder = g["mapping.w_avg"], {"encoder.input_layer.0.weight": torch.zeros(4, 3, 3, 3)}
    entries = {
        "state_dict": encoder | {f"decoder.{k}": v for k, v in files.rosinality_generator(g, 32).items()},
        "latent_avg": average.repeat(layers, 1) if layers else average,
        "opts": {"output_size": 32, "start_from_latent_avg": True},
    }
    torch.save(entries, tmp_path / "psp.pt")
    gan, t, z = organza.load(tmp_path / "psp.pt"), formulas.doubles(g), latents(range(3), 8)
    space = LatentSpace(gan.generator)
    near(space.draw(space.codes(z), noise="const"), formulas.synthesis2(t, formulas.codes(t, z.double(), None, 8), 32))
    found = read(tmp_path / "psp.pt")
    assert found.generator is not None
    assert torch.equal(found.generator.tensors["mapping.w_avg"], average)
    assert not found.generator.unknown
    assert found.kind == "StyleGAN2 of a pSp or e4e encoder's file"
    assert any("encoder is left out; organza project" in note for note in found.notes)
    entries["state_dict"].pop("decoder.input.input")
    torch.save(entries, tmp_path / "broken.pt")
    with pytest.raises(DamagedError, match="none of the GANs that are read"):
        read(tmp_path / "broken.pt")


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_biggan(tmp_path, old, prefix):
    g, d = files.big_generator(), files.big_discriminator()
    path = files.state(tmp_path / "G_ema.pth", {prefix + name: tensor for name, tensor in g.items()}, old)
    gan, z, labels = organza.load(path), latents(range(3), 9), torch.tensor([3, 0, 1])
    near(gan.generator(z, labels).detach(), formulas.big_generator(formulas.doubles(g), z.double(), labels, 2))
    assert (gan.z_dim, len(gan.classes), gan.shape) == (9, 4, (3, 16, 16))
    x = torch.randn(3, 3, 16, 16)
    path = files.state(tmp_path / "D.pth", d, old)
    near(judge(path)(x, labels).detach(), formulas.big_discriminator(formulas.doubles(d), x.double(), labels))
    with pytest.raises(DamagedError, match=r"no generator.*--start"):
        organza.load(path)


@pytest.mark.parametrize("attended", [1, None])
def test_biggan_deep(tmp_path, attended):
    g, d = files.deep_generator(attended=attended), files.deep_discriminator(attended=attended)
    gan = organza.load(files.state(tmp_path / "G.pth", g))
    z, labels = latents(range(3), 6), torch.tensor([3, 0, 1])
    near(gan.generator(z, labels).detach(), formulas.deep_generator(formulas.doubles(g), z.double(), labels, 2))
    x = torch.randn(3, 3, 16, 16)
    path = files.state(tmp_path / "D.pth", d)
    near(judge(path)(x, labels).detach(), formulas.deep_discriminator(formulas.doubles(d), x.double(), labels))


def test_a_saved_model_keeps_the_normed_weights(tmp_path):
    """What hub.save writes needs no power iteration, and gives the same pictures."""
    from organza.hub import save

    gan = organza.load(files.state(tmp_path / "G.pth", files.big_generator()))
    save(gan, tmp_path / "model", "card")
    assert torch.equal(organza.load(tmp_path / "model").sample(4), gan.sample(4))
    norms = [torch.linalg.matrix_norm(t.flatten(1), 2) for name, t in gan.generator.state_dict().items()
             if name.endswith("conv1.weight")]  # fmt: skip
    assert all(1 <= norm < 3 for norm in norms)  # one power iteration from a random u finds less than the norm


def test_bigger_forms_that_are_refused(tmp_path):
    g = files.big_generator()
    for change, told in (
        ({"blocks.1.0.conv1.weight": g["blocks.1.0.conv1.weight"][:, :3]}, "other shapes|does not fit"),
        ({"linear.weight": torch.ones(256, 9)}, "equal parts"),
        ({"linear.u0": torch.zeros(1, 3)}, "another length"),
        ({"shared.weight": None}, "tables of classes"),
        ({f"blocks.1.1.{k[11:]}": v[:8, :8] if v.dim() > 1 else v for k, v in g.items() if "blocks.0.1." in k},
         "on one"),
    ):  # fmt: skip
        tensors = {name: tensor for name, tensor in {**g, **change}.items() if tensor is not None}
        with pytest.raises(DamagedError, match=told):
            read(files.state(tmp_path / "G.pth", tensors))


def test_other_pickles_are_told_apart(tmp_path):
    torch.save({"g": {"feat_8.1.weight": torch.zeros(3)}, "d": {}}, tmp_path / "fastgan.pth")
    with pytest.raises(DamagedError, match=r"none of the GANs that are read.*2 entries \(g, d\)"):
        read(tmp_path / "fastgan.pth")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(DamagedError, match="a list"):
        read(tmp_path / "list.pt")
    with pytest.raises(DamagedError, match="class Other is no StyleGAN2 or 3"):
        read(files.snapshot(tmp_path / "eg3d.pkl", ("Other", {"a.b": torch.zeros(2)}, {})))
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing.pkl")
