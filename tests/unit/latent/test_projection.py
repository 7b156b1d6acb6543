import numpy as np
import pytest
import torch
from editing_helpers import tiny
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from organza.config import ConfigError
from organza.data.progress import SILENT
from organza.hub import load, save
from organza.latent.codes import load_code, save_code
from organza.latent.perceptual import open_distance
from organza.latent.priors import length_penalty, noise_penalty
from organza.latent.projection import Fit, _search, project, rate
from organza.latent.sampling import latents
from organza.latent.space import LatentSpace
from organza.latent.target import target_of
from organza.latent.tuning import card, tune


def own(gan, seed=5, label=None):
    """A sample before it is rounded and cut off."""
    return gan.generator(latents([seed], gan.z_dim), None if label is None else torch.tensor([label]))[0]


@pytest.fixture(scope="module")
def gan():
    return tiny("stylegan2", shape=(3, 16, 16), mixing=0.0)


@pytest.fixture(scope="module")
def in_w(gan):
    return project(gan, own(gan), space="w", steps=50)


def test_its_own_sample_is_found_again(gan, in_w):
    assert in_w.distances[0] > 1
    assert 0 < in_w.distance < in_w.distances[0] / 20
    assert in_w.codes.shape == (1, gan.generator.num_ws, 8)
    assert torch.equal(in_w.codes[:, :1].expand_as(in_w.codes), in_w.codes)
    redrawn = LatentSpace(gan.generator).draw(in_w.codes, noise=list(in_w.noise))[0]
    assert redrawn.sub(in_w.image if in_w.image.is_floating_point() else own(gan)).abs().mean() < 0.2
    assert in_w.frames.shape == (50, 3, 16, 16)
    assert len(in_w.distances) == 50
    assert (in_w.space, in_w.perceptual, in_w.label) == ("w", "general", None)


def test_a_w_for_each_layer_comes_closer_to_a_foreign_picture(gan):
    ramp = torch.linspace(0, 255, 16).expand(3, 16, 16).to(torch.uint8)
    one, many = (project(gan, ramp, space=space, steps=25, perceptual="pixels") for space in ("w", "w+"))
    assert many.distance < 0.95 * one.distance
    assert float((many.codes - many.codes[:, :1]).abs().max()) > 0.01
    assert torch.equal(many.target, ramp)
    assert many.image.dtype == torch.uint8


def test_a_seed_decides_and_another_one_differs(gan):
    one, same, other = (project(gan, own(gan), steps=3, seed=seed, perceptual="pixels") for seed in (1, 1, 2))
    assert torch.equal(one.codes, same.codes)
    assert one.distances == same.distances
    assert not torch.equal(one.codes, other.codes)


@pytest.mark.parametrize(("name", "classes"), [("sngan", ()), ("stylegan2", ()), ("dcgan", ("a", "b", "c"))])
def test_z_is_found_and_stays_as_long_as_noise(name, classes):
    gan = tiny(name, classes)
    if name == "dcgan":
        for weight in gan.generator.parameters():
            weight.mul_(8)  # its start is so small that all samples are alike
    label = 2 if classes else None
    found = project(gan, own(gan, 7, label), space="z", steps=40, perceptual="pixels")
    assert found.distance < 0.6 * found.distances[0] + 1e-3
    assert found.label == label  # found, where it was not told
    if name != "stylegan2":
        assert 0.4 < float(found.codes.norm()) / gan.z_dim**0.5 < 1.8
    redrawn = LatentSpace(gan.generator).draw(found.codes, None if label is None else torch.tensor([label]))
    assert float((redrawn[0] - own(gan, 7, label)).abs().mean()) < 0.5


def test_a_point_is_projected_by_its_distance():
    gan = tiny("mlp", shape=(2,), norm="none")
    found = project(gan, own(gan, 3), steps=60)
    assert found.perceptual == "pixels"
    assert float((found.image - own(gan, 3)).norm()) < 0.1
    with pytest.raises(ConfigError, match="points of 2 numbers"):
        project(gan, "x.png")


