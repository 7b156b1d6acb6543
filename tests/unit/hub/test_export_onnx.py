"""ONNX files are equal to PyTorch, for every generator of the catalogue, and whoever changes one is found out."""

import itertools
import json

import numpy as np
import pytest
import torch
from export_helpers import VARIANTS, noise, tiny

from organza.config import Codes, ConfigError
from organza.hub.export import ParityError, export
from organza.latent.space import LatentSpace

onnx = pytest.importorskip("onnx", reason="the extra export is not installed")
pytest.importorskip("onnxscript", reason="the extra export is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the extra export is not installed")


def session(path):
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def must_equal(gan, path, batches=(1, 3, 5), start=10) -> np.ndarray:
    """Compare with the generator itself, on seeds; the last samples."""
    run = session(path)
    for batch in batches:
        z = noise(gan, range(start, start + batch))
        labels = np.arange(batch) % 3
        feeds = {"z": z} | ({"label": labels} if gan.classes else {})
        with torch.no_grad():
            wanted = gan.generator(torch.from_numpy(z), torch.from_numpy(labels) if gan.classes else None).numpy()
        found = run.run(None, feeds)[0]
        assert found.dtype == np.float32
        assert found.shape == (batch, *gan.shape)
        assert np.abs(found - wanted).max() < 1e-4 * max(1, np.abs(wanted).max())
        if batch > 1:
            assert np.abs(found - found[:1]).max() > 1e-3  # samples that are all alike would prove nothing
    return found


@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "projected"])
def test_every_generator_of_the_catalogue(variant, tmp_path):
    gan = tiny(variant)
    done = export(gan, tmp_path / "gan.onnx")
    must_equal(gan, done.path)
    assert 0 <= done.difference < 1e-4
    assert done.inputs[:2] == ("z", "label")
    assert [file.name for file in tmp_path.iterdir()] == ["gan.onnx"]


def test_projected_gan_has_the_generator_of_fastgan():
    assert type(tiny("projected").generator) is type(tiny("fastgan").generator)


def test_without_classes(tmp_path):
    gan = tiny("dcgan", classes=0, shape=(3, 20, 12))  # no square
    done = export(gan, tmp_path / "gan.onnx")
    must_equal(gan, done.path)
    assert done.inputs == ("z",)
    (taken,) = session(done.path).get_inputs()
    assert (taken.name, taken.shape) == ("z", ["batch", gan.z_dim])


def test_points_and_the_codes_of_an_infogan(tmp_path):
    gan = tiny("mlp", classes=0, shape=(2,), codes=Codes(categorical=(3,), continuous=1))
    must_equal(gan, export(gan, tmp_path / "gan.onnx").path)
    assert session(tmp_path / "gan.onnx").get_outputs()[0].name == "points"
    with pytest.raises(ConfigError, match="points have no pixels"):
        export(gan, tmp_path / "gan.onnx", pixels=True)


@pytest.mark.parametrize("variant", ["stylegan2", "stylegan-xl"])
def test_psi_is_for_the_layers_up_to_the_cutoff(variant, tmp_path):
    gan = tiny(variant)
    space, run = LatentSpace(gan.generator), session(export(gan, tmp_path / "gan.onnx").path)
    for batch in (1, 3, 5):
        z, label = noise(gan, range(batch)), np.arange(batch) % 3
        feeds, seen = {"z": z, "label": label, "truncation": np.array(0.3, np.float32)}, []
        for cutoff in (0, 1, space.layers - 1, space.layers):
            found = run.run(None, feeds | {"cutoff": np.array(cutoff)})[0]
            wanted = space.draw(
                space.codes(torch.from_numpy(z), torch.from_numpy(label), psi=0.3, cutoff=cutoff)
            ).numpy()
            assert np.abs(found - wanted).max() < 1e-4
            seen.append(found)
        assert all(np.abs(one - two).max() > 1e-3 for one, two in itertools.pairwise(seen))
        assert np.array_equal(run.run(None, feeds)[0], seen[-1])  # left out, it is all of them


