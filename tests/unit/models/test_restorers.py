"""ESRGAN, SRGAN's generator and Real-ESRGAN's compact one: sizes, names, and an independent calculation of each."""

import pytest
import torch
from torch.nn import functional as F

from organza.config import ConfigError, Model
from organza.models import complete, esrgan, srgan, srvgg, translator

SOURCE = (3, 16, 16)


def target(scale, channels=3):
    return (channels, 16 * scale, 16 * scale)


def count(network):
    return sum(p.numel() for p in network.parameters())


def tiny(name, scale, **options):
    torch.manual_seed(0)
    sizes = {"esrgan": {"width": 4, "blocks": 2, "growth": 3}, "srgan": {"width": 4, "blocks": 2},
             "srvgg": {"width": 4, "depth": 2}}  # fmt: skip
    network = translator(Model(name=name, options=sizes[name] | options), SOURCE, target(scale))
    for p in network.parameters():  # large enough to be seen in the result
        torch.nn.init.normal_(p, 0, 0.2)
    return network.double()


@pytest.mark.parametrize(("module", "scale", "options", "numbers", "tensors"), [
    (esrgan, 4, {}, 16_697_987, 702), (esrgan, 2, {}, 16_703_171, 702), (esrgan, 1, {}, 16_723_907, 702),
    (esrgan, 4, {"blocks": 6}, 4_467_779, 192), (srvgg, 4, {}, 621_424, 53), (srvgg, 2, {}, 600_652, 53),
    (srvgg, 1, {}, 595_459, 53), (srvgg, 4, {"depth": 32}, 1_213_296, 101), (srgan, 2, {}, 1_369_859, 72),
    (srgan, 3, {}, 1_554_499, 72), (srgan, 4, {}, 1_517_571, 74),
])  # fmt: skip
def test_generators_have_the_published_sizes(module, scale, options, numbers, tensors):
    with torch.device("meta"):
        network = module.Generator(SOURCE, target(scale), **options)
    assert (count(network), len(network.state_dict())) == (numbers, tensors)
    assert (network.z_dim, network.classes, network.scale) == (0, 0, scale)
    assert network.multiple == ({4: 1, 2: 2, 1: 4}[scale] if module is esrgan else 1)


@pytest.mark.parametrize(("module", "side", "numbers"), [
    (esrgan, 128, 14_499_401), (esrgan, 256, 21_055_049), (srvgg, 256, 4_376_897),
])  # fmt: skip
def test_discriminators_have_the_published_sizes(module, side, numbers):
    with torch.device("cpu" if module is srvgg else "meta"):  # the first norm on meta imports for seconds
        assert count(module.Discriminator((3, side, side))) == numbers


def test_tensors_have_the_official_names():
    with torch.device("meta"):
        dense, compact = esrgan.Generator(SOURCE, target(4)), srvgg.Generator(SOURCE, target(4))
        residual, judge = srgan.Generator(SOURCE, target(4)), esrgan.Discriminator((3, 128, 128))
    shapes = {name: tuple(t.shape) for name, t in dense.state_dict().items()}
    assert list(shapes)[:3] == ["conv_first.weight", "conv_first.bias", "body.0.rdb1.conv1.weight"]
    assert shapes["body.22.rdb3.conv5.weight"] == (64, 192, 3, 3)
    assert list(shapes)[-10::2] == [f"conv_{n}.weight" for n in ("body", "up1", "up2", "hr", "last")]
    assert list(compact.state_dict())[::26] == ["body.0.weight", "body.17.weight", "body.34.bias"]
    assert tuple(compact.body[1].weight.shape) == (64,)
    assert {"body.15.conv2.bias", "upconv1.weight", "upconv2.weight", "conv_hr.weight"} <= residual.state_dict().keys()
    assert {"conv0_0.bias", "bn0_1.weight", "conv4_1.weight", "linear1.weight", "linear2.bias"} <= (
        judge.state_dict().keys()
    )
    assert "bn0_0.weight" not in judge.state_dict()
    assert "conv1_0.bias" not in judge.state_dict()


