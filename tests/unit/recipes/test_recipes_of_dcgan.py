"""The published settings of the families that are DCGAN's networks with another loss, labels or codes."""

import pytest

from organza.config import Penalty
from organza.recipes import RECIPES

SHAPE = (1, 28, 28)
PUBLISHED = {
    "dcgan": {
        "loss": "non-saturating", "batch": 128, "turns": 1, "beta1": 0.5, "rates": (2e-4, 2e-4), "z_dim": 100,
    },  # arXiv:1511.06434, section 4
    "lsgan": {
        "loss": "least-squares", "batch": 64, "turns": 1, "beta1": 0.5, "rates": (1e-3, 1e-3),
    },  # arXiv:1611.04076, section 4.1
    "wgan": {
        "loss": "wasserstein", "batch": 64, "turns": 5, "optimizer": "rmsprop", "rates": (5e-5, 5e-5), "cut": 0.01,
    },  # arXiv:1701.07875, algorithm 1
    "dragan": {
        "loss": "non-saturating", "turns": 1, "beta1": 0.5, "rates": (2e-4, 2e-4),
        "penalties": (Penalty(name="dragan", weight=10.0),),
    },  # arXiv:1705.07215, section 2.3
    "infogan": {
        "loss": "non-saturating", "turns": 1, "beta1": 0.5, "rates": (1e-3, 2e-4), "codes": ((10,), 2),
        "z_dim": 62 + 10 + 2, "penalties": (Penalty(name="mutual-information", weight=1.0),),
    },  # arXiv:1606.03657, appendix C.1
    "acgan": {
        "loss": "non-saturating", "batch": 100, "turns": 1, "beta1": 0.5, "rates": (2e-4, 2e-4), "dropout": 0.5,
        "conditional": True, "penalties": (Penalty(name="classification", weight=1.0),),
    },  # arXiv:1610.09585, appendix A
}  # fmt: skip


def settings(recipe: str, size: str) -> dict:
    """What a paper says, by the names of `PUBLISHED`."""
    config = RECIPES[recipe](SHAPE, size)
    maker, judge = config.generator, config.discriminator
    assert maker.optimizer.name == judge.optimizer.name
    assert maker.optimizer.beta1 == judge.optimizer.beta1
    return {
        "loss": config.loss, "batch": config.batch, "turns": judge.turns, "optimizer": judge.optimizer.name,
        "beta1": judge.optimizer.beta1, "rates": (maker.optimizer.lr, judge.optimizer.lr), "cut": judge.weight_clip,
        "penalties": judge.penalties, "codes": (config.codes.categorical, config.codes.continuous),
        "z_dim": maker.model.options["z_dim"], "dropout": judge.model.options["dropout"],
        "conditional": config.conditional,
    }  # fmt: skip


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_published_settings(recipe):
    """What a paper leaves open is DCGAN's (arXiv:1511.06434, section 4)."""
    plain = {"optimizer": "adam", "beta1": 0.0, "cut": None, "penalties": (), "codes": ((), 0), "dropout": 0.0,
             "conditional": False, "z_dim": 100, "batch": 128}  # fmt: skip
    assert settings(recipe, "paper") == plain | PUBLISHED[recipe]


@pytest.mark.parametrize("recipe", PUBLISHED)
def test_the_method_is_the_same_on_a_laptop(recipe):
    of_the_method = PUBLISHED[recipe].keys() & {"loss", "turns", "cut", "penalties", "codes", "z_dim", "conditional"}
    found = settings(recipe, "laptop")
    assert {name: found[name] for name in of_the_method} == {name: PUBLISHED[recipe][name] for name in of_the_method}


@pytest.mark.parametrize("recipe", ["gan", "cgan"])
def test_fully_connected_players_have_the_first_loss_and_dcgans_rates(recipe):
    """arXiv:1406.2661 prints no rates; its noise is of 100 numbers, and its D has dropout (section 5)."""
    config = RECIPES[recipe](SHAPE, "paper")
    assert (config.loss, config.conditional) == ("non-saturating", recipe == "cgan")
    assert {player.model.name for player in (config.generator, config.discriminator)} == {"mlp"}
    assert config.generator.model.options["z_dim"] == 100
    assert config.discriminator.model.options["dropout"] > 0
    for player in (config.generator, config.discriminator):
        assert (player.optimizer.lr, player.optimizer.beta1, player.turns) == (2e-4, 0.5, 1)


def test_g_has_to_be_legible_too():
    for recipe, penalty in (("infogan", "mutual-information"), ("acgan", "classification")):
        assert RECIPES[recipe](SHAPE, "paper").generator.penalties == (Penalty(name=penalty, weight=1.0),)
