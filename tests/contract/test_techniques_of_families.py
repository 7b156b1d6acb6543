"""Every technique with every family that starts from noise: it takes a step, or says what of it does not fit."""

from __future__ import annotations

import pytest
from engine_helpers import CPU, LATENT, shrunk, small_store

from organza.config import ConfigError, override
from organza.data.store import ImageStore
from organza.recipes import RECIPES
from organza.training.assemble import check_data, resolve
from organza.training.trainer import Trainer

D, G, ADAPTIVE = "discriminator.penalties", "generator.penalties", {"augment.probability": 0, "augment.target": 0.6}
TECHNIQUES = {
    "minimax": {"loss": "minimax"},
    "non-saturating": {"loss": "non-saturating"},
    "least-squares": {"loss": "least-squares"},
    "hinge": {"loss": "hinge"},
    "wasserstein": {"loss": "wasserstein", D: "gradient-norm"},
    "relativistic": {"loss": "relativistic"},
    "relativistic-average": {"loss": "relativistic-average"},
    "softplus": {"loss": "softplus"},
    "r1": {D: "r1", f"{D}.r1.every": 16},
    "r2": {D: "r2"},
    "dragan": {D: "dragan"},
    "drift": {D: "drift"},
    "lecam": {D: "lecam"},
    "orthogonal": {D: "orthogonal"},
    "orthogonal-g": {G: "orthogonal"},
    "feature-matching": {G: "feature-matching"},
    "smooth": {G: "smooth"},
    "cr": {D: "cr"},
    "bcr": {D: "bcr"},
    "zcr": {D: "zcr", G: "zcr"},
    "smoothing": {"targets.real": 0.9, "targets.fake": 0.1},
    "spread": {"targets.spread": 0.1},
    "flip": {"targets.flip": 0.05},
    "noise": {"noise": '{"start": 0.3, "end": 0, "images": 1000}'},
    "dropout": {"dropout": 0.3},
    "model-dropout": {"discriminator.model.dropout": 0.3},
    "stddev": {"discriminator.model.minibatch": "stddev"},
    "discrimination": {"discriminator.model.minibatch": "discrimination"},
    "unroll": {"unroll": 2, "share_fakes": False},
    "top-k": {"top_k": 0.5},
    "replay": {"replay.share": 0.5, "replay.size": 8},
    "two-rates": {"discriminator.optimizer.lr": 0.0004, "generator.optimizer.lr": 0.0001},
    "turns-of-d": {"discriminator.turns": 2, "share_fakes": False},
    "turns-of-g": {"generator.turns": 2, "share_fakes": False},
    "clip": {"discriminator.clip": 1, "generator.clip": 1},
    "weight-clip": {"discriminator.weight_clip": 0.01},
    "balance": {"balance": 0.8},
    "diffaugment": {"augment.policy": "diffaugment"},
    "ada": {"augment.policy": "bgc,filter,noise,cutout", **ADAPTIVE},
    "apa": {"augment.policy": "none", "augment.fakes_for_reals": True, **ADAPTIVE},
    "init": {"discriminator.init": "orthogonal", "generator.init": "xavier"},
    "spectral-norm": {"discriminator.spectral_norm": True},
    "spectral-norm-g": {"generator.spectral_norm": True},
    "ema": {"ema.half_life": 1000},
}

OF_POINTS = ("gan", "cgan", "lsgan", "dragan", "wgan", "wgan-gp", "infogan", "acgan", "sngan", "r3gan")
OF_IMAGES = ("cr", "bcr", "smooth", "diffaugment", "ada")
WHAT_TO_DO = ("add --", "type --", "choose --", "leave ", "allowed: ")  # a refusal ends with it
CRITICS = {"wgan", "wgan-gp", "progan"}  # no answer of theirs means real
SPECTRAL = {"fastgan", "projected-gan", "sngan", "sagan", "biggan", "biggan-deep"}
PATCHES = {"fastgan", "projected-gan"}  # D has no vector for each sample
SCALED = {"progan", "stylegan", "stylegan2", "stylegan2-ada", "stylegan3-t", "stylegan3-r"}  # no plain weights
FROM_ZERO = {"r3gan"}  # weights without a norm at the start
CUT = {"wgan"}  # weights that are cut have slopes far below 1
REFUSED = {
    **dict.fromkeys(("smoothing", "spread", "balance", "ada", "apa"), CRITICS),
    "dragan": CUT,
    "wasserstein": CUT | {"stylegan2-ada"},  # whose probability adapts to a sign
    "weight-clip": {"dragan", "wgan-gp"} | SPECTRAL | SCALED,
    **dict.fromkeys(("feature-matching", "dropout"), PATCHES),
    **dict.fromkeys(("stddev", "discrimination"), PATCHES | SCALED),
    "model-dropout": {"r3gan"} | SPECTRAL | SCALED,
    **dict.fromkeys(("orthogonal", "orthogonal-g", "init"), SCALED),
    "spectral-norm": CUT | FROM_ZERO | SCALED,
    "spectral-norm-g": FROM_ZERO | SCALED,
}  # fmt: skip


def trainer_with(technique: str, recipe: str, store: ImageStore) -> Trainer:
    """Of the recipe with small networks; penalties join those that it has."""
    config, changes = RECIPES[recipe](store.shape, "laptop"), dict(TECHNIQUES[technique])
    for field, player in ((D, config.discriminator), (G, config.generator)):
        if added := changes.get(field):
            changes[field] = ",".join(dict.fromkeys([*(penalty.name for penalty in player.penalties), added]))
    small = {**shrunk(recipe, store.shape), "batch": 4, "discriminator.turns": 1}
    config = resolve(override(config, {**small, **changes}))
    check_data(config, store, 1)
    return Trainer(config, store, CPU)


@pytest.fixture(scope="module")
def store():
    return small_store()


@pytest.fixture(scope="module")
def points():
    return small_store((2,))


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("recipe", LATENT)
def test_a_technique_takes_a_step_or_is_refused_where_it_does_not_fit(recipe, technique, store):
    told = refusal(recipe, technique, store)
    assert bool(told) == (recipe in REFUSED.get(technique, ())), told
    assert not told or names_it(technique, told), told


@pytest.mark.parametrize("technique", TECHNIQUES)
@pytest.mark.parametrize("recipe", OF_POINTS)
def test_the_same_with_points(recipe, technique, points):
    of_networks = technique in ("model-dropout", "stddev", "discrimination", "init", "spectral-norm", "spectral-norm-g")
    refused = set() if of_networks and recipe not in CUT else REFUSED.get(technique, set())
    told = refusal(recipe, technique, points)
    assert bool(told) == (recipe in refused or technique in OF_IMAGES), told
    assert not told or names_it(technique, told), told


def refusal(recipe: str, technique: str, store: ImageStore) -> str:
    """What is said in the place of a step; nothing where one was taken."""
    try:
        trainer = trainer_with(technique, recipe, store)
    except ConfigError as problem:
        return str(problem)
    trainer.step()
    assert trainer.guard.verdict() is None
    assert trainer.images == trainer.config.batch * trainer.config.discriminator.turns
    return ""


def names_it(technique: str, told: str) -> bool:
    """Whether a refusal names what was asked for, and what to type."""
    asked = TECHNIQUES[technique]
    words = {asked[field] if field in (D, G, "loss") else field.rsplit(".", 1)[-1] for field in asked}
    return any(word in told for word in words) and any(word in told for word in WHAT_TO_DO)
