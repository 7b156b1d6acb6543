"""Real-ESRGAN's degradation and the holes of inpainting: their shares, ranges and sizes."""

import math

import pytest
import torch

from organza.config import ConfigError
from organza.data import holes, kernels, real_esrgan
from organza.data.degrade import DEGRADATIONS, degradation
from organza.draws import Draws
from organza.layers.lab import rgb_to_lab

MANY = 2_000


def draws(count, first=0):
    return Draws(torch.arange(first, first + count) * 7919 + 13)


def near(share, expected, count=MANY):
    """Within three deviations of a share."""
    assert abs(share - expected) < 3 * math.sqrt(expected * (1 - expected) / count), (share, expected)


def photographs(count=6, height=64, width=64):
    """Soft shapes and edges in [-1, 1]."""
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(torch.rand(count, 3, 6, 6), (height, width), mode="bicubic").clamp(0, 1)
    return (x + 0.2 * (x > 0.6)).clamp(0, 1) * 2 - 1


def test_shares_and_ranges_of_the_kernels():
    drawn = kernels.draw(draws(MANY), (0.2, 3.0))
    near((drawn.kind == kernels.SINC).float().mean().item(), 0.1)
    for number, share in enumerate(kernels.SHARES):
        near((drawn.kind == number).float().mean().item(), 0.9 * share)
    assert math.isclose(sum(kernels.SHARES), 1)
    for size in kernels.SIZES:
        near((drawn.size == size).float().mean().item(), 1 / 8)
    assert 0.2 <= drawn.deviation.min() < 0.25
    assert 2.95 < drawn.deviation.max() <= 3
    even = drawn.kind % 2 == 0
    assert torch.equal(drawn.deviation[even, 0], drawn.deviation[even, 1])
    assert (drawn.deviation[~even, 0] != drawn.deviation[~even, 1]).all()
    assert drawn.turn[~even].abs().max() > 3
    for number, low, high in ((2, 0.5, 4.0), (4, 1.0, 2.0)):
        beta = drawn.beta[drawn.kind == number]
        assert low <= beta.min() < low + 0.2
        assert high - 0.2 < beta.max() <= high
        if low < 1:
            near((beta > 1).float().mean().item(), 0.5, len(beta))
    small, cut = drawn.size < 13, drawn.cutoff
    assert math.pi / 3 <= cut[small].min()
    assert math.pi / 5 <= cut[~small].min() < math.pi / 3
    assert cut.max() <= math.pi


def test_kernels_add_to_one_and_are_symmetric():
    drawn = kernels.draw(draws(200), (0.2, 3.0))
    made = kernels.kernels(drawn)
    assert made.shape == (200, 21, 21)
    torch.testing.assert_close(made.sum((1, 2)), torch.ones(200), rtol=0, atol=1e-4)
    torch.testing.assert_close(made, made.flip(1, 2), rtol=1e-3, atol=1e-5)
    assert (made[drawn.kind != kernels.SINC] >= 0).all()
    assert (made[drawn.kind == kernels.SINC].flatten(1).amin(1) < 0).all()
    for number in range(20):
        reach = int(drawn.size[number]) // 2
        ring = made[number].clone()
        ring[10 - reach : 11 + reach, 10 - reach : 11 + reach] = 0
        assert not ring.any()


def recipe(kind, **changed):
    one = {"size": torch.tensor([21]), "deviation": torch.tensor([[2.0, 1.0]]), "turn": torch.tensor([0.5]),
           "beta": torch.tensor([1.7]), "cutoff": torch.tensor([1.5])}  # fmt: skip
    return kernels.Recipe(torch.tensor([kind]), **(one | changed))


@pytest.mark.parametrize("kind", range(7))
def test_kernels_are_the_formulas(kind):
    found, expected = kernels.kernels(recipe(kind))[0].double(), torch.zeros(21, 21).double()
    cos, sin = math.cos(0.5), math.sin(0.5)
    turn = torch.tensor([[cos, -sin], [sin, cos]]).double()
    inverse = torch.linalg.inv(turn @ torch.diag(torch.tensor([4.0, 1.0])).double() @ turn.T)
    for row in range(21):
        for column in range(21):
            v = torch.tensor([column - 10.0, row - 10.0]).double()
            q, r = float(v @ inverse @ v), float(v.norm())
            if kind < 2:
                expected[row, column] = math.exp(-q / 2)
            elif kind < 4:
                expected[row, column] = math.exp(-(q**1.7) / 2)
            elif kind < 6:
                expected[row, column] = 1 / (1 + q**1.7)
            else:
                wave = torch.special.bessel_j1(torch.tensor(1.5 * r).double())
                expected[row, column] = 1.5 * wave / (2 * math.pi * r) if r else 1.5**2 / (4 * math.pi)
    torch.testing.assert_close(found, expected / expected.sum(), rtol=1e-3, atol=1e-5)


