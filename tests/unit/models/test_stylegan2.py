"""StyleGAN2's networks against a straight-line reference, in float64, with every variant of figure 7."""

import pytest
import style_reference as reference
import torch
from style_reference import random, shaken
from torch.autograd import gradgradcheck

from organza.config import ConfigError
from organza.draws import Draws, keys_of
from organza.models.stylegan2 import Discriminator, Generator

B, Z, W = 4, 5, 6
ARCHS = ["skip", "resnet", "orig"]
LABELS = torch.tensor([2, 0, 1, 2])
SIZES = {(3, 16, 16): ["b4", "b8", "b16"], (1, 24, 16): ["b6", "b12", "b24"], (5, 8, 28): ["b14", "b28"]}


def maker(shape=(3, 16, 16), classes=0, **changes) -> Generator:
    torch.manual_seed(0)
    options = {"z_dim": Z, "w_dim": W, "mapping_layers": 2, "width": 3, "max_width": 8, **changes}
    return shaken(Generator(shape, classes, **options))


def judge(shape=(3, 16, 16), classes=0, **changes) -> Discriminator:
    torch.manual_seed(1)
    options = {"width": 3, "max_width": 8, "mapping_layers": 2, "group": 2, **changes}
    return shaken(Discriminator(shape, classes, **options))


def tensors(network) -> dict:
    return {name: tensor.detach() for name, tensor in network.state_dict().items()}


def test_published_parameter_counts():
    with torch.device("meta"):
        networks = Generator((3, 1024, 1024)), Discriminator((3, 1024, 1024))
    assert [sum(p.numel() for p in network.parameters()) for network in networks] == [30_370_060, 29_012_513]
    assert networks[0].num_ws == 18
    assert [networks[0].synthesis.get_submodule(f"b{2**k}").conv1.weight.shape[0] for k in range(5, 11)] == [
        512, 512, 256, 128, 64, 32,
    ]  # fmt: skip


def test_names_and_shapes_of_the_official_files():
    """The table of keys: constant, convolutions, noise, filters, affine maps, colours."""
    found = {name: tuple(t.shape) for name, t in maker((3, 16, 16), 4, width=2, max_width=8).state_dict().items()}
    assert found["mapping.w_avg"] == (W,)
    assert found["mapping.embed.weight"] == (W, 4)
    assert found["mapping.fc0.weight"] == (W, Z + W)
    assert found["synthesis.b4.const"] == (8, 4, 4)
    assert not any(name.startswith("synthesis.b4.conv0") for name in found)
    layer = {
        "weight": (4, 8, 3, 3), "noise_strength": (), "noise_const": (8, 8), "bias": (4,), "resample_filter": (4, 4),
        "affine.weight": (8, W), "affine.bias": (8,),
    }  # fmt: skip
    assert {name.removeprefix("synthesis.b8.conv0."): shape for name, shape in found.items() if "b8.conv0" in name} == (
        layer
    )
    assert found["synthesis.b16.torgb.weight"] == (3, 2, 1, 1)
    assert found["synthesis.b16.torgb.affine.bias"] == (2,)
    for arch in ("resnet", "orig"):
        names = maker(arch=arch).state_dict().keys()
        assert [name for name in names if name.endswith("torgb.bias")] == ["synthesis.b16.torgb.bias"]
        skips = [name for name in names if "skip" in name]
        parts = [f"synthesis.b{r}.skip.{t}" for r in (8, 16) for t in ("weight", "resample_filter")]
        assert skips == (parts if arch == "resnet" else [])


def test_names_and_shapes_of_the_official_discriminator():
    found = {name: tuple(t.shape) for name, t in judge(classes=4, width=2).state_dict().items()}
    assert found["b16.fromrgb.weight"] == (2, 3, 1, 1)
    assert found["b16.skip.weight"] == (4, 2, 1, 1)
    assert "b16.skip.bias" not in found
    assert "b8.fromrgb.weight" not in found
    assert found["b4.conv.weight"] == (8, 9, 3, 3)
    assert found["b4.fc.weight"] == (8, 8 * 16)
    assert found["b4.out.weight"] == (8, 8)
    assert found["mapping.embed.weight"] == (8, 4)
    assert "mapping.w_avg" not in found
    assert tuple(judge().state_dict()["b4.out.weight"].shape) == (1, 8)
    assert "b4.fromrgb.weight" in judge(arch="skip").state_dict()


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("clamp", [None, 1.5])
def test_generator(arch, shape, clamp):
    network = maker(shape, 3, arch=arch, clamp=clamp).eval()
    with torch.no_grad():
        network.mapping.w_avg.copy_(random(W, seed=5))
    t, z = tensors(network), random(B, Z)
    w = reference.mapping(t, "mapping", z, LABELS)
    ws = network.mapping.truncated(network.broadcast(w), 0.7, 3)
    pulled = t["mapping.w_avg"] + 0.7 * (w - t["mapping.w_avg"])
    assert ws.shape == (B, network.num_ws, W)
    torch.testing.assert_close(ws[:, :3], pulled[:, None].expand(-1, 3, -1))
    for noise in ("const", "none"):
        expected = reference.synthesis2(t, SIZES[shape], ws, arch, noise, clamp)
        assert expected.shape == (B, *shape)
        assert expected.std() > 0.1
        torch.testing.assert_close(network.synthesis(ws, noise), expected, rtol=1e-6, atol=1e-6)
    expected = reference.synthesis2(t, SIZES[shape], network.broadcast(w), arch, "const", clamp)
    torch.testing.assert_close(network(z, LABELS), expected, rtol=1e-6, atol=1e-6)
    assert (expected.abs().max() == clamp) if clamp and arch == "orig" else True


