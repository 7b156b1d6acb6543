import numpy as np
import pytest
import torch
from engine_helpers import CPU, as_processes
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_helpers import golden, some

from organza.config import ConfigError
from organza.metrics import FeatureStats, frechet_distance
from organza.training.distributed import process_group


def same(stats: FeatureStats, features: np.ndarray) -> bool:
    mean, cov = stats.mean.numpy(), stats.cov().numpy()
    features = features.astype(np.float64)
    size = np.abs(np.cov(features.T)).max()
    return (
        stats.n == len(features)
        and np.allclose(mean, features.mean(0), rtol=1e-12, atol=1e-12)
        and np.allclose(cov, np.cov(features.T), rtol=0, atol=1e-11 * size)
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 99), st.sampled_from([0.0, 4.0, -300.0]))
def test_any_batches_and_shards_are_the_whole(sizes, seed, shift):
    features = some(sum(sizes) + 2, 5, seed, shift=shift)
    cuts = np.split(features, np.cumsum(sizes))
    stream, merged = FeatureStats(), FeatureStats()
    for part in cuts:
        stream.update(part)
        merged = merged + FeatureStats.of(part)
    assert same(stream, features)
    assert same(merged, features)


def test_more_rows_than_one_block():
    features = some(2500, 3, shift=2)
    assert same(FeatureStats.of(features), features)


def test_a_large_mean_takes_no_digits():
    """Float32 raw moments fail here: an error of the trace of 1e-2, and an eigenvalue of -1 (reference, 5.1)."""
    features = some(4000, 24, shift=40).astype(np.float32)
    stats = FeatureStats()
    for part in np.array_split(features, 13):
        stats.update(part)
    exact = np.cov(features.astype(np.float64).T)
    assert float(stats.cov().trace()) == pytest.approx(np.trace(exact), rel=1e-12)
    raw = features.T @ features / len(features) - np.outer(features.mean(0), features.mean(0))
    assert abs(np.trace(raw) / np.trace(exact) - 1) > 1e-5  # what it must not be
    assert torch.linalg.eigvalsh(stats.cov())[0] > 0.5


def test_ddof():
    real, fake = (FeatureStats.of(x) for x in golden())
    factor = (real.n - 1) / real.n
    torch.testing.assert_close(real.cov(ddof=0), real.cov() * factor, rtol=1e-14, atol=0)
    real._scatter *= (real.n - 1) / real.n
    fake._scatter *= (fake.n - 1) / fake.n
    assert frechet_distance(real=real, fake=fake) == pytest.approx(1.118675246821752, abs=1e-9)  # of ddof = 0


def test_protocols_do_not_mix():
    legacy, clean = FeatureStats.of(some(9, 2), "legacy"), FeatureStats.of(some(9, 2), "clean")
    for act in (lambda: legacy + clean, lambda: frechet_distance(real=legacy, fake=clean)):
        with pytest.raises(ConfigError, match=r"'legacy'.*'clean'"):
            act()
    with pytest.raises(ConfigError, match="'unnamed'"):
        frechet_distance(real=FeatureStats.of(some(9, 2)), fake=clean)
    assert (legacy + legacy).protocol == "legacy"
    assert frechet_distance(real=legacy, fake=some(9, 2)) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ConfigError, match="length 3"):
        legacy.update(some(4, 3))


def test_empty_statistics():
    empty, single = FeatureStats("x"), FeatureStats("x").update(some(1, 2))
    for act in (lambda: empty.mean, empty.cov, single.cov):
        with pytest.raises(ConfigError, match="at least"):
            act()


def test_a_file_keeps_everything(tmp_path):
    stats = FeatureStats.of(some(50, 4), "network, resizer")
    stats.save(tmp_path / "stats.safetensors")
    back = FeatureStats.load(tmp_path / "stats.safetensors")
    assert (back.n, back.protocol) == (50, "network, resizer")
    assert torch.equal(back.mean, stats.mean)
    assert torch.equal(back.cov(), stats.cov())
    assert [file.name for file in tmp_path.iterdir()] == ["stats.safetensors"]
    whole = (tmp_path / "stats.safetensors").read_bytes()
    for bad in (whole[:-9], b"\x80\x04pickled", whole.replace(b"resizer", b"Resizer")):
        (tmp_path / "bad.safetensors").write_bytes(bad)
        with pytest.raises(ValueError, match=r"bad\.safetensors"):
            FeatureStats.load(tmp_path / "bad.safetensors")
    with pytest.raises(FileNotFoundError, match="none"):
        FeatureStats.load(tmp_path / "none")


def gather(rank: int, folder: str) -> None:
    features = some(101, 4, shift=7)
    with process_group(CPU):
        mine = FeatureStats("p").update(features[:37] if rank == 0 else features[37:])
        mine.all_reduce().save(f"{folder}/{rank}.safetensors")
        lonely = FeatureStats("p")
        if rank == 1:
            lonely.update(features)
        lonely.all_reduce().save(f"{folder}/lonely-{rank}.safetensors")
        with pytest.raises(ConfigError, match="different protocols"):
            FeatureStats(f"protocol {rank}").update(features).all_reduce()
        with pytest.raises(ConfigError, match="lengths"):
            FeatureStats("p").update(features[:, : 3 + rank]).all_reduce()


def test_two_processes_are_one(tmp_path):
    assert as_processes(gather, str(tmp_path)) == [0, 0]
    features = some(101, 4, shift=7)
    found = {file.stem: FeatureStats.load(file) for file in tmp_path.glob("*.safetensors")}
    assert set(found) == {"0", "1", "lonely-0", "lonely-1"}
    assert all(same(stats, features) for stats in found.values())
    assert torch.equal(found["0"].cov(), found["1"].cov())
    assert same(FeatureStats("p").update(features).all_reduce(), features)  # one process alone