def test_noise_maps_are_kept_white(gan):
    random = torch.Generator().manual_seed(0)
    white = [torch.randn(1, 1, 64, 64, generator=random) for _ in range(4)]
    ones = torch.ones(1, 1, 16, 16)
    stripes = torch.cat([ones[..., :8], -ones[..., 8:]], 3)
    assert float(noise_penalty(white)) / 4 < 0.1  # 2 / 64 at 8x8, and little at the others
    assert float(noise_penalty([ones])) == pytest.approx(2 * 1 + 2 * 2**4)  # at 16 and, doubled, at 8
    assert float(noise_penalty([stripes])) > 10
    noisy = tiny("stylegan2", shape=(3, 16, 16))
    for name, weight in noisy.generator.named_parameters():
        if name.endswith("noise_strength"):
            weight.fill_(0.5)
    found = project(noisy, own(noisy), steps=5)
    before = _search(noisy, "w", 0, None).noise
    assert [part.shape for part in found.noise] == [part.shape for part in before]
    for part, old in zip(found.noise, before, strict=True):
        assert float((part - old).abs().max()) > 1e-3
        assert float(part.mean()) == pytest.approx(0, abs=1e-5)
        assert float(part.square().mean()) == pytest.approx(1, abs=1e-4)


def test_the_length_of_noise_is_likeliest_where_it_is():
    z = torch.ones(1, 1, 9) * (8 / 9) ** 0.5
    assert float(length_penalty(z)) == pytest.approx(0, abs=1e-6)
    for factor in (0.5, 2.0):
        expected = (8 * (factor**2 - 1) / 2 - 8 * np.log(factor)) / 9
        assert float(length_penalty(z * factor)) == pytest.approx(expected, rel=1e-5)
    assert float(length_penalty(torch.tensor([[[3.0]]]))) == pytest.approx(4.5)


