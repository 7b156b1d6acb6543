import pytest
import torch

from organza.config import ConfigError
from organza.health import machine
from organza.health.machine import examine


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("ORGANZA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ORGANZA_DATA", raising=False)
    monkeypatch.setattr(machine, "BENCHMARK_THREADS", 1)  # a second would wait for the tests beside this one
    monkeypatch.setattr(machine, "BENCHMARK_SECONDS", 0.1)


def test_a_machine_that_runs_these_tests_is_ready(tmp_path):
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    found = {finding.name: finding for finding in examine(tmp_path, "cpu")}
    assert {"torch", "cpu", "memory", "bfloat16", "fused Adam", "convolution", "speed"} <= set(found)
    assert [f for f in found.values() if f.status == "problem"] == []
    assert all(bool(f.advice) == (f.status != "ok") for f in found.values())
    assert "images/s" in found["speed"].told
    assert str(tmp_path) in found["this folder"].told
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_device():
    with pytest.raises(ConfigError, match="device is 'gpu'"):
        examine(device="gpu")


def test_little_memory_and_disk(monkeypatch, tmp_path):
    for free, status in ((100 << 20, "problem"), (1 << 30, "warning"), (16 << 30, "ok")):
        monkeypatch.setattr(machine, "available_memory", lambda free=free: free)
        (finding,) = machine._memory()
        assert finding.status == status
    monkeypatch.setattr(machine, "LITTLE_DISK", 1 << 62)
    (finding,) = machine._folder("this folder", tmp_path / "not" / "there", "problem")
    assert (finding.status, finding.advice) == ("warning", "free some space")


def test_threads_and_cores(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(machine, "_cores", lambda: 1)
    try:
        torch.set_num_threads(2)
        (finding,) = machine._processor()
        assert "OMP_NUM_THREADS=1" in finding.advice
        torch.set_num_threads(1)
        monkeypatch.setattr(machine, "_cores", lambda: 8)
        (finding,) = machine._processor()
        assert "most cores stay idle" in finding.advice
    finally:
        torch.set_num_threads(before)


def test_places_of_data_and_flags(monkeypatch, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "x").write_bytes(bytes(5000))
    monkeypatch.setenv("ORGANZA_DATA", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = {finding.name: finding for finding in machine._data()}
    assert "5 KB used" in found["data cache"].told
    assert found["ORGANZA_DATA"].status == "warning"
    assert "HF_HUB_OFFLINE=1" in found["network"].told


def test_extras_say_what_to_type(monkeypatch):
    monkeypatch.setattr(machine, "EXTRAS", {"hub": ("no_such_module",), "dev": ("pytest",)})
    hub, dev = machine._extras()
    assert "pip install 'organza[hub]'" in hub.told
    assert dev.told == "installed"


def test_a_check_that_breaks_is_a_finding(monkeypatch, tmp_path):

    def broken(device):
        raise RuntimeError("operator is missing\nlong trace")

    for name in ("_speed", "_fused_optimiser", "_channels_last"):
        monkeypatch.setattr(machine, name, broken)
    monkeypatch.setattr(machine, "_versions", lambda: broken(None))
    found = {finding.name: finding for finding in examine(tmp_path, "cpu")}
    assert found["speed"].status == "problem"
    assert found["speed"].told == "RuntimeError: operator is missing"
    assert found["speed"].advice
