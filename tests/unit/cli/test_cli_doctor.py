import json
from pathlib import Path

import pytest
from engine_helpers import shrunk

from organza import train
from organza.health import machine


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Other tests run beside this one: a second thread would wait for them."""
    monkeypatch.setattr(machine, "BENCHMARK_THREADS", 1)
    monkeypatch.setattr(machine, "BENCHMARK_SECONDS", 0.1)


def test_the_findings_as_lines_and_as_json(organza):
    said = organza("doctor", "--device", "cpu")
    assert said.code == 0, said.out
    assert "result " in said.out
    assert "images/s on cpu" in said.out
    assert said.err == ""


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
def test_a_problem_gives_exit_code_1(organza, monkeypatch):
    monkeypatch.chdir("/proc")
    said = organza("doctor", "--json", "--device", "cpu")
    assert said.code == 1
    found = {finding["name"]: finding for finding in json.loads(said.out)}
    assert found["this folder"]["status"] == "problem"
    assert "choose a folder" in found["this folder"]["advice"]
    assert found["torch"]["status"] == "ok"


def test_words_that_it_does_not_know(organza):
    said = organza("doctor", "runs/x")
    assert (said.code, said.out) == (2, "")
    assert "'runs/x' is not a run folder" in said.err
    assert "--fix" in organza("doctor", "--fix").err
    assert "it takes auto, cpu" in organza("doctor", "--device", "gpu").err


def test_a_device_that_is_not_there_is_refused_for_a_run_too(organza, tmp_path):
    changes = shrunk("gan", (2,))
    train("gan", data="ring", out=tmp_path / "run", images=64, changes=changes, device="cpu")
    said = organza("doctor", str(tmp_path / "run"), "--device", "gpu")
    assert said.code == 2
    assert "it takes auto, cpu" in said.err
    assert organza("doctor", str(tmp_path / "run"), "--device", "cpu").code == 0
