"""Two processes with half the batch each learn what one process with the whole batch learns."""

import functools

import pytest
import torch
from engine_helpers import (
    CPU,
    LATENT,
    SHAPE,
    alone_and_as_rank,
    learned,
    ranks_write,
    small_config,
    small_store,
)
from torch import nn

from organza.config import Penalty, Schedule
from organza.losses import LOSSES
from organza.penalties import PENALTIES
from organza.training.trainer import Trainer

STEPS = 4
POINTS = (2,)
D, G = "discriminator.penalties", "generator.penalties"
SGD = {"name": "sgd", "lr": 0.05, "beta1": 0.5}
OF_ALL_GAMES = [name for name, rule in PENALTIES.items() if rule.of == "all"]
SETTINGS = {f"{role}.optimizer.{k}": v for role in ("generator", "discriminator") for k, v in SGD.items()}


def some(*names, **options) -> tuple[Penalty, ...]:
    return tuple(Penalty(name=name, weight=0.1, **options) for name in names)


def matrix() -> dict:
    """Name -> (recipe, shape, changes): losses and penalties, what the engine does with them, techniques, recipes."""
    lazy = (*some("r1", every=2), *some("gradient-norm", every=3))
    due = {"share_fakes": False, D: some("r1", "r2", "gradient-norm", "drift", "dragan", "lecam")}
    cases = {f"loss-{loss}": ("gan", POINTS, {"loss": loss, **due}) for loss in LOSSES}
    cases |= {f"penalty-{name}": alone_on_its_ground(name) for name in OF_ALL_GAMES}
    more = {
        "bare": {},
        "lazy": {D: lazy, "share_fakes": False},
        "lazy-shared": {D: lazy, "share_fakes": True},
        "all-shared": due | {"share_fakes": True, "loss": "relativistic"},
        "accumulated": due | {"accumulate": 2, "loss": "hinge"},
        "accumulated-lazy": {D: lazy, "share_fakes": False, "accumulate": 2},
        "turns": {"discriminator.turns": 3, "generator.turns": 2, "share_fakes": False},
        "clip": {"discriminator.clip": 0.1, "generator.clip": 0.05},
        "rate": {"generator.optimizer.lr": Schedule(start=0.1, end=0.0, images=24)},
    }
    cases |= {name: ("gan", POINTS, changes) for name, changes in more.items()}
    cases |= {f"technique-{name}": ("dcgan", SHAPE, plain_dcgan() | TOLD[name]) for name in TOLD}
    cases |= {f"recipe-{name}": (name, SHAPE, without_dropout(name)) for name in LATENT}
    grown = {f"{role}.model.{phase}": 0 for role in ("generator", "discriminator") for phase in ("fade", "stable")}
    cases |= {f"recipe-{name}-grown": (name, SHAPE, grown) for name in ("progan", "stylegan")}
    cases |= {f"styles-{name}": (name, SHAPE, {"generator.model.mixing": 0.9}) for name in MIXING}
    flipped = {"data.flip": True, "conditional": True, D: lazy, "share_fakes": False}
    return cases | {"flip-labels": ("dcgan", SHAPE, plain_dcgan() | flipped)}


def alone_on_its_ground(name: str) -> tuple:
    """A penalty in the turns of all players that may have it, with what it needs."""
    rule = PENALTIES[name]
    changes: dict = {f"{role}.penalties": some(name) for role in rule.players} | {"share_fakes": False}
    if name not in GROUND and not rule.images_only:
        return "gan", POINTS, changes
    return "dcgan", SHAPE, plain_dcgan() | GROUND.get(name, {}) | changes


def plain_dcgan() -> dict:
    """Changes to dcgan without norms, with weights large enough that gradients are."""
    return {
        f"{role}.{k}": v for role in ("generator", "discriminator") for k, v in (("model.norm", "none"), ("init", "he"))
    }


def without_dropout(recipe: str) -> dict:
    """Changes to a recipe without the masks that each process draws, and with weights that leave G a gradient."""
    critic = small_config(recipe).discriminator
    wide = {"discriminator.weight_clip": 0.2} if critic.weight_clip else {}
    alone = {"discriminator.model.dropout": 0.0} if "dropout" in critic.model.options else {}  # masks of each process
    return wide | alone


