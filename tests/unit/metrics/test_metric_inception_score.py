import numpy as np
import pytest
import torch
from metric_helpers import golden, some

from organza.metrics import inception_score


def test_golden_values():
    logits = golden()[1][:, :10] * 8 - 8
    shuffled, kept = inception_score(logits), inception_score(torch.from_numpy(logits), seed=None)
    assert (shuffled.mean, shuffled.std) == (pytest.approx(6.257690957, abs=2e-9), pytest.approx(0.068154172, abs=2e-9))
    assert (kept.mean, kept.std) == (pytest.approx(6.242973055, abs=2e-9), pytest.approx(0.192435061, abs=2e-9))


def test_its_bounds():
    sure = 1e4 * np.eye(7)[np.arange(70) % 7]
    assert inception_score(sure, splits=1).mean == pytest.approx(7, rel=1e-12)
    assert inception_score(np.ones((70, 7))).mean == pytest.approx(1, rel=1e-12)
    assert inception_score(np.repeat(sure[:1], 70, 0)).mean == pytest.approx(1, rel=1e-12)


def test_a_split_by_hand_and_a_shift_of_logits():
    logits = some(31, 4)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = np.exp((p * np.log(p / p.mean(0))).sum(1).mean())
    assert inception_score(logits, splits=1, seed=None).mean == pytest.approx(expected, rel=1e-12)
    assert inception_score(logits + 900, splits=3).mean == pytest.approx(inception_score(logits, splits=3).mean)
