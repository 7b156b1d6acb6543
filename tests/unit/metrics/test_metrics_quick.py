"""The quick score of translations says whether training sees what it is judged on."""

import dataclasses

import pytest
import torch

from organza.config import override
from organza.data.store import ImageStore
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
