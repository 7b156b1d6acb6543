"""Two processes share sampling and features of an evaluation, and tell what one tells."""

import json
from pathlib import Path

import numpy as np
import pytest
from engine_helpers import as_processes, shrunk, write_data

import organza
from organza.evaluation import evidence
from organza.metrics.networks import extractor
from organza.training.distributed import dealt, process_group, rank, world

METRICS = ("fd@digits", "precision-recall@digits", "labels@digits")
SAMPLES = 700  # three parts of sampling, the last one short


def judge(number: int, folder: str) -> None:
    evidence.BLOCK = 256  # three blocks of features, too
    passed = []
    both = extractor.Extractor.both
    extractor.Extractor.both = lambda self, images, *rest: passed.append(len(images)) or both(self, images, *rest)
    receipt = organza.evaluate(
        f"{folder}/run", f"{folder}/real.npz", METRICS, samples=SAMPLES, device="cpu", out=f"{folder}/told.json"
    )
    kept = [[score.name, score.value, score.low, score.high] for score in receipt.scores]
    Path(f"{folder}/{number}.json").write_text(json.dumps([kept, passed]))


def deal(number: int, folder: str) -> None:
    import torch

    with process_group(torch.device("cpu")):
        assert (rank(), world()) == (number, 2)
        asked = []
        assert dealt(5, lambda i: asked.append(i) or i * i) == [0, 1, 4, 9, 16]
        assert asked == [[0, 2, 4], [1, 3]][number]
        assert dealt(0, int) == []


def test_work_is_dealt_out(tmp_path):
    assert dealt(3, str) == ["0", "1", "2"]
    assert as_processes(deal, str(tmp_path)) == [0, 0]


def test_two_processes_tell_what_one_tells(tmp_path):
    organza.train("gan", data=write_data(tmp_path, (1, 28, 28), 64), out=tmp_path / "run", images=64, device="cpu",
                  changes=shrunk("gan", (1, 28, 28)))  # fmt: skip
    digits = organza.open_dataset("mnist", split="test")
    assert digits.labels is not None
    np.savez(tmp_path / "real.npz", images=digits.images[:600].numpy(), labels=digits.labels[:600].numpy())
    alone = organza.evaluate(tmp_path / "run", tmp_path / "real.npz", METRICS, samples=SAMPLES, device="cpu")
    expected = [[score.name, score.value, score.low, score.high] for score in alone.scores]
    assert as_processes(judge, str(tmp_path)) == [0, 0]
    told = [json.loads((tmp_path / f"{number}.json").read_text()) for number in range(2)]
    for scores, _ in told:
        for mine, other in zip(scores, json.loads(json.dumps(expected)), strict=True):
            known = [value is not None for value in mine]
            assert known == [value is not None for value in other]
            assert mine[0] == other[0]
            assert list(filter(None, mine[1:])) == pytest.approx(list(filter(None, other[1:])), rel=1e-5)
    assert sorted(told[0][1] + told[1][1]) == [88, 188, 256, 256, 256, 256]  # every block once, in one of them
    assert all(told[number][1] for number in range(2))
    receipt = json.loads((tmp_path / "told.json").read_text())
    assert [score["value"] for score in receipt["scores"]] == [score[1] for score in told[0][0]]
    assert not (tmp_path / "told.json.parts").exists()
