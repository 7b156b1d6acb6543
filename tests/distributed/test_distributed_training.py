"""`organza.train` with two processes: one folder, one writer, exact resume, and errors that do not hang."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from engine_helpers import EVERYTHING, TECHNIQUES, as_processes, assert_equal_trees, log_of, newest, shrunk, write_data

import organza
from organza.config import ConfigError
from organza.reporter import Silent
from organza.training.guard import BrokenError

CHANGES = shrunk("dcgan") | EVERYTHING | TECHNIQUES | {"images": 160}
SCRIPT = """
import os, sys
sys.path[:0] = {folders!r}
from test_distributed_training import train_once
train_once(int(os.environ["RANK"]), sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
"""


class Witness(Silent):
    """Writes down what this process was told, and kills it after some steps if asked to."""

    def __init__(self, rank: int, out: str, die_after: int) -> None:
        self.rank, self.out, self.left = rank, out, die_after

    def plan(self, lines):
        Path(f"{self.out}-plan-{self.rank}").write_text("\n".join(lines))

    def progress(self, images, total, rate, eta):
        self.left -= 1
        if self.left == 0:
            Path(f"{self.out}-died").write_text(str(time.time()))
            os.kill(os.getpid(), signal.SIGKILL)


def train_once(rank: int, data: str, out: str, doomed: int = -1, die_after: int = 0, resume: int = 0) -> None:
    torch.set_num_threads(1)
    reporter = Witness(rank, out, die_after if doomed in (rank, 9) else 0)
    asked = {} if resume else {"recipe": "dcgan", "data": data, "changes": CHANGES}
    organza.train(**asked, out=out, resume=bool(resume), device="cpu", reporter=reporter)
    Path(f"{out}-done-{rank}").write_text(" ".join(threads()))


def threads() -> list[str]:
    """Names of this process's threads (Linux)."""
    return [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    assert as_processes(train_once, data, str(out)) == [0, 0]
    return out


def test_one_folder_with_everything_written_once(whole):
    names = {path.name for path in whole.parent.iterdir()}
    assert names == {"run", "run-plan-0", "run-done-0", "run-done-1"}  # only process 0 tells the plan
    images = [line["images"] for line in log_of(whole)]
    assert images == sorted(set(images))
    assert images[-1] == 160
    assert json.loads((whole / "env.json").read_text())["processes"] == 2
    assert json.loads((whole / "summary.json").read_text())["status"] == "finished"
    assert len((whole / "command.txt").read_text().splitlines()) == 1
    assert not list(whole.rglob("*.partial"))
    assert organza.load(whole).sample(3).shape == (3, 1, 16, 16)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the threads' names from /proc")
def test_no_thread_of_the_group_outlives_the_training(whole):
    """One that did could abort its process at its very end (exit code -6)."""
    for rank in (0, 1):
        names = Path(f"{whole}-done-{rank}").read_text()
        assert names
        assert "gloo" not in names


def test_dropout_differs_between_processes(whole):
    rows = newest(whole)["random"]["cpu"]
    assert len(rows) == 2
    assert not torch.equal(rows[0], rows[1])


def test_both_killed_and_resumed_is_bit_identical(whole, data, tmp_path):
    out = tmp_path / "run"
    assert as_processes(train_once, data, str(out), 9, 5) == [-9, -9]
    assert as_processes(train_once, data, str(out), -1, 0, 1) == [0, 0]
    assert_equal_trees(newest(out), newest(whole))
    assert log_of(out) == log_of(whole)


@pytest.mark.parametrize("doomed", [0, 1])
def test_a_dying_process_ends_the_other_with_an_error(doomed, data, tmp_path):
    out = tmp_path / "run"
    codes = as_processes(train_once, data, str(out), doomed, 4)
    ended = time.time()
    assert codes[doomed] == -9
    assert codes[1 - doomed] not in (0, None)
    assert ended - float(Path(f"{out}-died").read_text()) < 60
    assert not list(tmp_path.glob("run-done-*"))


def test_one_process_can_go_on_with_the_run_of_two(data, tmp_path):
    out = tmp_path / "run"
    assert as_processes(train_once, data, str(out), 9, 5) == [-9, -9]
    run = organza.train(out=out, resume=True, device="cpu")
    assert run.summary["images"] == 160
    assert [line["images"] for line in log_of(out)] == list(range(16, 161, 16))


def test_an_uneven_batch_is_refused_before_anything_is_written(data, tmp_path):
    out = tmp_path / "run"
    codes = as_processes(_uneven, data, str(out))
    assert codes == [0, 0]
    assert not list((out / "checkpoints").glob("*"))


def _uneven(rank: int, data: str, out: str) -> None:
    with pytest.raises(ConfigError, match="2 processes"):
        organza.train("dcgan", data=data, out=out, changes=shrunk("dcgan") | {"batch": 9}, device="cpu")


def test_divergence_rolls_all_processes_back_and_ends_them(data, tmp_path):
    out = tmp_path / "run"
    assert as_processes(_diverging, data, str(out)) == [0, 0]
    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert newest(out)["counters"]["images"] == 0


def _diverging(rank: int, data: str, out: str) -> None:
    changes = shrunk("dcgan") | {"generator.optimizer.lr": 1e38, "generator.optimizer.name": "sgd"}
    with pytest.raises(BrokenError, match="after 3 rollbacks"):
        organza.train("dcgan", data=data, out=out, changes=changes, images=400, device="cpu")


def torchrun(script: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)


def test_under_torchrun(whole, data, tmp_path):
    """The real launcher: a process that dies ends the run, and the same command with resume completes it."""
    script, out = tmp_path / "go.py", str(tmp_path / "run")
    script.write_text(SCRIPT.format(folders=[str(folder) for folder in Path(__file__).parents[:2]]))
    failed = torchrun(script, data, out, "1", "5")
    assert failed.returncode != 0
    assert time.time() - float(Path(f"{out}-died").read_text()) < 60
    done = torchrun(script, data, out, "-1", "0", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert_equal_trees(newest(Path(out)), newest(whole))
    assert log_of(Path(out)) == log_of(whole)