def test_the_learning_rate_rises_and_falls():
    rates = [rate(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(1 / 50)
    assert rates[49:750] == pytest.approx([1.0] * 701)
    assert rates[875] == pytest.approx(0.5)
    assert rates[999] < 1e-4


class NoDoubles(TorchDispatchMode):
    """A device without float64."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        doubles = [x for x in tree_leaves(made) if isinstance(x, torch.Tensor) and x.dtype == torch.float64]
        assert not doubles, func
        return made


@pytest.mark.parametrize("space", ["w+", "z"])
def test_no_float64_is_needed(gan, space):
    target = target_of(own(gan), gan.shape, SILENT)
    search, distance = _search(gan, space, 0, None), open_distance("general", gan.shape)
    with pytest.raises(AssertionError), NoDoubles():
        torch.zeros(2, dtype=torch.float64)
    with NoDoubles():
        fit = Fit(distance, distance.look(target), 2, 1e5, SILENT)
        fit.run(search)


def test_tuning_comes_nearer_and_leaves_others_nearly_alone(gan):
    ramp = torch.linspace(0, 255, 16).expand(3, 16, 16).to(torch.uint8)
    found = project(gan, ramp, steps=5)
    before = {name: tensor.clone() for name, tensor in gan.generator.state_dict().items()}
    tuned, free = (tune(gan, found, 12, lr=5e-3, locality=weight) for weight in (1.0, 0.0))
    assert all(torch.equal(tensor, before[name]) for name, tensor in gan.generator.state_dict().items())
    distance, wanted = open_distance("general", gan.shape), target_of(ramp, gan.shape, SILENT)

    def far(one):
        return float(distance(LatentSpace(one.generator).draw(found.codes), wanted))

    def strayed(one):
        return float((one.sample(6, seed=50).float() - gan.sample(6, seed=50).float()).abs().mean())

    assert far(tuned) < 0.8 * far(gan)
    assert far(free) < 0.8 * far(gan)
    assert 0 < strayed(tuned) < 0.85 * strayed(free)
    mapping, same = tuned.generator.mapping.state_dict(), gan.generator.mapping.state_dict()
    assert all(torch.equal(mapping[name], same[name]) for name in same)
    with pytest.raises(ConfigError, match="project the picture with this GAN first"):
        tune(tiny("dcgan"), found)


def test_a_tuned_gan_is_saved_and_loaded(tmp_path):
    gan = tiny("biggan", ("a", "b"))
    found = project(gan, gan.sample(1, labels=1)[0], steps=2, label="b")
    assert found.label == 1
    tuned = tune(gan, found, 2)
    save(tuned, tmp_path / "model", card(gan, 2))
    again = load(tmp_path / "model")
    assert torch.equal(again.sample(2, seed=1), tuned.sample(2, seed=1))
    assert again.training["tuned"]["steps"] == 2


def test_a_picture_of_another_size_is_cut_resized_and_told_of(gan, tmp_path, listener):
    pixels = np.zeros((20, 40, 4), np.uint8)
    pixels[:, 10:30] = (255, 0, 0, 255)  # what is left of the centre; the rest is transparent
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = project(gan, tmp_path / "a.png", steps=1, perceptual="pixels", progress=listener)
    assert found.target.shape == (3, 16, 16)
    assert found.target[:, 2:-2, 2:-2].float().mean((1, 2)) == pytest.approx(torch.tensor([255.0, 0, 0]), abs=3)
    assert listener.notes == [
        "a.png (40x20) was made RGB of RGBA and cut at the centre and resized to 16x16, as the samples of this GAN are"
    ]
    assert listener.steps[-1] == ("projecting into w", 1, 1)
    listener.notes.clear()
    project(gan, torch.zeros(3, 16, 16, dtype=torch.uint8), steps=1, perceptual="pixels", progress=listener)
    assert listener.notes == []


def test_what_cannot_be_projected_is_told(gan, tmp_path):
    (tmp_path / "no.png").write_bytes(b"no picture")
    picture = own(gan)
    for change, words in (
        ({"space": "x"}, "space is 'x'"), ({"steps": 0}, "steps is 0"), ({"label": 1}, "unconditional"),
        ({"image": tmp_path / "no.png"}, "cannot be read"), ({"image": picture[:2]}, "samples' shape"),
        ({"image": picture * torch.nan}, "NaN"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            project(gan, **({"image": picture} | change))
    with pytest.raises(ConfigError, match=r"no w\+; type --space z"):
        project(tiny("dcgan"), torch.zeros(1, 16, 16), space="w+")
    with pytest.raises(FileNotFoundError, match="no picture"):
        project(gan, tmp_path / "none.png")


def test_codes_in_files(gan, in_w, tmp_path):
    ours, theirs = save_code(in_w, tmp_path)
    latent = LatentSpace(gan.generator)
    code = load_code(tmp_path, latent)
    assert torch.equal(code.codes, in_w.codes)
    assert all(torch.equal(a, b) for a, b in zip(code.noise, in_w.noise, strict=True))
    with np.load(theirs, allow_pickle=False) as arrays:
        assert arrays["w"].shape == (1, gan.generator.num_ws, 8)
    assert torch.equal(load_code(theirs, latent).codes, in_w.codes)
    np.savez(tmp_path / "one.npz", w=np.ones((1, 1, 8)))
    assert load_code(tmp_path / "one.npz", latent).codes.shape == in_w.codes.shape
    np.savez(tmp_path / "pickle.npz", w=np.array([{}], dtype=object))
    for bad, words in (("pickle.npz", "holds no code"), ("wide.npz", "another one")):
        np.savez(tmp_path / "wide.npz", w=np.ones((1, 1, 9)))
        with pytest.raises(ConfigError, match=words):
            load_code(tmp_path / bad, latent)
    with pytest.raises(ConfigError, match="another one"):
        load_code(ours, LatentSpace(tiny("dcgan").generator))
    conditional = tiny("biggan", ("a", "b"))
    found = project(conditional, conditional.sample(1)[0], steps=1, label="b", perceptual="pixels")
    files = save_code(found, tmp_path)
    assert [file.name for file in files] == ["code.safetensors", "projected_z.npz"]
    for file, label in zip(files, (1, None), strict=True):
        again = load_code(file, LatentSpace(conditional.generator))
        assert torch.equal(again.codes, found.codes)
        assert again.label == label