def conv(t, name, x):
    return F.conv2d(x, t[f"{name}.weight"], t[f"{name}.bias"], padding=1)


def leaky(x, slope=0.2):
    return torch.where(x > 0, x, slope * x)


def twice(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def dense_by_hand(t, x, fold):
    b, c, h, w = x.shape
    x = x.view(b, c, h // fold, fold, w // fold, fold).permute(0, 1, 3, 5, 2, 4).reshape(b, -1, h // fold, w // fold)
    first = y = conv(t, "conv_first", x)
    for i in range(2):
        start = y
        for j in (1, 2, 3):
            seen = [y]
            for k in (1, 2, 3, 4):
                seen.append(leaky(conv(t, f"body.{i}.rdb{j}.conv{k}", torch.cat(seen, 1))))
            y = y + 0.2 * conv(t, f"body.{i}.rdb{j}.conv5", torch.cat(seen, 1))
        y = start + 0.2 * y
    y = first + conv(t, "conv_body", y)
    y = leaky(conv(t, "conv_up2", twice(leaky(conv(t, "conv_up1", twice(y))))))
    return conv(t, "conv_last", leaky(conv(t, "conv_hr", y)))


def shuffled(x, by):
    b, c, h, w = x.shape
    y = torch.empty(b, c // by**2, h * by, w * by, dtype=x.dtype)
    for i in range(by):
        for j in range(by):
            y[:, :, i::by, j::by] = x[:, i * by + j :: by**2]
    return y


def residual_by_hand(t, x, steps, scale):
    y = leaky(conv(t, "conv_first", x), 0.1)
    for i in range(2):
        y = y + conv(t, f"body.{i}.conv2", conv(t, f"body.{i}.conv1", y).clamp(min=0))
    for i, step in enumerate(steps, 1):
        y = leaky(shuffled(conv(t, f"upconv{i}", y), step), 0.1)
    grown = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
    return conv(t, "conv_last", leaky(conv(t, "conv_hr", y), 0.1)) + grown


def compact_by_hand(t, x, factor):
    y = x
    for i in (0, 2, 4):
        y = conv(t, f"body.{i}", y)
        y = torch.where(y > 0, y, t[f"body.{i + 1}.weight"].view(1, -1, 1, 1) * y)
    return shuffled(conv(t, "body.6", y), factor) + x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


@pytest.mark.parametrize(("name", "scale", "by_hand"), [
    ("esrgan", 4, lambda t, x: dense_by_hand(t, x, 1)), ("esrgan", 2, lambda t, x: dense_by_hand(t, x, 2)),
    ("esrgan", 1, lambda t, x: dense_by_hand(t, x, 4)), ("srgan", 2, lambda t, x: residual_by_hand(t, x, (2,), 2)),
    ("srgan", 3, lambda t, x: residual_by_hand(t, x, (3,), 3)),
    ("srgan", 4, lambda t, x: residual_by_hand(t, x, (2, 2), 4)), ("srvgg", 4, lambda t, x: compact_by_hand(t, x, 4)),
    ("srvgg", 1, lambda t, x: compact_by_hand(t, x, 1)),
])  # fmt: skip
def test_the_result_is_that_of_the_formulas(name, scale, by_hand):
    network, x = tiny(name, scale), torch.rand(2, 3, 8, 12, dtype=torch.float64)
    with torch.no_grad():
        made = network(2 * x - 1)
    expected = 2 * by_hand(network.state_dict(), x) - 1
    assert made.shape == (2, 3, 8 * scale, 12 * scale)
    assert expected.std() > 0.1
    assert torch.allclose(made, expected, rtol=0, atol=1e-12)


def test_a_larger_shuffle_is_made_smaller():
    four, two, x = tiny("srvgg", 4), tiny("srvgg", 2, shuffle=4), torch.rand(1, 3, 8, 8, dtype=torch.float64) * 2 - 1
    two.load_state_dict(four.state_dict())
    expected = F.interpolate(four(x), (16, 16), mode="bicubic", align_corners=False)
    assert torch.allclose(two(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["esrgan", "srgan", "srvgg"])
def test_gradients_reach_every_parameter(name):
    network = tiny(name, 4)
    network(torch.rand(1, 3, 8, 8, dtype=torch.float64)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_the_compact_network_looks_18_pixels_far():
    torch.manual_seed(0)
    network = srvgg.Generator(SOURCE, target(1), width=3, depth=16).double()
    x = torch.rand(1, 3, 41, 41, dtype=torch.float64, requires_grad=True)
    for p in network.parameters():
        torch.nn.init.constant_(p, 0.3)
    network(x)[0, 0, 20, 20].backward()
    seen = x.grad[0, 0].abs() > 0
    assert seen[2:39, 2:39].all()
    assert int(seen.sum()) == 37**2


@pytest.mark.parametrize(("module", "side"), [(esrgan, 32), (srvgg, 24)])
def test_a_discriminator_judges_in_two_steps(module, side):
    torch.manual_seed(0)
    judge, x = module.Discriminator((3, side, side), width=4), torch.rand(2, 3, side, side) * 2 - 1
    judge.eval()
    logits = judge(x)
    assert logits.shape == ((2,) if module is esrgan else (2, side * side))
    assert torch.equal(logits, judge.logits(judge.features(x)))
    logits.sum().backward()
    assert all(p.grad is not None for p in judge.parameters())


def test_the_unets_features_are_all_its_layers():
    judge = srvgg.Discriminator((1, 16, 24), width=4)
    shapes = [tuple(f.shape[1:]) for f in judge.features(torch.zeros(1, 1, 16, 24))]
    assert shapes == [(4, 16, 24), (8, 8, 12), (16, 4, 6), (32, 2, 3), (16, 4, 6), (8, 8, 12), (4, 16, 24),
                      (4, 16, 24), (4, 16, 24)]  # fmt: skip
    normed = judge.conv1.weight.flatten(1)
    assert torch.linalg.matrix_norm(normed, 2) < 1.3  # one power iteration; 1 after many


@pytest.mark.parametrize(("make", "words"), [
    (lambda: esrgan.Generator(SOURCE, target(3)), "4 times"), (lambda: esrgan.Generator(SOURCE, (3, 64, 32)), "64x64"),
    (lambda: srgan.Generator(SOURCE, target(1)), "2 or 3 or 4"), (lambda: srvgg.Generator(SOURCE, target(5)), "128x"),
    (lambda: srvgg.Generator(SOURCE, target(4, 1)), "esrgan"), (lambda: srvgg.Generator(SOURCE, target(4), 3), "label"),
    (lambda: srvgg.Generator(SOURCE, target(4), shuffle=2), "shuffle is 2"),
    (lambda: esrgan.Generator((2,), (2,)), "image"),
    (lambda: esrgan.Discriminator((3, 100, 100)), "--data.resolution 128"),
    (lambda: esrgan.Discriminator((3, 128, 64)), "128x64"), (lambda: srvgg.Discriminator((3, 100, 64)), "96,64"),
    (lambda: srvgg.Discriminator((3, 64, 64), 2), "labels"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_with_what_to_type(make, words):
    with pytest.raises(ConfigError, match=words):
        make()


def test_options_come_from_the_catalogue():
    assert complete(Model(name="srvgg", options={}), "generator").options == {"width": 64, "depth": 16, "shuffle": 0}
    with pytest.raises(ConfigError, match="depth"):
        complete(Model(name="srvgg", options={"dept": 3}), "generator")


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("rows", [1, 63, 64, 65, 66, 130])
def test_without_gradients_bands_of_rows_give_the_same_numbers(scale, rows):
    network = tiny("esrgan", scale)
    source = torch.randn(2, 3, rows * network.multiple, 3 * network.multiple, dtype=torch.float64)
    with torch.no_grad():
        banded = network(source)
    torch.testing.assert_close(banded, network(source).detach(), rtol=1e-12, atol=1e-12)
