"""Every generator of the catalogue can be projected into, edited and looked into."""

import pytest
import torch
from editing_helpers import tiny

from organza.latent.directions import ganspace, sefa
from organza.latent.editing import codes_of, edit
from organza.latent.layers import layer_view
from organza.latent.projection import project
from organza.latent.space import LatentSpace
from organza.models import MODELS


def test_a_share_of_the_way_from_the_mean_is_checked():
    gan = tiny("stylegan2", ())
    assert not torch.equal(codes_of(gan, [1], psi=0.5)[0], codes_of(gan, [1])[0])
    for psi in (50, -1.5, float("nan")):
        with pytest.raises(ValueError, match=r"it takes -1 to 2, such as 0\.7"):
            codes_of(gan, [1], psi=psi)
    with pytest.raises(ValueError, match="has no w; leave them out"):
        codes_of(tiny("dcgan", ()), [1], psi=0.5)


@pytest.mark.parametrize("name", MODELS)
def test_the_tools_of_the_latent_space(name):
    gan = tiny(name, ("a", "b"))
    codes, labels = codes_of(gan, [1])
    own = gan.sample(seeds=[1], labels=[0])
    found = project(gan, own[0], steps=2, perceptual="pixels")
    assert found.codes.shape == codes.shape
    assert 0 <= found.distance <= 1.5 * found.distances[0] + 1e-3
    label = None if found.label is None else torch.tensor([found.label])
    assert LatentSpace(gan.generator).draw(found.codes, label, list(found.noise) or "const").shape == (1, *gan.shape)
    for directions in (sefa(gan, n=2), ganspace(gan, n=2, samples=40)):
        assert directions.basis.shape == (2, codes.shape[2])
        assert directions.basis.norm(dim=1) == pytest.approx(torch.ones(2), abs=1e-5)
        assert (directions.std > 0).all()
        images = edit(gan, codes, directions, 0, [-20, 0, 20], labels=labels)
        assert torch.equal(images[1], own[0])
        drawn = LatentSpace(gan.generator).draw(directions.moved(codes, 0, 20), labels)
        still = LatentSpace(gan.generator).draw(codes, labels)
        assert not torch.allclose(drawn, still, rtol=1e-4, atol=0)
    layers, sample = layer_view(gan, codes, labels)
    assert len(layers) > 1
    assert torch.equal(sample, own[0])
