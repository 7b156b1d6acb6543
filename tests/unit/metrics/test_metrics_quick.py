"""The quick score says how much samples vary, and of translations whether training sees what it is judged on."""

import dataclasses

import pytest
import torch

import organza
from organza.config import override
from organza.data.store import ImageStore
from organza.metrics.quick import quick_score
from organza.recipes import RECIPES
from organza.training.scoring import open_score


@pytest.mark.parametrize(("kept", "words"), [
    (True, "4 results of the EMA for images that training does not see, features"),
    (False, "6 results of the EMA for images of the training, which keeps none back, features"),
])  # fmt: skip
def test_the_protocol_says_whether_training_sees_the_images(kept, words):
    store = ImageStore("piles", torch.zeros(6, 3, 16, 16, dtype=torch.uint8), sources=torch.zeros(5, 3, 16, 16).byte())
    if kept:
        test = dataclasses.replace(store, images=store.images[:4], sources=store.sources[:4])
        store = dataclasses.replace(store, test=test)
    score = open_score(override(RECIPES["cut"]((3, 16, 16), "laptop"), {"output.score": 10}), store)
    assert score.protocol.startswith(words)


@pytest.mark.parametrize(("data", "count"), [("mnist", 2_000), ("emoji", 1_000)])
def test_variety_is_that_of_samples_over_that_of_reals(data, count):
    store = organza.open_dataset(data)
    score, rows = quick_score(store), torch.linspace(0, len(store) - 1, count).long()
    assert 0.95 < score.of(store.images[rows])["variety"] < 1.05
    alike = store.images[rows[:1]].expand(count, -1, -1, -1)
    assert 0 <= score.of(alike)["variety"] < 1e-3
    half = store.images[torch.cat([rows[: count // 2], rows[:1].expand(count // 2)])]
    assert 0.5 < score.of(half)["variety"] < 0.9
