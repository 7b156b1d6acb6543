"""Two processes with half the batch each learn what one learns, in every recipe that starts from images."""

import functools

import pytest
import torch
from engine_helpers import TRANSLATING, as_processes, translation_trainer
from safetensors.torch import load_file, save_file
from torch import nn

from organza.config import Penalty
from organza.penalties import PENALTIES
from organza.training.distributed import process_group, rank, world

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
    found = {}
    for player, network in (("g", trainer.game.generator), ("d", trainer.game.discriminator)):
        for name, parameter in network.named_parameters():
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            found |= {f"{player}/{name}/value": parameter.detach(), f"{player}/{name}/gradient": gradient}
    return {name: tensor.clone().contiguous() for name, tensor in found.items()}


def work(rank_number: int, folder: str) -> None:
    with process_group(CPU):
        assert (rank(), world()) == (rank_number, 2)
        for case in CASES:
            save_file(trained(case), f"{folder}/{case}-{rank_number}.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("ranks")
    assert as_processes(work, str(place)) == [0, 0]
    return place


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case, folder):
    alone = trained(case)
    first, second = (load_file(folder / f"{case}-{number}.safetensors") for number in (0, 1))
    assert alone.keys() == first.keys() == second.keys()
    largest = max(float(t.abs().max()) for n, t in alone.items() if n.endswith("gradient"))
    for name, tensor in alone.items():
        assert torch.equal(first[name], second[name]), f"{name} differs between the processes"
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