@pytest.mark.parametrize("arch", ARCHS)
def test_every_layer_takes_its_own_w_and_its_own_noise(arch):
    network = maker(arch=arch)
    ws = random(B, network.num_ws, W)
    pictures = [random(B, 1, side, side, seed=side + i) for i, side in enumerate((4, 8, 8, 16, 16))]
    expected = reference.synthesis2(tensors(network), SIZES[3, 16, 16], ws, arch, pictures)
    torch.testing.assert_close(network.synthesis(ws, pictures), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(network.synthesis(ws[:, 0]), network.synthesis(network.broadcast(ws[:, 0])))


def test_training_draws_noise_and_styles_from_z_alone():
    network = maker(mixing=0.9).train()
    z = random(B, Z)
    made = network(z)
    order = torch.tensor([3, 1])
    torch.testing.assert_close(network(z[order]), made[order])
    codes = network.styles(z)
    assert torch.equal(made, network.synthesis(codes, "random", Draws(keys_of(z))))
    assert not torch.allclose(made, network.synthesis(codes, "const"))
    assert not torch.allclose(network(z + 1e-3), made, atol=0.05)  # other bits: other noise


def test_the_mean_of_w_moves_in_training_alone():
    network, z = maker(mixing=0.0), random(B, Z)
    network.eval()(z)
    assert not network.mapping.w_avg.any()
    network.train()(z)
    torch.testing.assert_close(network.mapping.w_avg, 0.002 * network.mapping(z).detach().mean(0))


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize(("classes", "clamp"), [(0, None), (3, 1.5)])
def test_discriminator(arch, shape, classes, clamp):
    network = judge(shape, classes, arch=arch, clamp=clamp)
    x, labels = random(B, *shape), LABELS if classes else None
    expected = reference.logits2(tensors(network), SIZES[shape][::-1], x, labels, arch, 2, clamp)
    assert expected.std() > 1e-2
    torch.testing.assert_close(network(x, labels), expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(network.logits(network.features(x, labels), labels), expected, rtol=1e-6, atol=1e-6)


def test_groups_of_the_minibatch_are_half_a_batch_apart():
    network, x = judge(group=2), random(B, 3, 16, 16)
    moved = x.clone()
    moved[3] += 1
    changed = (network(moved) - network(x)).abs() > 1e-9
    assert changed.tolist() == [False, True, False, True]
    with pytest.raises(ConfigError, match="--batch 8"):
        judge(group=4)(random(6, 3, 16, 16))


@pytest.mark.parametrize("arch", ARCHS)
def test_second_derivatives_of_the_discriminator(arch):
    network = judge((1, 8, 8), arch=arch, width=2, max_width=2)
    x = random(2, 1, 8, 8).requires_grad_()
    assert gradgradcheck(lambda v: network(v), x, fast_mode=True)


@pytest.mark.parametrize("arch", ARCHS)
def test_second_derivatives_of_the_synthesis(arch):
    network = maker((1, 8, 8), arch=arch, width=2, max_width=2, w_dim=2)
    ws = random(1, network.num_ws, 2).requires_grad_()
    assert gradgradcheck(lambda v: network.synthesis(v, "const"), ws, fast_mode=True)


@pytest.mark.parametrize("arch", ARCHS)
def test_every_parameter_learns(arch):
    generator, discriminator = maker(classes=3, arch=arch).train(), judge(classes=3, arch=arch)
    discriminator(generator(random(B, Z), LABELS), LABELS).square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name


def test_what_cannot_be_is_refused():
    with pytest.raises(ConfigError, match=r"mixing is 1\.5"):
        maker(mixing=1.5)
    for network in (maker, judge):
        with pytest.raises(ConfigError, match="cannot be halved"):
            network((3, 15, 16))
        with pytest.raises(ConfigError, match="makes images"):
            network((2,))


def test_a_fresh_network_begins_quietly():
    """Unit variance in every layer: pictures of a spread about 1, no noise yet, styles around 1."""
    torch.manual_seed(0)
    network = Generator((3, 32, 32), z_dim=64, w_dim=64, width=16, max_width=64).eval()
    made = network(torch.randn(16, 64))
    assert 0.3 < made.std() < 5
    assert all(not p.any() for name, p in network.named_parameters() if name.endswith("noise_strength"))
    assert all(torch.equal(p, torch.ones_like(p)) for n, p in network.named_parameters() if n.endswith("affine.bias"))
    ws = network.broadcast(network.mapping(torch.randn(2, 64)))
    torch.testing.assert_close(network.synthesis(ws, "const"), network.synthesis(ws, "none"))
