"""Settings that could not work, or would have no effect, are refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
from engine_helpers import CPU, small_config, small_store

from organza.config import ConfigError, override
from organza.models import MODELS
from organza.recipes import RECIPES
from organza.training.assemble import build_game, resolve

REFUSED = {
    "seed is -1": {"seed": -1},
    "seed is 4294967296": {"seed": 2**32},
    "batch is 0": {"batch": 0},
    "share_fakes": {"discriminator.turns": 2},
    "does not divide": {"share_fakes": False, "accumulate": 5},
    "unknown loss 'hinje'": {"loss": "hinje"},
    "unknown penalty 'r3'": {"discriminator.penalties": "r3"},
    "belongs to the discriminator": {"generator.penalties": "r1"},
    "output.log is 0": {"output.log": 0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message: str) -> None:
    changes: dict[str, Any] = REFUSED[message]
    with pytest.raises(ConfigError, match=message):
        resolve(override(RECIPES["dcgan"]((1, 28, 28), "laptop"), changes))


def test_the_largest_seed_is_allowed() -> None:
    config = override(RECIPES["dcgan"]((1, 28, 28), "laptop"), {"seed": 2**32 - 1})
    assert resolve(config).seed == 2**32 - 1


@pytest.mark.parametrize("name", [name for name in MODELS if name != "projected"])
def test_networks_that_are_named_alone_fit_each_other(name: str) -> None:
    asked = {"generator.model": name, "discriminator.model": name}
    config = resolve(override(RECIPES["dcgan"]((3, 32, 32), "laptop"), asked))
    assert (config.generator.model.name, config.discriminator.model.name) == (name, name)


@pytest.mark.parametrize("role", ["generator", "discriminator"])
def test_who_grows_without_a_plan_grows_as_the_other(role: str) -> None:
    asked = {"generator.model": "stylegan", "discriminator.model": "stylegan", f"{role}.model.fade": "77"}
    config = resolve(override(RECIPES["dcgan"]((3, 32, 32), "laptop"), asked))
    for player in (config.generator, config.discriminator):
        assert {name: player.model.options[name] for name in ("fade", "stable", "first")} == {
            "fade": 77, "stable": 600_000, "first": 1,
        }  # fmt: skip
    with pytest.raises(ConfigError, match=r"add --discriminator.model.fade 77"):
        resolve(override(config, {"generator.model.fade": 77, "discriminator.model.fade": 78}))


def test_dragan_steps_by_the_deviation_of_the_data_and_others_look_for_none() -> None:
    store = small_store()
    game = build_game(resolve(small_config("dragan")), store, CPU)
    assert float(game.deviation) == pytest.approx(float((store.images.float() / 127.5 - 1).std()), rel=1e-6)
    assert build_game(resolve(small_config("dcgan")), store, CPU).deviation == 1.0
