"""Two processes with half the batch each learn what one learns, in every recipe that starts from images."""

import functools

import pytest
import torch
from engine_helpers import TRANSLATING, alone_and_as_rank, learned, ranks_write, translation_trainer
from torch import nn

from organza.config import Penalty
from organza.penalties import PENALTIES

CPU = torch.device("cpu")
SGD = {"name": "sgd", "lr": 0.05, "beta1": 0.5}
SETTINGS = {f"{role}.optimizer.{k}": v for role in ("generator", "discriminator") for k, v in SGD.items()}
SETTINGS |= {"replay.share": 0.0, "replay.size": 512}  # each process has a pool of its own
CASES = {recipe: (recipe, {}) for recipe in TRANSLATING} | {
    # CUT's heads start so small that their gradients are 1e5, beside which nothing else could be compared.
    **{recipe: (recipe, {"generator.init": "he"}) for recipe in ("cut", "fastcut")},
    "munit-cycle": (
        "munit",
        {"generator.penalties": tuple(Penalty(name=n, weight=1.0) for n in ("image", "style", "cycle", "smooth"))},
    ),
    "stargan-unread": ("stargan", {"generator.penalties": (Penalty(name="classification", weight=1.0, every=2),)}),
}


@functools.cache
def trained(case: str) -> dict:
    """Gradients and weights after one step."""
    recipe, changes = CASES[case]
    trainer = translation_trainer(recipe, SETTINGS | changes)
    for network in (trainer.game.generator, trainer.game.discriminator):
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.Dropout)):
                module.eval()  # statistics and masks are each process's own
    trainer.step()
    return learned(trainer.game)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("ranks")
    ranks_write(str(place), trained, CASES)
    return place


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case, folder):
    alone, first = alone_and_as_rank(trained, case, folder)
    largest = max(float(t.abs().max()) for n, t in alone.items() if n.endswith("gradient"))
    for name, tensor in alone.items():
        # A norm takes away the bias before it: what is left of that gradient, which is 0, is rounding of large ones.
        atol = max(1e-6, 1e-4 * tensor.abs().max().item(), 1e-6 * largest)
        torch.testing.assert_close(first[name], tensor, rtol=1e-4, atol=atol, msg=lambda text, n=name: f"{n}: {text}")
    assert sum(t.square().sum() for n, t in alone.items() if n.endswith("gradient")).sqrt() > 1e-4


def test_every_penalty_of_translations_is_compared():
    due = {penalty.name for recipe, changes in CASES.values() for penalty in penalties(recipe, changes)}
    assert due >= {name for name, rule in PENALTIES.items() if rule.of != "all"}


def penalties(recipe: str, changes: dict) -> list[Penalty]:
    config = translation_trainer(recipe, SETTINGS | changes).config
    return [*config.generator.penalties, *config.discriminator.penalties]
