import numpy as np
import pytest
import torch
from engine_helpers import CPU, SHAPE, small_store

from organza.config import ConfigError, Data
from organza.data.store import ImageStore
from organza.layers.minibatch import minibatch_deviation
from organza.training.batches import Batches, to_bytes, to_range

PARTS = ("real", "labels", "z", "mix")


def numbered(count: int) -> ImageStore:
    """Images whose every pixel is the number of their row."""
    values = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2).contiguous()
    return ImageStore("numbered", values, torch.arange(count), tuple(map(str, range(count))))


def batches(store=None, size=8, seed=0, **options) -> Batches:
    return Batches(store or small_store(), size, 4, CPU, seed=seed, labels=True, **options)


def rows_of(source: Batches, count: int) -> list[int]:
    drawn = [source.next() for _ in range(count)]
    rows = torch.cat([batch.real[:, 0, 0, 0] for batch in drawn]).int().tolist()
    assert rows == torch.cat([batch.labels for batch in drawn]).tolist()  # labels stay with their images
    return rows


@pytest.mark.parametrize(("count", "size"), [(37, 8), (8, 8), (3, 8), (40, 8), (1, 4)])
def test_every_epoch_holds_every_row_once(count, size):
    rows = rows_of(batches(numbered(count), size), 3 * count)
    epochs = [rows[start : start + count] for start in range(0, 3 * size * count, count)]
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
    if count == 37:
        assert epochs[0] != epochs[1] != epochs[2]
        assert epochs[0] != list(range(count))


def test_the_seed_decides():
    one, two, other = (batches(numbered(37), seed=seed) for seed in (5, 5, 6))
    a, b, c = one.next(), two.next(), other.next()
    assert all(torch.equal(getattr(a, part), getattr(b, part)) for part in PARTS)
    assert not any(torch.equal(getattr(a, part), getattr(c, part)) for part in PARTS)
    again = one.next()
    assert not any(torch.equal(getattr(a, part), getattr(again, part)) for part in PARTS)


@pytest.mark.parametrize("before", [0, 1, 4, 5, 9, 23])
def test_restart_anywhere(before):
    source = batches(data=Data(flip=True))
    for _ in range(before):
        source.next()
    state = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in source.state().items()}
    expected = [source.next() for _ in range(6)]
    for fresh in (batches(data=Data(flip=True)), source):
        fresh.restore(state)
        for batch in expected:
            again = fresh.next()
            assert all(torch.equal(getattr(batch, part), getattr(again, part)) for part in PARTS)


@pytest.mark.parametrize("world", [2, 4])
def test_processes_together_see_what_one_would(world):
    alone = batches(data=Data(flip=True))
    ranks = [batches(data=Data(flip=True), rank=rank, world=world) for rank in range(world)]
    for _ in range(12):
        whole, shares = alone.next(), [source.next() for source in ranks]
        for part in PARTS:
            dealt = torch.stack([getattr(share, part) for share in shares], 1)
            assert torch.equal(dealt.flatten(0, 1), getattr(whole, part))
            assert len(getattr(shares[0], part)) == 8 // world


@pytest.mark.parametrize(("world", "parts"), [(2, 1), (1, 2), (2, 2)])
def test_samples_that_are_compared_with_one_another_come_together(world, parts):
    """The groups of the minibatch deviation are those of the whole batch, in every process and micro-batch."""
    whole = minibatch_deviation(batches(size=16).next().real)[:, -1, 0, 0]
    micro = [part for rank in range(world) for part in batches(size=16, rank=rank, world=world).next().split(parts)]
    found = torch.cat([minibatch_deviation(part.real)[:, -1, 0, 0] for part in micro])
    torch.testing.assert_close(found.sort().values, whole.sort().values)
    assert len(whole.unique()) == 4


def test_random_numbers_of_another_device_are_refused():
    source = batches()
    with pytest.raises(ConfigError, match="another kind of device"):
        source.restore({"drawn": 8, "noise": torch.zeros(16, dtype=torch.uint8)})  # CUDA's state has 16 bytes


def test_flip_mirrors_about_half():
    slope = torch.arange(4, dtype=torch.uint8).expand(1000, 1, 3, 4).contiguous()
    store = ImageStore("slope", slope)
    source = Batches(store, 100, 4, CPU, seed=0, data=Data(flip=True))
    drawn = torch.cat([source.next().real for _ in range(20)])
    usual, mirrored = to_range(slope)[:1], to_range(slope)[:1].flip(-1)
    is_usual = (drawn == usual).flatten(1).all(1)
    assert ((drawn == mirrored).flatten(1).all(1) ^ is_usual).all()
    assert 0.44 < is_usual.double().mean() < 0.56  # 2000 coins: 5 standard deviations
    plain = Batches(store, 100, 4, CPU, seed=0)
    assert all((plain.next().real == usual).all() for _ in range(3))


def test_noise_is_standard_normal_and_mix_uniform():
    source = Batches(numbered(4), 500, 40, CPU, seed=0)
    batch = source.next()
    assert abs(batch.z.mean()) < 0.03
    assert 0.97 < batch.z.std() < 1.03
    assert 0 <= batch.mix.min() < 0.02 < 0.98 < batch.mix.max() < 1
    assert batch.labels is None


def test_ranges():
    grey = torch.tensor([0, 255, 128], dtype=torch.uint8).view(3, 1, 1, 1)
    assert to_range(grey).flatten().tolist() == pytest.approx([-1, 1, 128 / 127.5 - 1], abs=1e-6)
    deep = torch.tensor([0, 65535], dtype=torch.uint16).view(2, 1, 1, 1)
    assert to_range(deep).flatten().tolist() == pytest.approx([-1, 1])
    points = torch.randn(5, 2)
    assert to_range(points) is points
    assert to_range(torch.zeros(2, *SHAPE, dtype=torch.uint8)).is_contiguous(memory_format=torch.channels_last)


def test_bytes_as_the_stylegan_family_writes_them():
    x = np.linspace(-1.5, 1.5, 10_001, dtype=np.float32)
    expected = np.clip(x * np.float32(127.5) + np.float32(128), 0, 255).astype(np.uint8)
    made = to_bytes(torch.from_numpy(x).view(1, 1, 73, 137))
    assert made.dtype == torch.uint8
    assert np.array_equal(made.numpy().ravel(), expected)
    assert to_bytes(torch.tensor([-1.0, -1.01, 0.0, 0.999, 1.0, 9.0])).tolist() == [0, 0, 128, 255, 255, 255]


def test_bytes_come_back():
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(to_bytes(to_range(every)), every)


def test_splitting_keeps_all_rows():
    batch = batches().next()
    parts = batch.split(4)
    assert [len(part.real) for part in parts] == [2] * 4
    for name in PARTS:
        dealt = torch.stack([getattr(part, name) for part in parts], 1)
        assert torch.equal(dealt.flatten(0, 1), getattr(batch, name))
    assert all(part.real.is_contiguous(memory_format=torch.channels_last) for part in parts)
    unlabelled = Batches(small_store(), 8, 4, CPU, seed=0).next().split(2)
    assert [part.labels for part in unlabelled] == [None, None]
