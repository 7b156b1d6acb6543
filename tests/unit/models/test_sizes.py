"""Sizes of which no network can be made are refused by name, for every network of the catalogue."""

import pytest

from organza.config import ConfigError, Model
from organza.models import MODELS, TRANSLATORS, _options, build, complete

NETWORKS = [(name, role) for name in (*MODELS, *TRANSLATORS) for role in ("generator", "discriminator")]


@pytest.mark.parametrize(("name", "role"), NETWORKS)
def test_no_number_of_layers_or_channels_is_negative(name, role):
    hints = _options(name, role)
    numbers = [key for key, (hint, default) in hints.items() if hint is int and default >= 0]
    for key in numbers:
        with pytest.raises(ConfigError, match=rf"{role}\.model\.{key} is -3; it takes whole numbers from [01] on"):
            complete(Model(name=name, options={key: -3}), role)
    for key in numbers:
        if hints[key][1] and key.endswith(("width", "dim")):
            with pytest.raises(ConfigError, match=f"{key} is 0; it takes whole numbers from 1 on"):
                complete(Model(name=name, options={key: 0}), role)


def test_what_a_constructor_trips_over_is_told_in_words():
    with pytest.raises(ConfigError, match=r"discriminator 'sngan' cannot be built with .*widths.*: "):
        build(Model(name="sngan", options={"widths": ()}), "discriminator", (3, 32, 32), 0)
