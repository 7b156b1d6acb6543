"""Random numbers that belong to samples: their distribution, their independence, and that they never change."""

import itertools
import math
import zlib

import pytest
import torch
from scipy import stats

from organza.draws import Draws, keys

CPU = torch.device("cpu")
MANY = 20_000
GOLDEN = {  # of the samples 100 and 101 of a run with seed 42
    "keys": [-8637163847174651278, -3064474051137574543],
    "uniform": [[0.572882354259491, 0.7988131046295166], [0.08407682180404663, 0.07485336065292358]],
    "below": [572, 84],
    "other": [0.6165959239006042, 0.5622762441635132],
    "normal": [[0.33491548895835876, 0.09430382400751114], [-1.6764843463897705, -0.7558376789093018]],
}
CHANCE = 1e-3  # below this p-value a fixed seed would have been unlucky by one in a thousand


def draws(count: int = MANY, seed: int = 0, first: int = 0) -> Draws:
    return Draws(keys(seed, first, slice(0, count), CPU))


def correlation(one: torch.Tensor, two: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1])


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_uniform_numbers_are_uniform(seed, shape):
    found = draws(seed=seed).uniform("a", *shape)
    assert found.shape == (MANY, *shape)
    assert found.dtype == torch.float32
    assert 0 <= found.min() < 1e-3
    assert 1 - 1e-3 < found.max() < 1
    for column in found.view(MANY, -1).T:
        assert stats.kstest(column.numpy(), "uniform").pvalue > CHANCE


def test_rows_and_columns_are_uniform_together():
    """All numbers of few samples, as of an image's noise, and pairs of neighbours in a grid of 8 x 8 cells."""
    few = draws(4).uniform("a", 3, 64, 64)
    assert stats.kstest(few.flatten().numpy(), "uniform").pvalue > CHANCE
    wide = draws(MANY).uniform("a", 2)
    for one, two in ((wide[:, 0], wide[:, 1]), (wide[:-1, 0], wide[1:, 0])):
        cells = torch.bincount((one * 8).long() * 8 + (two * 8).long(), minlength=64)
        assert stats.chisquare(cells.numpy()).pvalue > CHANCE


@pytest.mark.parametrize("seed", [0, 7])
def test_normal_numbers_are_normal(seed):
    found = draws(seed=seed).normal("a", 2)
    assert found.shape == (MANY, 2)
    assert torch.isfinite(found).all()
    for column in found.T:
        assert stats.kstest(column.numpy(), "norm").pvalue > CHANCE
        assert 3.5 < column.abs().max() < 6.0
    assert abs(correlation(found[:, 0], found[:, 1])) < 4 / math.sqrt(MANY)


def test_whole_numbers_below_a_limit_are_equally_frequent():
    found = draws().below("a", 7)
    assert found.dtype == torch.int64
    assert stats.chisquare(torch.bincount(found, minlength=7).numpy()).pvalue > CHANCE
    assert found.max() == 6
    assert draws().below("a", 1, 2).eq(0).all()


def test_names_share_no_number():
    mine = draws()
    ways = [mine.uniform("a"), mine.uniform("b"), mine.other("a").uniform("a"), mine.other("b").uniform("a")]
    ways += [mine.uniform("a", 3)[:, 1], draws(seed=1).uniform("a"), draws(first=MANY).uniform("a")]
    for one, two in itertools.combinations(ways, 2):
        assert abs(correlation(one, two)) < 4 / math.sqrt(MANY)
        assert (one == two).float().mean() < 1e-3
    square = [mine.normal("a"), mine.normal("b"), mine.other("a").normal("a")]
    for one, two in itertools.combinations(square, 2):
        assert abs(correlation(one.square(), two.square())) < 4 / math.sqrt(MANY)


def test_rows_share_no_number():
    one, two = draws(2).uniform("a", MANY)
    assert abs(correlation(one, two)) < 4 / math.sqrt(MANY)
    assert abs(correlation(one[1:], one[:-1])) < 4 / math.sqrt(MANY)


