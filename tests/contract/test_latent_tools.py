"""Every generator of the catalogue goes through every tool of `organza.latent`, or is refused with the reason."""

import importlib

import pytest
import torch
from latent_helpers import distance, tiny

from organza.config import Codes
from organza.latent.interpolation import interpolate
from organza.latent.mixing import mix
from organza.latent.walk import walk
from organza.models import MODELS

GENERATORS = [name for name in MODELS if hasattr(importlib.import_module(MODELS[name]), "Generator")]
CASES = [(name, classes, {}) for name in GENERATORS for classes in (0, 2)]
CASES.append(("stylegan3", 2, {"class_averages": True}))  # as StyleGAN-XL's


@pytest.mark.parametrize(("name", "classes", "options"), CASES)
def test_a_generator_goes_through_every_tool(name, classes, options):
    gan = tiny(name, classes, **options)
    whole = gan.sample(3, labels="class 1" if classes else None)
    asked = {"labels": 1} if classes else {}
    film = torch.cat(list(interpolate(gan, [0, 1, 2], frames=2, **asked)))
    assert distance(film[::2], whole) <= 1
    assert distance(film[1], film[0]) > 1
    steps = torch.cat(list(walk(gan, 4, [0, 3], pace=2, truncation=0.8, **asked)))
    assert steps.shape == (4, 2, *gan.shape)
    assert distance(steps[0], steps[3]) > 1
    assert torch.equal(torch.cat(list(walk(gan, 4, [0, 3], pace=2, truncation=0.8, **asked))), steps)
    if gan.drawing().space.layers == 1:
        with pytest.raises(ValueError, match="no layers to mix"):
            mix(gan, [0], [1], "0", **asked)
    else:
        mixed = mix(gan, [0], [1, 2], "0", **asked)
        assert distance(mixed.rows, whole[:1]) <= 1
        assert distance(mixed.columns, whole[1:]) <= 1


def test_points_and_codes():
    plane = tiny("mlp", shape=(2,), hidden=8) if "hidden" in _options("mlp") else tiny("mlp", shape=(2,))
    film = torch.cat(list(interpolate(plane, [[0, 1], [2, 3]], frames=3)))
    assert film.shape == (6, 2, 2)
    torch.testing.assert_close(film[0], plane.sample(seeds=[0, 2]))
    assert torch.cat(list(walk(plane, 5))).shape == (5, 2)
    coded = tiny("dcgan", codes=Codes(categorical=(3,), continuous=1))
    assert distance(torch.cat(list(interpolate(coded, [0, 1], frames=2)))[::2], coded.sample(2)) <= 1


def _options(name):
    from organza.config import Model
    from organza.models import complete

    return complete(Model(name=name), "generator").options