def test_a_share_of_the_last_filters_does_nothing():
    made = kernels.final_sinc(draws(MANY))
    near((made[:, 10, 10] == 1).float().mean().item(), 0.2)
    torch.testing.assert_close(made.sum((1, 2)), torch.ones(MANY), rtol=0, atol=1e-4)


@pytest.mark.parametrize("mean", [0.05, 1.0, 9.0, 12.0, 90.0])
def test_poisson_numbers_have_their_mean_and_variance(mean):
    uniform = draws(1).uniform("x", 40_000)[0]
    found = real_esrgan.poisson(torch.full_like(uniform, mean), uniform)
    assert torch.equal(found, found.round())
    assert abs(found.mean().item() - mean) < 4 * math.sqrt(mean / 40_000)
    assert abs(found.var().item() / mean - 1) < 0.06
    if mean < 5:
        near((found == 0).float().mean().item(), math.exp(-mean), 40_000)


def test_noise_has_its_kinds_and_strengths():
    flat = torch.zeros(MANY, 3, 6, 6)
    noise = real_esrgan.noisy(flat, draws(MANY), real_esrgan.FIRST)
    alike = (noise[:, 0] == noise[:, 1]).flatten(1).all(1)
    near(alike.float().mean().item(), real_esrgan.GREY_NOISE)
    deviation = noise.flatten(1).std(1) * 127.5
    assert deviation.quantile(0.02) > 0.5
    flat_gaussian = draws(MANY).uniform("noise/kind") < 0.5
    near(flat_gaussian.float().mean().item(), 0.5)
    assert 13 < deviation[flat_gaussian].mean() < 17  # uniform from 1 to 30
    assert deviation[~flat_gaussian].mean() > 30  # a flat image has one level: few counts, coarse grains
    assert noise.abs().max() <= 1


@pytest.mark.parametrize("of", [real_esrgan.FIRST, real_esrgan.SECOND])
def test_shares_of_the_sizes(of):
    factors = torch.tensor([real_esrgan.factor_of(draws(1, number), of) for number in range(MANY)])
    near((factors > 1).float().mean().item(), of.resize[0])
    near((factors < 1).float().mean().item(), of.resize[1])
    near((factors == 1).float().mean().item(), of.resize[2])
    assert math.isclose(sum(of.resize), 1)
    assert of.factors[0] <= factors.min() < of.factors[0] + 0.02
    assert of.factors[1] - 0.02 < factors.max() <= of.factors[1]


@pytest.mark.parametrize(("name", "scale"), [("real-esrgan", 4), ("real-esrgan-x2", 2)])
def test_pictures_get_worse_but_stay_themselves(name, scale):
    x = photographs()
    made = torch.cat([degradation(name).make(x, draws(6, 6 * number)) for number in range(4)])
    assert made.shape == (24, *degradation(name).shape((3, 64, 64)))
    assert -1 <= made.min() < made.max() <= 1
    levels = (made + 1) * 127.5
    assert (levels - levels.round()).abs().max() < 1e-3
    clean = torch.nn.functional.avg_pool2d(x, scale).repeat(4, 1, 1, 1)
    errors = (made - clean).square().flatten(1).mean(1) / 4
    psnr = -10 * errors.log10()
    assert 10 < psnr.min() < 20
    assert 15 < psnr.median() < 32
    assert psnr.max() < 45
    again = degradation(name).make(x, draws(6))
    assert torch.equal(again, made[:6])
    alone = degradation(name).make(x[4:5], draws(6).within(slice(4, 5)))
    torch.testing.assert_close(alone, made[4:5], rtol=0, atol=1.01 / 127.5)  # a level, where sums round otherwise
    assert not torch.equal(degradation(name).make(x, draws(6, 100)), again)


