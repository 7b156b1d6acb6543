import math

import pytest
import torch
from torch import nn

from organza.config import EMA, Schedule
from organza.training.ema import averaged_copy, update, weight_of_new
from organza.training.schedule import value_at


@pytest.mark.parametrize(
    ("shape", "images", "expected"),
    [
        ("linear", 0, 2.0), ("linear", 25, 1.5), ("linear", 50, 1.0), ("linear", 100, 0.0), ("linear", 10**9, 0.0),
        ("cosine", 0, 2.0), ("cosine", 50, 1.0), ("cosine", 100, 0.0), ("cosine", 10**9, 0.0),
        ("cosine", 25, 1 + math.cos(math.pi / 4)),
    ],
)  # fmt: skip
def test_schedules(shape, images, expected):
    assert value_at(Schedule(start=2.0, end=0.0, images=100, shape=shape), images) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_schedules_run_between_their_ends_without_turning(shape):
    schedule = Schedule(start=0.1, end=0.9, images=100, shape=shape)
    values = [value_at(schedule, images) for images in range(101)]
    assert values == sorted(values)
    assert (values[0], values[-1]) == pytest.approx((0.1, 0.9))
    assert value_at(Schedule(start=1.0, end=3.0, images=0, shape=shape), 0) == 3.0
    assert value_at(0.25, 77) == 0.25


@pytest.mark.parametrize("batch", [1, 8, 100, 250, 1000])
def test_half_life_is_exact_for_any_batch(batch):
    model = nn.Linear(3, 2)
    nn.init.zeros_(model.weight)
    average = averaged_copy(model)
    with torch.no_grad():
        average.weight.fill_(1.0)
    config = EMA(half_life=1000.0, ramp=None)
    for step in range(1000 // batch):
        update(average, model, weight_of_new(config, (step + 1) * batch, batch))
    torch.testing.assert_close(average.weight, torch.full((2, 3), 0.5), rtol=0, atol=1e-5)


def test_weight_of_new():
    assert weight_of_new(EMA(half_life=0.0, ramp=None), 500, 64) == 1
    assert weight_of_new(EMA(half_life=64.0, ramp=None), 500, 64) == pytest.approx(0.5)
    assert weight_of_new(EMA(half_life=1e9, ramp=0.05), 1000, 50) == pytest.approx(0.5)  # half-life 5 % of 1000
    assert weight_of_new(EMA(half_life=10.0, ramp=0.05), 1000, 10) == pytest.approx(0.5)  # the ramp is over
    moving = EMA(half_life=Schedule(start=0.0, end=100.0, images=100, shape="linear"), ramp=None)
    assert weight_of_new(moving, 50, 50) == pytest.approx(0.5)
    assert weight_of_new(moving, 0, 64) == 1


def test_buffers_are_averaged_or_copied():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = averaged_copy(model)
    assert not average.training
    assert not any(p.requires_grad for p in average.parameters())
    assert all(p.requires_grad for p in model.parameters())
    before = {name: tensor.clone() for name, tensor in average.state_dict().items()}
    model(torch.randn(16, 2) * 3 + 5)
    with torch.no_grad():
        model[0].weight.add_(1)
    update(average, model, 0.25)
    for name, tensor in average.state_dict().items():
        new = model.state_dict()[name]
        expected = new if name.endswith("num_batches_tracked") else before[name].lerp(new, 0.25)
        torch.testing.assert_close(tensor, expected)
        assert tensor.data_ptr() != new.data_ptr()
    assert average[1].num_batches_tracked == 1
    assert not torch.equal(average[1].running_mean, before["1.running_mean"])


def test_weight_one_copies():
    model, average = nn.Linear(2, 2), averaged_copy(nn.Linear(2, 2))
    update(average, model, 1.0)
    assert torch.equal(average.weight, model.weight)
