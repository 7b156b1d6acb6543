"""Two processes with half the batch each learn what one process with the whole batch learns."""

import itertools

import pytest
import torch
from engine_helpers import CPU, SHAPE, as_processes, small_config, small_store
from safetensors.torch import load_file, save_file

from organza.config import Penalty, Schedule
from organza.losses import LOSSES
from organza.models import complete
from organza.penalties import PENALTIES
from organza.recipes import RECIPES
from organza.training.distributed import process_group, rank, world
from organza.training.trainer import Trainer

STEPS = 4
POINTS = (2,)
SGD = {"name": "sgd", "lr": 0.05, "beta1": 0.5}
SETTINGS = {f"{role}.optimizer.{k}": v for role in ("generator", "discriminator") for k, v in SGD.items()}


def some(*names, **options) -> tuple[Penalty, ...]:
    return tuple(Penalty(name=name, weight=0.1, **options) for name in names)


def matrix() -> dict:
    """Name -> (recipe, shape, changes): everything on points, then networks of each kind on images."""
    cases = {}
    for loss, penalty in itertools.product(LOSSES, [None, *PENALTIES]):
        due = {"discriminator.penalties": some(penalty) if penalty else ()}
        cases[f"{loss}-{penalty}"] = ("gan", POINTS, {"loss": loss, "share_fakes": False, **due})
    lazy = (*some("r1", every=2), *some("gradient-norm", every=3))
    more = {
        "lazy": {"discriminator.penalties": lazy, "share_fakes": False},
        "lazy-shared": {"discriminator.penalties": lazy, "share_fakes": True},
        "all-shared": {"discriminator.penalties": some(*PENALTIES), "share_fakes": True, "loss": "relativistic"},
        "accumulated": {"discriminator.penalties": some(*PENALTIES), "share_fakes": False, "accumulate": 2},
        "accumulated-lazy": {"discriminator.penalties": lazy, "share_fakes": False, "accumulate": 4},
        "turns": {"discriminator.turns": 3, "generator.turns": 2, "share_fakes": False},
        "clip": {"discriminator.clip": 0.1, "generator.clip": 0.05},
        "rate": {"generator.optimizer.lr": Schedule(start=0.1, end=0.0, images=24)},
    }
    cases |= {name: ("gan", POINTS, changes) for name, changes in more.items()}
    cases |= {f"recipe-{name}": (name, SHAPE, norm_free(name)) for name in RECIPES if norm_free(name) is not None}
    flipped = {"data.flip": True, "conditional": True, "discriminator.penalties": lazy, "share_fakes": False}
    return cases | {"flip-labels": ("dcgan", SHAPE, (norm_free("dcgan") or {}) | flipped)}


def norm_free(recipe: str) -> dict | None:
    """Changes that rid a recipe's networks of what ties samples together; None where that is not possible."""
    changes, config = {}, small_config(recipe)
    for role in ("generator", "discriminator"):
        model = getattr(config, role).model
        if "norm" in complete(model, role).options:
            changes[f"{role}.model.norm"] = "none"
        if "dropout" in model.options:
            changes[f"{role}.model.dropout"] = 0.0
    trainer = Trainer(small_config(recipe, changes), small_store(), CPU)
    networks = (trainer.game.generator, trainer.game.discriminator)
    tied = any("BatchNorm" in type(module).__name__ for network in networks for module in network.modules())
    return None if tied else changes


def trained(case: str) -> dict:
    """Gradients and weights of both players, and of the average, after some steps."""
    recipe, shape, changes = CASES[case]
    often = {"discriminator.turns": 1} if recipe == "wgan-gp" else {}
    config = small_config(recipe, SETTINGS | often | changes, shape)
    trainer = Trainer(config, small_store(shape), CPU)
    for _ in range(STEPS):
        trainer.step()
    found = {f"average/{name}": tensor for name, tensor in trainer.average.state_dict().items()}
    for player, network in (("g", trainer.game.generator), ("d", trainer.game.discriminator)):
        for name, parameter in network.named_parameters():
            found[f"{player}/{name}/value"] = parameter.detach()
            found[f"{player}/{name}/gradient"] = parameter.grad
    return {name: tensor.clone().contiguous() for name, tensor in found.items()}


CASES = matrix()


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
    for name, tensor in alone.items():
        assert torch.equal(first[name], second[name]), f"{name} differs between the processes"
        torch.testing.assert_close(first[name], tensor, rtol=1e-5, atol=1e-6, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("case", CASES)
def test_the_tolerance_is_far_below_what_is_compared(case):
    """The gradients are large enough that half of a batch alone would be told apart."""
    found = trained(case)
    for player in ("g", "d"):
        norm = sum(t.square().sum() for n, t in found.items() if n.startswith(player) and n.endswith("gradient")).sqrt()
        assert norm > 1e-4


def test_every_loss_penalty_and_possible_recipe_is_compared():
    used = {changes.get("loss", "non-saturating") for _, _, changes in CASES.values()}
    due = {p.name for _, _, changes in CASES.values() for p in changes.get("discriminator.penalties", ())}
    assert used == set(LOSSES)
    assert due == set(PENALTIES)
    assert {recipe for recipe, _, _ in CASES.values()} >= {"gan", "dcgan", "cgan", "wgan-gp", "r3gan"}