def test_the_same_name_gives_the_same_numbers_whoever_asks_and_when():
    one, two = draws(8), draws(8)
    two.normal("x", 5)
    assert torch.equal(one.uniform("a", 3, 4), two.uniform("a", 3, 4))
    assert torch.equal(one.other("b").normal("a", 2), two.other("b").normal("a", 2))
    assert torch.equal(one.uniform("a", 3, 4).flatten(1), one.uniform("a", 12))  # the shape moves no number
    assert torch.equal(one.uniform("a", 5), one.uniform("a", 12)[:, :5])


def test_a_row_knows_nothing_of_its_batch():
    """Slices of a batch, in any order, draw what the whole draws: micro-batches, processes, replays."""
    whole, order = draws(12), torch.tensor([7, 0, 11, 3])
    for name in ("uniform", "normal"):
        all_rows = getattr(whole, name)("a", 3)
        assert torch.equal(getattr(whole.within(slice(4, 9)), name)("a", 3), all_rows[4:9])
        assert torch.equal(getattr(Draws(whole.keys[order]), name)("a", 3), all_rows[order])
    assert torch.equal(whole.within(slice(4, 9)).other("b").below("a", 9), whole.other("b").below("a", 9)[4:9])


def test_keys_are_of_samples_and_never_come_twice():
    batches = [keys(5, first, slice(0, 1000), CPU) for first in range(0, 50_000, 1000)]
    assert len(torch.cat(batches).unique()) == 50_000
    whole, second_half = keys(5, 3000, slice(0, 1000), CPU), keys(5, 3000, slice(500, 1000), CPU)
    assert torch.equal(whole[500:], second_half)
    assert torch.equal(keys(5, 3500, slice(0, 500), CPU), second_half)
    assert torch.equal(keys(5, 3000, slice(1, 1000, 3), CPU), whole[1::3])
    seeds = torch.cat([keys(seed, 0, slice(0, 1000), CPU) for seed in range(50)])
    assert len(seeds.unique()) == 50_000


def test_neighbouring_seeds_share_no_sample():
    """The keys of one seed are not those of the next one, moved by some samples."""
    one, two = (set(keys(seed, 0, slice(0, 20_000), CPU).tolist()) for seed in (0, 1))
    assert not one & two


def test_the_numbers_of_a_run_never_change():
    """Golden values: another stream would make every seed of a user another run."""
    mine = draws(2, seed=42, first=100)
    assert mine.keys.tolist() == GOLDEN["keys"]
    assert mine.uniform("a", 2).tolist() == GOLDEN["uniform"]  # multiples of 2^-24, exact in float32
    assert mine.below("a", 1000).tolist() == GOLDEN["below"]
    assert mine.other("b").uniform("a").tolist() == GOLDEN["other"]
    torch.testing.assert_close(mine.normal("a", 2), torch.tensor(GOLDEN["normal"]), rtol=0, atol=1e-5)


def finalised(x: int) -> int:
    """The finaliser of MurmurHash3 in whole numbers of 64 bits."""
    x %= 2**64
    x = (x ^ x >> 33) * 0xFF51AFD7ED558CCD % 2**64
    x = (x ^ x >> 33) * 0xC4CEB9FE1A85EC53 % 2**64
    return x ^ x >> 33


def test_the_numbers_are_those_of_the_hash_in_whole_numbers():
    """Signed 64-bit arithmetic of tensors against Python's integers, which know no overflow and no sign."""
    stride, name = 0x9E3779B97F4A7C15, zlib.crc32(b"some name")
    found = draws(3, seed=9, first=5).uniform("some name", 4)
    for row, sample in enumerate((5, 6, 7)):
        key = finalised(sample * stride + 9)
        for column in range(4):
            bits = finalised(finalised(key ^ name << 32) + (column + 1) * stride)
            assert found[row, column].item() == (bits >> 40) / 2**24
