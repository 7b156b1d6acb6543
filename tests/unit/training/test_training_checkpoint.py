import json
import pickle
import resource
from pathlib import Path

import pytest
import torch
from engine_helpers import FORKS, assert_equal_trees, flat, small_config
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from organza.training.checkpoint import (
    DamagedError,
    load,
    optimizer_state,
    refuse_pickle,
    restore_module,
    restore_optimizer,
    save,
)  # fmt: skip
from organza.training.run import Run


def tree(seed=0, size=6) -> dict:
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(size, 3, generator=generator)
    return {
        "counters": {"images": 1234, "rate": 0.1 + 0.2, "seconds": 1e-300},
        "networks": {"g": {"a.weight": tensor, "b": tensor.T}, "d": {"empty": torch.empty(0, 2)}},
        "types": {"half": tensor.bfloat16(), "long": torch.tensor(2**40), "byte": torch.arange(5, dtype=torch.uint8)},
        "nothing": {},
        "text": "ä\n\"'",
        "none": None,
        "flag": True,
    }


class Bomb:
    """Opening its pickle makes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_what_was_saved_comes_back(tmp_path):
    path = tmp_path / "1.safetensors"
    save(path, tree())
    assert_equal_trees(load(path), tree())
    assert load(path)["types"]["half"].dtype == torch.bfloat16
    assert [file.name for file in tmp_path.iterdir()] == ["1.safetensors"]


def test_views_and_shared_tensors_come_back(tmp_path):
    base = torch.randn(4, 6)
    state = {"a": base[:, ::2], "b": base, "c": base, "d": base.contiguous(memory_format=torch.contiguous_format).T}
    save(tmp_path / "1.safetensors", state)
    assert_equal_trees(load(tmp_path / "1.safetensors"), state)


def test_a_checkpoint_torn_anywhere_is_damaged(tmp_path):
    path = tmp_path / "1.safetensors"
    save(path, tree())
    whole = path.read_bytes()
    points = sorted({0, 1, 7, 8, 9, 100, len(whole) - 1, *range(0, len(whole), max(1, len(whole) // 20))})
    assert len(points) >= 20
    for point in points:
        path.write_bytes(whole[:point])
        with pytest.raises(DamagedError, match=r"1\.safetensors"):
            load(path)
        path.write_bytes(whole[:point] + bytes(len(whole) - point))  # the right length, but zeros at the end
        if path.read_bytes() != whole:
            with pytest.raises(DamagedError):
                load(path)
    path.write_bytes(whole + b"x")
    with pytest.raises(DamagedError):
        load(path)
    path.write_bytes(whole)
    assert_equal_trees(load(path), tree())


def test_no_flipped_bit_changes_the_state_unnoticed(tmp_path):
    path = tmp_path / "1.safetensors"
    save(path, tree())
    whole, refused = bytearray(path.read_bytes()), 0
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        try:
            assert_equal_trees(load(path), tree())  # white space in the header, or the case of a hexadecimal digit
        except DamagedError:
            refused += 1
    assert refused > 0.95 * len(whole)


@pytest.mark.parametrize("about", [[], 3, {}, {"format": 1}, {"format": 1, "checksum": 0}, {"format": 2}])
def test_foreign_safetensors_are_damaged(tmp_path, about):
    path = tmp_path / "1.safetensors"
    save_file({"a": torch.zeros(2)}, path, metadata={"organza": json.dumps(about)})
    with pytest.raises(DamagedError):
        load(path)
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(DamagedError):
        load(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["1.safetensors", "1.pt", "1.pkl", "1"])
def test_pickles_are_refused_and_not_executed(tmp_path, protocol, name):
    path, planted = tmp_path / name, tmp_path / "planted"
    path.write_bytes(pickle.dumps(Bomb(planted), protocol))
    with pytest.raises(DamagedError):
        load(path)
    assert not planted.exists()
    pickle.loads(path.read_bytes())
    assert planted.exists()  # the bomb is a real one


def test_torch_files_are_refused_as_pickles(tmp_path):
    path, planted = tmp_path / "1.safetensors", tmp_path / "planted"
    torch.save({"a": torch.zeros(2), "b": Bomb(planted)}, path)
    with pytest.raises(DamagedError, match="pickle"):
        refuse_pickle(path)
    with pytest.raises(DamagedError, match="pickle"):
        load(path)
    assert not planted.exists()


def test_a_missing_checkpoint_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.safetensors")


def _save_with_little_room(path: str, limit: int, told) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        save(Path(path), tree(1, 10_000))
    except OSError as problem:
        told.put(type(problem).__name__ + ": " + str(problem))
    else:
        told.put("saved")


@pytest.mark.parametrize("limit", [0, 512, 4096, 60_000])
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, limit):
    path, told = tmp_path / "1.safetensors", FORKS.SimpleQueue()
    save(path, tree(0, 10_000))
    process = FORKS.Process(target=_save_with_little_room, args=(str(path), limit, told))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert told.get().startswith("OSError")
    assert [file.name for file in tmp_path.iterdir()] == ["1.safetensors"]
    assert_equal_trees(load(path), tree(0, 10_000))


def test_a_folder_that_cannot_be_written_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match=r"(?i)no such file|not found|directory"):
        save(tmp_path / "nowhere" / "1.safetensors", tree())


@pytest.fixture
def run(tmp_path) -> Run:
    return Run.create(tmp_path / "run", small_config("dcgan"))


def test_a_run_keeps_the_last_two_and_the_best(run):
    folder = run.path / "checkpoints"
    for images, best in ((10, False), (20, True), (30, False), (999_999_999, False), (1_000_000_000, False)):
        run.save_checkpoint(images, tree(images), best)
        assert not list(folder.glob("*.partial"))
    names = sorted(file.name for file in folder.iterdir())
    assert names == ["1000000000.safetensors", "999999999.safetensors", "best.safetensors"]
    assert_equal_trees(load(folder / "best.safetensors"), tree(20))
    assert_equal_trees(run.newest_state()[0], tree(1_000_000_000))
    assert [path.stem for path in run.checkpoints()] == ["999999999", "1000000000"]
    run.save_checkpoint(1_000_000_010, tree(5), best=True)
    assert_equal_trees(load(folder / "best.safetensors"), tree(5))
    assert [path.stem for path in run.checkpoints()] == ["1000000000", "1000000010"]


def test_saving_the_same_point_again_keeps_the_best(run):
    run.save_checkpoint(10, tree(1), best=True)
    run.save_checkpoint(10, tree(2), best=False)
    assert_equal_trees(load(run.path / "checkpoints" / "best.safetensors"), tree(1))
    assert_equal_trees(run.newest_state()[0], tree(2))


def test_the_one_before_a_damaged_checkpoint_is_used_and_the_damage_told(run):
    first, second = run.save_checkpoint(10, tree(1), False), run.save_checkpoint(20, tree(2), False)
    assert run.newest_state()[1] == []
    second.write_bytes(second.read_bytes()[:-7])
    state, problems = run.newest_state()
    assert_equal_trees(state, tree(1))
    assert len(problems) == 1
    assert second.name in problems[0]
    first.write_bytes(b"")
    state, problems = run.newest_state()
    assert state is None
    assert len(problems) == 2


def test_a_pickle_among_the_checkpoints_is_told_and_left_alone(run, tmp_path):
    planted = tmp_path / "planted"
    run.save_checkpoint(10, tree(1), False)
    for name in ("000000020.pt", "000000030.safetensors", "x.pkl"):
        (run.path / "checkpoints" / name).write_bytes(pickle.dumps(Bomb(planted)))
    state, problems = run.newest_state()
    assert_equal_trees(state, tree(1))
    assert len(problems) == 3
    assert not planted.exists()


def test_optimisers_come_back_exactly():
    for kind in (torch.optim.Adam, torch.optim.RMSprop, torch.optim.SGD):
        options = {"momentum": 0.9} if kind is torch.optim.SGD else {}
        network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        network.scale = nn.Parameter(torch.tensor(2.0))  # no dimensions, as the counter of steps
        optimizer = kind(network.parameters(), lr=0.1, **options)
        for _ in range(3):
            optimizer.zero_grad()
            (network(torch.randn(2, 3, 5, 5)).square().mean() * network.scale).backward()
            optimizer.step()
        state = {key: dict(value) for key, value in optimizer_state(optimizer).items()}
        fresh = kind(network.parameters(), lr=0.1, **options)
        restore_optimizer(fresh, state)
        assert_equal_trees(optimizer_state(fresh), state)
        assert len(flat(state)) >= 3
        for parameter, entry in fresh.state.items():
            for value in entry.values():
                assert not isinstance(value, torch.Tensor) or value.dim() < 4 or value.stride() == parameter.stride()
                assert all(value is not old for old in optimizer.state[parameter].values())


def test_another_network_is_damage():
    with pytest.raises(DamagedError, match="weight"):
        restore_module(nn.Linear(2, 3), nn.Linear(3, 3).state_dict())
    with pytest.raises(DamagedError, match="bias"):
        restore_module(nn.Linear(2, 3), nn.Linear(2, 3, bias=False).state_dict())


def test_checkpoints_are_plain_safetensors(tmp_path):
    save(tmp_path / "1.safetensors", tree())
    with safe_open(tmp_path / "1.safetensors", framework="pt") as file:
        assert "networks/g/a.weight" in file.keys()  # noqa: SIM118
    assert (tmp_path / "1.safetensors").stat().st_size < 4000