GROUND = {
    "classification": {"conditional": True},
    "classification-of-reals": {"conditional": True, G: some("classification")},
    "mutual-information": {"codes.categorical": (3,), "codes.continuous": 1},
    "path-length": {
        "generator.model": {"name": "stylegan2", "z_dim": 8, "w_dim": 8, "width": 8, "max_width": 8},
        "generator.init": "own",
    },
    "reconstruction": {"discriminator.model": {"name": "fastgan", "width": 8}, "discriminator.init": "own"},
}
BOTH = {role: some("classification", every=2) for role in (D, G)}
TOLD = {
    "noise": {"noise": Schedule(start=0.5, end=0.1, images=24)},
    "targets": {"targets.real": 0.8, "targets.spread": 0.1, "targets.flip": 0.2},
    "ada": {"augment.policy": "bgc", "augment.target": 0.4, "augment.probability": 0.5, "augment.speed": 100},
    "diffaugment": {"augment.policy": "diffaugment", D: some("r1")},
    "pseudo": {"augment.fakes_for_reals": True, "augment.probability": 0.5, "loss": "relativistic"},
    "balance": {"balance": 0.5, "discriminator.optimizer.lr": 0.2},
    "weight-clip": {"discriminator.weight_clip": 0.2, "loss": "wasserstein"},
    "spectral-norm": {"discriminator.spectral_norm": True, "generator.spectral_norm": True},
    "matched": {G: some("feature-matching", "zcr"), "loss": "relativistic-average"},
    "deviation": {"discriminator.model.minibatch": "stddev", D: some("gradient-norm")},
    "deviation-accumulated": {
        "discriminator.model.minibatch": "stddev",
        "share_fakes": False,
        "accumulate": 2,
        "batch": 16,
    },
    "lazy-heads": {"conditional": True, **BOTH, "share_fakes": False},
    "idle-decoders": GROUND["reconstruction"],
}
"""Techniques that are equal for any number of processes.

Not so: replay and top-k, which choose among the fakes of each process; minibatch discrimination, which compares all
samples of a process; dropout, whose masks each process draws; batch norm on a CPU (`fix_batch_norm`).
"""
MIXING = ("stylegan", "stylegan2", "stylegan2-ada")


def fix_batch_norm(trainer: Trainer) -> None:
    """Let batch norm use its running statistics: those of a batch tie the samples of one process together."""
    for network in (trainer.game.generator, trainer.game.discriminator):
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.eval()


def leave_the_flat(trainer: Trainer) -> None:
    """Let StyleGAN begin with a constant that varies.

    The paper's is all ones: AdaIN divides by its deviation of 0, gradients before it are 1e6, and that of the bias,
    which is 0, is computed as what their rounding leaves (0.1 in float32, 3e-10 in float64), in any order of the sums.
    """
    constant = getattr(getattr(trainer.game.generator, "synthesis", None), "const", None)
    if constant is not None:
        generator = torch.Generator().manual_seed(0)
        constant.data.copy_(torch.randn(constant.shape, generator=generator))


@functools.cache
def trained(case: str) -> dict:
    """Gradients and weights of both players, and of the average, after some steps."""
    recipe, shape, changes = CASES[case]
    once = {"discriminator.turns": 1} if "discriminator.turns" not in changes else {}
    config = small_config(recipe, SETTINGS | once | changes, shape)
    trainer = Trainer(config, small_store(shape), CPU)
    fix_batch_norm(trainer)
    leave_the_flat(trainer)
    for _ in range(
        1 if case.startswith(("recipe", "styles")) else STEPS
    ):  # deep networks magnify rounding from step to step
        trainer.step()
    found = {f"average/{name}": tensor for name, tensor in trainer.average.state_dict().items()}
    return found | learned(trainer.game)


CASES = matrix()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("ranks")
    ranks_write(str(place), trained, CASES)
    return place


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case, folder):
    alone, first = alone_and_as_rank(trained, case, folder)
    for name, tensor in alone.items():
        atol = max(1e-6, 1e-5 * tensor.abs().max().item())
        torch.testing.assert_close(first[name], tensor, rtol=1e-5, atol=atol, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("case", CASES)
def test_the_tolerance_is_far_below_what_is_compared(case):
    """The gradients are large enough that half of a batch alone would be told apart."""
    found = trained(case)
    for player in ("g", "d"):
        norm = sum(t.square().sum() for n, t in found.items() if n.startswith(player) and n.endswith("gradient")).sqrt()
        assert norm > 1e-4


def test_every_loss_penalty_and_possible_recipe_is_compared():
    used = {changes.get("loss", "non-saturating") for _, _, changes in CASES.values()}
    due = {p.name for _, _, changes in CASES.values() for role in (D, G) for p in changes.get(role, ())}
    assert used == set(LOSSES)
    assert due == set(OF_ALL_GAMES)
    assert {recipe for recipe, _, _ in CASES.values()} >= {"gan", "dcgan", "cgan", "wgan-gp", "r3gan"}
