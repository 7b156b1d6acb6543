import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

from organza.latent.curves import curve, slerp, spline


def test_an_arc_keeps_its_length_and_its_steps():
    a, b = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 3.0, 0.0])
    arc = slerp(a, b, 7)
    assert arc[0] == pytest.approx(a, abs=1e-6)
    assert arc[-1] == pytest.approx(b, abs=1e-6)
    assert arc.norm(dim=1) == pytest.approx(torch.full((7,), 3.0))
    steps = arc.diff(dim=0).norm(dim=1)
    assert steps == pytest.approx(torch.full((6,), float(steps[0])))


def test_lengths_change_evenly():
    arc = slerp(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0]), 3)
    assert arc.norm(dim=1).tolist() == pytest.approx([1, 2, 3])


@pytest.mark.parametrize("end", [[2.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]])
def test_noise_between_which_there_is_no_arc(end):
    found = slerp(torch.tensor([1.0, 0.0]), torch.tensor(end), 3)
    assert found.isfinite().all()
    assert found[0].tolist() == [1.0, 0.0]
    assert found[-1].tolist() == pytest.approx(end)


def test_one_step_is_no_way():
    with pytest.raises(ValueError, match="2 or more"):
        slerp(torch.ones(2), torch.ones(2), 1)


@pytest.mark.parametrize("count", [2, 3, 7])
@pytest.mark.parametrize("loop", [True, False])
def test_a_spline_is_scipys(count, loop):
    points = torch.randn(count, 2, 3, dtype=torch.float64)
    keys = torch.cat([points, points[:1]]) if loop else points
    oracle = CubicSpline(np.arange(len(keys)), keys.numpy(), bc_type="periodic" if loop else "natural")
    times = torch.linspace(0, len(keys) - 1, 41, dtype=torch.float64)
    np.testing.assert_allclose(spline(points, loop)(times).numpy(), oracle(times.numpy()), atol=1e-10)


@pytest.mark.parametrize("keep_length", [True, False])
def test_a_cubic_loop_closes_without_a_kink(keep_length):
    keys = torch.randn(5, 6, dtype=torch.float64)
    draw = curve(keys, "cubic", loop=True, keep_length=keep_length)
    step = 1e-4
    for key in range(6):  # 0 and 5 are the same place
        around = draw(torch.tensor([key - step, key, key + step], dtype=torch.float64).remainder(5))
        before, after = around.diff(dim=0) / step
        torch.testing.assert_close(around[1], keys[key % 5], rtol=0, atol=1e-12)
        assert (before - after).abs().max() < 0.05 < before.norm()
    assert not torch.allclose(curve(keys, "linear", loop=True)(torch.tensor([4.5])), keys[4])


def test_the_kink_of_a_straight_loop_would_be_seen():
    keys, step = torch.randn(5, 6, dtype=torch.float64), 1e-4
    around = curve(keys, "linear", loop=True)(torch.tensor([1 - step, 1, 1 + step], dtype=torch.float64))
    before, after = around.diff(dim=0) / step
    assert (before - after).abs().max() > 0.5


def test_noise_keeps_its_length_on_arcs_and_splines_and_not_on_lines():
    keys = torch.nn.functional.normalize(torch.randn(6, 40), dim=1) * 7
    times = torch.linspace(0, 5.99, 50)
    for way in ("slerp", "cubic"):
        lengths = curve(keys, way, loop=True, keep_length=True)(times).norm(dim=1)
        torch.testing.assert_close(lengths, torch.full((50,), 7.0), rtol=1e-4, atol=0)
    assert curve(keys, "linear", loop=True)(times).norm(dim=1).min() < 5.5
    assert curve(keys, "cubic", loop=True)(times).norm(dim=1).min() < 6.7


def test_arcs_go_around_their_centre():
    centre = torch.tensor([10.0, 0.0])
    keys = centre + torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = curve(keys, "slerp", loop=False, centre=centre)(torch.tensor([0.5]))[0]
    torch.testing.assert_close(found, centre + 0.5**0.5)


def test_an_open_curve_ends_with_its_last_key():
    keys = torch.randn(3, 4)
    for way in ("linear", "slerp", "cubic"):
        torch.testing.assert_close(curve(keys, way, loop=False)(torch.tensor([0.0, 1.0, 2.0])), keys)
        torch.testing.assert_close(curve(keys, way, loop=True)(torch.tensor([0.0, 1.0, 2.0])), keys)


def test_what_is_no_way():
    with pytest.raises(ValueError, match="did you mean 'slerp'"):
        curve(torch.zeros(3, 2), "slrp", loop=True)
    with pytest.raises(ValueError, match="give 2 seeds or more"):
        curve(torch.zeros(1, 2), "cubic", loop=True)
