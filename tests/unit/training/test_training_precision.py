"""The device that is asked for, a time that never ends, and data that a run could not open again."""

import pytest
import torch

import organza
from organza.config import ConfigError
from organza.training.precision import pick_device


def test_a_device_of_torch_is_one():
    assert pick_device(torch.device("cpu")) == pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cpu:first", "gpu", "", "cuda:"])
def test_words_that_are_no_device(name):
    with pytest.raises(ConfigError, match="it takes auto, cpu, cuda or mps"):
        pick_device(name)


def test_a_card_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1").index == 1
    with pytest.raises(ConfigError, match="'cuda:2', which this torch"):
        pick_device("cuda:2")


def test_arrays_are_saved_before_training_and_paths_are_taken(tmp_path):
    with pytest.raises(ConfigError, match=r"data is a Tensor; .*data='data\.npz'"):
        organza.train("gan", data=torch.zeros(9, 2), out=tmp_path / "run")  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="photos"):
        organza.train("gan", data=tmp_path / "photos", out=tmp_path / "run")


def test_no_number_of_minutes():
    with pytest.raises(ConfigError, match="minutes is nan; it takes a number above 0"):
        organza.train("gan", data="ring", minutes=float("nan"))