def test_grey_pictures_and_refusals_of_restoration():
    made = degradation("real-esrgan").make(photographs(2)[:, :1, :40, :48], draws(2))
    assert made.shape == (2, 1, 10, 12)
    see_through = torch.cat([photographs(2), photographs(4)[2:, :1]], 1)
    made = degradation("real-esrgan").make(see_through, draws(2))
    assert torch.equal(made[:, :3], degradation("real-esrgan").make(see_through[:, :3], draws(2)))
    assert torch.equal(made[:, 3:], torch.nn.functional.avg_pool2d(see_through[:, 3:], 4))
    with pytest.raises(ConfigError, match="1, 3 or 4 channels, not 2"):
        degradation("real-esrgan").make(torch.zeros(1, 2, 16, 16), draws(1))
    for name in ("real-esrgan", "bicubic-x4", "x4"):
        with pytest.raises(ConfigError, match=r"sides that 4 divides, not 18x16.*--data\.resolution 16"):
            degradation(name).make(torch.zeros(1, 3, 18, 16), draws(1))


def test_bicubic_halves_a_ramp_and_keeps_what_is_flat():
    ramp = torch.linspace(-0.9, 0.9, 32).expand(1, 1, 32, 32)
    made = degradation("bicubic-x4").make(ramp, draws(1))
    assert made.shape == (1, 1, 8, 8)
    torch.testing.assert_close(made[0, 0, 4, 2:6], ramp[0, 0, 0].view(8, 4).mean(1)[2:6], rtol=0, atol=1e-3)


def test_lightness_is_that_of_the_colours():
    x = photographs(2, 16, 16)
    grey = degradation("lightness").make(x, draws(2))
    assert grey.shape == (2, 1, 16, 16)
    found = rgb_to_lab(grey.expand(-1, 3, -1, -1))[:, :1]
    torch.testing.assert_close(found, rgb_to_lab(x)[:, :1], rtol=0, atol=0.02)
    assert torch.equal(degradation("lightness").make(grey, draws(2)), grey)


HOLES = ("hole", "strokes", "hole-or-strokes", "box-and-strokes")


@pytest.mark.parametrize("name", HOLES)
def test_holes_are_marked_and_grey(name):
    x = torch.full((40, 3, 48, 64), 0.5)
    made = degradation(name).make(x, draws(40))
    assert made.shape == (40, *DEGRADATIONS[name].shape((3, 48, 64))) == (40, 4, 48, 64)
    inside = made[:, 3] > 0
    assert set(made[:, 3].unique().tolist()) == {-1.0, 1.0}
    assert (made[:, :3].movedim(1, -1)[inside] == 0).all()
    assert (made[:, :3].movedim(1, -1)[~inside] == 0.5).all()
    share = inside.flatten(1).float().mean(1)
    assert share.min() > 0
    assert share.max() < 0.98
    assert 0.04 < share.mean() < 0.5
    assert share.unique().numel() > 20
    assert torch.equal(degradation(name).make(x[:5], draws(5)), made[:5])


def test_boxes_keep_their_margin_and_their_sizes():
    mask = holes.boxes(256, 256, draws(300))[:, 0]
    assert not mask[:, :10].any()
    assert not mask[:, :, -10:].any()
    single = holes.boxes(256, 256, draws(300), most=1)[:, 0]
    tall, wide = single.any(2).sum(1), single.any(1).sum(1)
    assert torch.equal(single.flatten(1).sum(1), tall * wide)
    for side in (tall, wide):
        assert 30 <= side.min() < 34
        assert 146 < side.max() <= 150
    one = holes.box(256, 256, draws(300))[:, 0]
    assert 96 <= one.any(2).sum(1).min() <= one.any(2).sum(1).max() <= 128


def test_strokes_are_as_wide_as_they_are_drawn():
    """A straight line of 20 pixels' width covers its length times 20, and a round end on each side."""
    start, end = torch.tensor([[30.0, 20.0]]), torch.tensor([[60.0, 60.0]])
    mask = holes._stroke(start, end, torch.tensor([20.0]), 96, 96)
    assert abs(int(mask.sum()) - (50 * 20 + math.pi * 100)) < 25
    assert mask[0, 0, 45, 40]
    assert not mask[0, 0, 45 + 9, 40 - 9 * 3 // 4 - 6]
    dot = holes._stroke(start, start, torch.tensor([0.1]), 96, 96)
    assert dot.sum() == 1


def test_either_takes_both_kinds():
    mask, box = holes.either(64, 64, draws(200)), holes.boxes(64, 64, draws(200))
    boxed = (mask == box).flatten(1).all(1)
    near(boxed.float().mean().item(), 0.5, 200)
    brushed = (mask == holes.scrawl(64, 64, draws(200).other("scrawl"))).flatten(1).all(1)
    assert (boxed | brushed).all()