@pytest.mark.parametrize("variant", ["stylegan2", "stylegan3"])
def test_truncation_noise_and_transform_are_inputs(variant, tmp_path):
    gan = tiny(variant, classes=0)
    done = export(gan, tmp_path / "gan.onnx")
    space, run, z = LatentSpace(gan.generator), session(done.path), noise(gan, range(4))
    random = np.random.RandomState(0)
    shapes = {value.name: value.shape for value in run.get_overridable_initializers()}
    assert shapes.keys() == set(done.optional) == set(done.inputs) - {"z"}
    given = {"transform": random.randn(1, 3, 3).astype(np.float32)} if variant == "stylegan3" else {
        name: random.randn(rows, 1, *shapes[name][2:]).astype(np.float32)
        for name, rows in zip([f"noise_{i}" for i in range(len(shapes) - 2)], [4, 1, 1, 4, 4], strict=True)
    }  # fmt: skip
    for psi in (0.0, 0.4, 1.3):
        codes = space.codes(torch.from_numpy(z), psi=psi)
        found = run.run(None, {"z": z, "truncation": np.array(psi, np.float32)})[0]
        assert np.abs(found - space.draw(codes).numpy()).max() < 1e-4
        assert (np.abs(found[1:] - found[:1]).max() > 1e-3) == (psi > 0)
    changed = run.run(None, {"z": z, "truncation": np.array(1.3, np.float32), **given})[0]
    assert np.abs(changed - found).max() > 1e-3
    more = {name: torch.from_numpy(value) for name, value in given.items()}
    more = {"noise": [picture.expand(4, -1, -1, -1) for picture in more.values()]} if variant == "stylegan2" else more
    assert np.abs(changed - space.draw(codes, **more).numpy()).max() < 1e-4


def test_a_growing_network_is_exported_as_it_stands(tmp_path):
    gan = tiny("progan", classes=0, fade=100, stable=100)
    gan.generator.advance(150)  # half of level 1
    assert gan.generator.growth.stage() == (1, 0.5)
    young = must_equal(gan, export(gan, tmp_path / "gan.onnx").path)
    gan.generator.advance(1000)
    with torch.no_grad():
        assert np.abs(gan.generator(torch.from_numpy(noise(gan, range(10, 15)))).numpy() - young).max() > 1e-2


def test_bytes_are_those_of_sample(tmp_path):
    gan = tiny("dcgan", classes=0)
    export(gan, tmp_path / "gan.onnx", pixels=True)
    found = session(tmp_path / "gan.onnx").run(None, {"z": noise(gan, range(7))})[0]
    wanted = gan.sample(7).numpy()
    assert found.dtype == np.uint8
    difference = np.abs(found.astype(int) - wanted.astype(int))
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.99
    assert wanted.std() > 1


def test_the_file_says_what_it_is_and_no_path(tmp_path):
    training = {"data": {"name": "/home/ann/cats", "licence": "CC BY 4.0"}, "licence": "MIT"}
    export(tiny("mlp", training=training), tmp_path / "gan.onnx")
    model = onnx.load(tmp_path / "gan.onnx")
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert (about["recipe"], about["data"], about["data_licence"], about["licence"]) == (
        "mlp", "cats", "CC BY 4.0", "MIT",
    )  # fmt: skip
    assert json.loads(about["classes"]) == ["a", "b", "c"]
    assert "RandomState(s)" in about["seeds"]
    assert model.opset_import[0].version >= 18
    assert not [found for found in (b"/home", str(tmp_path).encode(), b".py") if found in model.SerializeToString()]


def test_a_file_that_differs_is_not_kept(tmp_path):
    (tmp_path / "gan.onnx").write_text("the old file")
    with pytest.raises(ParityError, match=r"differs from PyTorch by .*at a batch of \d \(allowed: "):
        export(tiny("stylegan2", classes=0, max_width=4), tmp_path / "gan.onnx", tolerance=1e-12)
    assert [file.name for file in tmp_path.iterdir()] == ["gan.onnx"]
    assert (tmp_path / "gan.onnx").read_text() == "the old file"


def test_exporting_leaves_the_gan_as_it_was(tmp_path):
    gan = tiny("mlp", classes=0)
    gan.generator.train().requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in gan.generator.state_dict().items()}
    export(gan, tmp_path / "new" / "gan.onnx")
    assert gan.generator.training
    assert all(parameter.requires_grad for parameter in gan.generator.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in gan.generator.state_dict().items())
