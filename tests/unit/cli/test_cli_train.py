import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from organza.cli.train import _clock, _scores

TINY = ("--batch", "8", "--generator.model.width", "4", "--discriminator.model.width", "4")
SHORT = ("--images", "32", "--output.log", "16", "--output.samples", "32", "--output.checkpoint", "16")


@pytest.fixture
def trained(organza, images):
    """A finished run of four steps in runs/a, and what was said."""
    images("pictures")
    return organza("train", "dcgan", "--data", "pictures", "--out", "runs/a", *TINY, *SHORT)


def test_a_run_says_what_it_does_and_what_to_do_next(trained):
    assert trained.code == 0
    lines = trained.out.splitlines()
    plan = lines[: lines.index("results   runs/a/report.html") + 1]
    assert len(plan) <= 12
    assert plan[0].startswith("recipe    dcgan")
    (done,) = [number for number, line in enumerate(lines) if line.startswith("done      32 images in ")]
    assert lines[done + 1].startswith("score     fd-general-1k ")
    assert lines[done + 2].startswith("score     variety ")
    protocol = "1,000 samples of the EMA against 16 reals, features of Organza's general network ("
    assert lines[done + 3].startswith(" " * 10 + protocol)
    assert lines[-2:] == ["report    runs/a/report.html", "samples   organza sample runs/a -n 64"]
    assert any("0.0/0 kimg" in line for line in lines[len(plan) : done])
    assert trained.err == ""


def test_scores_are_told_with_their_protocol():
    both = {"fd": {"value": 9.87654, "protocol": "2,000 samples"}, "modes": {"value": 8.0, "protocol": "2,000 samples"}}
    assert _scores({"scores": both}) == [("score", "fd 9.87654"), ("score", "modes 8"), ("", "2,000 samples")]
    assert [_clock(s) for s in (4.4, 200, 7500)] == ["4 s", "3 min 20 s", "2 h 5 min"]


def test_a_plan_writes_nothing(organza, images):
    images("pictures")
    said = organza("train", "--data", "pictures", "--out", "runs/a", "--dry-run", "--images", "200k", *TINY)
    assert said.code == 0
    assert "budget    200 kimg in batches of 8" in said.out
    assert not Path("runs").exists()


def test_an_existing_run_is_not_overwritten_and_resume_shows_differences(organza, trained):
    again = organza("train", "dcgan", "--data", "pictures", "--out", "runs/a", *TINY)
    assert (again.code, again.out) == (2, "")
    assert again.err == (
        "organza: runs/a holds a run already; add --resume to go on with it, or choose another --out\n"
    )
    other = organza("train", "--resume", "--batch", "16", "--loss", "hinge")
    assert other.code == 2
    assert "batch: 8 -> 16\n  loss: non-saturating -> hinge" in other.err
    assert organza("train", "wgan-gp", "--out", "runs/a", "--resume").code == 2


def test_a_torn_checkpoint_is_passed_over_and_a_pickle_is_refused(organza, trained):
    newest = sorted(Path("runs/a/checkpoints").glob("0*"))[-1]
    newest.write_bytes(newest.read_bytes()[:-100])
    Path("runs/a/checkpoints/old.pt").write_bytes(b"\x80\x02")
    said = organza("train", "--out", "runs/a", "--resume", "--images", "48")
    assert said.code == 0
    assert "note: old.pt is a pickle and was not opened" in said.out
    assert f"note: runs/a/checkpoints/{newest.name} is no whole checkpoint" in said.out
    assert "resumed   at 0 kimg" in said.out
    assert "done      48 images" in said.out


def test_without_a_whole_checkpoint_there_is_nothing_to_resume(organza, trained):
    for file in Path("runs/a/checkpoints").glob("*.safetensors"):
        file.write_bytes(b"\x80\x02 a pickle")
    said = organza("train", "--out", "runs/a", "--resume")
    assert said.code == 2
    assert "no whole checkpoint is left in runs/a" in said.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dcgn", "unknown recipe 'dcgn'; did you mean 'dcgan'?"),
        ("dcgan pictures", "one recipe at a time, not 'dcgan' and 'pictures'; name data by --data pictures"),
        ("--data nowhere", "neither a name nor an existing path"),
        ("--data ./nowhere", "no file or folder './nowhere'"),
        ("--imagse 5", "did you mean '--images'?"),
        ("--generator.optimizer.learning 5", "no field 'generator.optimizer.learning'"),
        ("--generator.model.wdith 5", "generator 'dcgan' has no option 'wdith'; did you mean 'width'?"),
        ("--batch many", "batch is 'many'; it takes a whole number"),
        ("--images many", "200k"),
        ("--seed x", "seed is 'x'; it takes a whole number"),
        ("--minutes x", "minutes is 'x'; it takes a number"),
        ("--minutes 0", "it takes a number above 0"),
        ("--device gpu", "it takes auto, cpu, cuda or mps"),
        ("--size big", "it takes laptop or paper"),
        ("--loss hinged", "unknown loss 'hinged'"),
        ("--data empty", "empty has no images"),
        ("--data mixed", "images of 2 sizes"),
        ("cgan --data pictures", "conditional, but 'pictures' has no labels"),
        ("dcgan --data.resolution 3", "organza: "),
        ("r3gan --data odd", "type --data.resolution"),
        ("--data pictures --out a-file/x", "Not a directory"),
        ("--data pictures --out runs/none --resume", "runs/none is no run folder"),
        ("--resume", "there is no run in runs/ to resume"),
        ("--data pictures --share-fakes true --accumulate 2", "add --share_fakes false"),
    ],
)
def test_every_mistake_has_one_message_and_leaves_nothing_behind(organza, images, line, message):
    images("pictures", 4)
    images("mixed", 4, sizes=((16, 16), (17, 16)))
    images("odd", 4, sizes=((17, 13),))
    Path("empty").mkdir()
    Path("a-file").touch()
    data = () if "data" in line or "resume" in line else ("--data", "pictures")
    said = organza("train", *line.split(), *data)
    assert said.code == 2
    assert message in said.err
    assert said.err.startswith("organza: ")
    assert "Traceback" not in said.err
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


def test_a_full_disk(organza, images):
    images("pictures")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
        said = organza("train", "--data", "pictures", "--out", "runs/a", *SHORT, "--generator.model.width", "32")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert said.code == 2
    assert "the disk is full" in said.err
    assert not Path("runs/a").exists()


def test_too_large_a_batch_says_what_fits(organza, images, whole_plan):
    images("pictures")
    said = organza("train", "--data", "pictures", "--batch", "100000000")
    assert said.code == 2
    assert "out of memory on cpu: a step with batch 100000000 needs about" in said.err
    assert "--accumulate" in said.err
    assert not list(Path("runs").iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_goes_on(organza, images, number):
    images("pictures")
    words = ["train", "--data", "pictures", "--out", "runs/a", *TINY, "--images", "50M", "--output.log", "8"]
    run = subprocess.Popen(
        [sys.executable, "-m", "organza", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout
    for line in run.stdout:
        if "kimg  " in line:  # a line of progress: it is in the loop
            run.send_signal(number)
            break
    rest, problem = run.communicate(timeout=300)
    assert (run.returncode, problem) == (128 + number, "")
    assert "everything is saved" in rest
    assert rest.splitlines()[-1] == "go on     organza train --out runs/a --resume"
    summary = json.loads(Path("runs/a/summary.json").read_text())
    assert summary["status"] == "stopped"
    if number == signal.SIGTERM:
        until = str(summary["images"] + 16)
        assert organza("train", "--out", "runs/a", "--resume", "--images", until).code == 0
