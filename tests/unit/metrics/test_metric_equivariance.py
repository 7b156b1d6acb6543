"""Equivariance of pictures that move exactly, of some that do not, and of StyleGAN3."""

import math

import pytest
import torch

from organza.config import ConfigError
from organza.metrics import equivariance as module
from organza.metrics.equivariance import decibels, equivariance, motions, of_waves, read, squared_errors
from organza.models import stylegan2, stylegan3

SIZE = (40, 48)
KINDS = ("integer", "fractional", "rotation")


def waves(matrices, frequency=0.1, exact=True):
    """Sums of waves drawn at the moved places themselves; not `exact`: the same picture whatever is asked."""
    height, width = SIZE
    rows, columns = (torch.arange(side, dtype=torch.float64) - (side - 1) / 2 for side in SIZE)
    here = torch.stack([columns.expand(height, -1), rows[:, None].expand(-1, width)], 2)
    back = torch.linalg.inv(matrices) if exact else torch.eye(3, dtype=torch.float64).expand_as(matrices)
    there = here.flatten(0, 1) @ back[:, :2, :2].mT + back[:, None, :2, 2]
    x, y = there.unflatten(1, SIZE).unbind(3)
    turn = 2 * math.pi * frequency
    return torch.stack([(turn * (x + 0.5 * y)).sin(), (turn * (0.3 * x - y)).cos()], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_moves_exactly_and_what_stays(kind):
    exact = equivariance(waves, 6, SIZE, kind)
    still = equivariance(lambda m: waves(m, exact=False), 6, SIZE, kind)
    assert exact > (200 if kind == "integer" else 65)
    assert 3 < still < 10  # two pictures of variance 1/2 that know nothing of each other have 6 dB


def test_frequencies_that_the_grid_cannot_hold_do_not_count():
    """A wave in the corner of the square of frequencies is read as nothing, which makes its turned copy no error."""
    for frequency, low, high in ((0.25, 0.45, 0.55), (0.7, 0.0, 0.01)):
        picture = waves(torch.eye(3, dtype=torch.float64)[None], frequency)[0]
        places = torch.tensor([[x / 3.0, y / 2.0] for x in range(-20, 21) for y in range(-20, 21)])
        assert low <= float(read(picture, places.double())[0].square().mean()) <= high, frequency


def test_reading_at_the_pixels_of_a_smooth_picture_is_the_picture():
    picture = waves(torch.eye(3, dtype=torch.float64)[None], 0.05)[0]
    places = torch.tensor([[-0.5, -0.5], [3.5, 2.5]]).double()  # sides are even: centres of pixels
    expected = torch.stack([picture[:, 19, 23], picture[:, 22, 27]], 1)
    torch.testing.assert_close(read(picture, places), expected, rtol=0, atol=2e-3)


def test_motions():
    whole, some, turned = (motions(2000, SIZE, kind) for kind in KINDS)
    assert torch.equal(whole[:, :2, 2], some[:, :2, 2].round())
    reach = some[:, :2, 2].abs().amax(0)
    assert 5.9 < reach[0] <= 6
    assert 4.9 < reach[1] <= 5
    torch.testing.assert_close(turned.det(), torch.ones(2000).double())
    torch.testing.assert_close(turned[:, :2, :2] @ turned[:, :2, :2].mT, torch.eye(2).double().expand(2000, 2, 2))
    assert (turned[:, 0, 0] < 0).float().mean() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(motions(3, SIZE, "rotation", 1), motions(3, SIZE, "rotation", 1))
    assert not torch.equal(motions(3, SIZE, "rotation", 1), motions(3, SIZE, "rotation", 2))


def test_whole_pixels_by_hand():
    random = torch.Generator().manual_seed(0)
    still, moved = torch.rand(2, 1, 1, 6, 5, generator=random).double()
    matrix = torch.eye(3).double()[None]
    matrix[0, :2, 2] = torch.tensor([2.0, -1.0])  # right and up
    found = squared_errors(lambda m: still if torch.equal(m[0], torch.eye(3).double()) else moved, matrix, "integer")
    inside = [(y, x) for y in range(6) for x in range(5) if 0 <= y + 1 < 6 and 0 <= x - 2 < 5]
    expected = sum((moved[0, 0, y, x] - still[0, 0, y + 1, x - 2]) ** 2 for y, x in inside) / len(inside)
    torch.testing.assert_close(found[0], expected)
    assert decibels(float(found[0])) == pytest.approx(10 * math.log10(4 / float(expected)))
    assert decibels(0.0) == math.inf
    assert decibels(0.04) == pytest.approx(20)


def network(**options):
    torch.manual_seed(0)
    made = stylegan3.Generator(
        (3, 32, 32), z_dim=8, w_dim=8, max_width=24, layers=6, margin=6, magnitude_decay=0.0, clamp=None, **options
    )
    with torch.no_grad():
        made.train()(torch.randn(4, 8))  # the magnitudes are measured
    return made.eval()


def of(generator, kind, count=3):
    codes = generator.broadcast(generator.mapping(torch.randn(count, 8))).detach()
    return equivariance(of_waves(generator, codes, (32, 32)), count, (32, 32), kind)


def test_untrained_networks_follow_what_they_are_made_for():
    """Both follow translations; R alone follows rotations."""
    t, r = network(width=12), network(width=24, kernel=1, radial=True)
    for generator in (t, r):
        assert 35 < of(generator, "integer") < 90
        assert 50 < of(generator, "fractional") < 100
    assert 10 < of(t, "rotation") < 35
    assert 50 < of(r, "rotation") < 100


def test_without_its_filters_a_network_follows_less(monkeypatch):
    generator = network(width=12)
    before = of(generator, "fractional")
    whole = stylegan3.filtered_leaky_relu

    def unfiltered(x, bias, enlarge, shrink, up, down, pads, **rest):
        shaped = whole(x, bias, enlarge, shrink, up, down, pads, **{**rest, "slope": 1.0})
        return torch.nn.functional.leaky_relu(shaped, rest["slope"])

    monkeypatch.setattr(stylegan3, "filtered_leaky_relu", unfiltered)
    assert of(generator, "fractional") < before - 10


def test_what_cannot_move_is_refused():
    other = stylegan2.Generator((3, 32, 32), z_dim=8, w_dim=8, width=2)
    with pytest.raises(ConfigError, match="stylegan3-t and -r"):
        of_waves(other, torch.zeros(1, other.num_ws, 8), (32, 32))
    with pytest.raises(ConfigError, match="at least 32"):
        equivariance(lambda m: torch.zeros(len(m), 1, 16, 16), 1, (16, 16), "rotation")
    with pytest.raises(ConfigError, match="number of samples is 0"):
        equivariance(waves, 0, SIZE, "integer")
    with pytest.raises(ConfigError, match="NaN"):
        equivariance(lambda m: torch.full((len(m), 1, 8, 8), math.nan), 1, (8, 8), "integer")
    assert module.PEAK == 2
