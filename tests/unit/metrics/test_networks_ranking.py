"""That distances in the embedded general features grow when images get worse, and are small when they are as good."""

from functools import cache

import pytest
import torch
from torch.nn import functional as F

from organza.data import open_dataset
from organza.metrics.frechet import frechet_distance
from organza.metrics.networks import open_network

COUNT = 400  # of each set


@cache
def halves(name):
    """Two sets of real images of a data set, and the labels of the second."""
    store = open_dataset(name, resolution=32) if name == "emoji" else open_dataset(name)
    index = torch.randperm(len(store), generator=torch.Generator().manual_seed(0))
    return store.images[index[:COUNT]], store.images[index[COUNT : 2 * COUNT]], store.labels[index[COUNT : 2 * COUNT]]


@cache
def real(name):
    return open_network("general").features(halves(name)[0])


def distance(name, images):
    return frechet_distance(real=real(name), fake=open_network("general").features(images))


@cache
def floor(name):
    return distance(name, halves(name)[1])


def noisy(images, deviation):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return (images + deviation * noise).clamp(0, 255).byte()


def blurred(images, deviation):
    places = torch.arange(-9.0, 10)
    kernel = torch.exp(-(places**2) / (2 * deviation**2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1)
    x = images.float().flatten(0, 1)[:, None]
    x = F.conv2d(F.pad(x, (9, 9, 9, 9), mode="replicate"), kernel[..., None])
    return F.conv2d(x, kernel[:, :, None]).clamp(0, 255).byte().view(images.shape)


def dropped(images, labels, kept):
    """As many images, of the first `kept` of ten classes."""
    left = images[labels < kept]
    return left[torch.arange(len(images)) % len(left)]


@pytest.mark.parametrize("name", ["emoji", "mnist"])
def test_real_halves_are_near_and_equal_sets_at_zero(name):
    assert frechet_distance(real=real(name), fake=real(name)) < 1e-6 * real(name).var(0).sum()
    spread = 2 * float(real(name).var(0).sum())  # the distance of sets that have nothing in common is of this order
    assert 0 < floor(name) < 0.2 * spread


@pytest.mark.parametrize("name", ["emoji", "mnist"])
def test_distance_grows_with_noise(name):
    _, fake, _ = halves(name)
    found = [floor(name), *(distance(name, noisy(fake, deviation)) for deviation in (10, 30, 80))]
    assert found == sorted(found)
    assert 1 < found[1] / found[0] < 20
    assert 3 < found[3] / found[0] < 1000


@pytest.mark.parametrize("name", ["emoji", "mnist"])
def test_distance_grows_with_blur(name):
    _, fake, _ = halves(name)
    found = [floor(name), *(distance(name, blurred(fake, deviation)) for deviation in (0.6, 1.2, 2.5))]
    assert found == sorted(found)
    assert 1.02 < found[1] / found[0] < 20
    assert 3 < found[3] / found[0] < 1000


@pytest.mark.parametrize("name", ["emoji", "mnist"])
def test_distance_grows_with_dropped_modes(name):
    _, fake, labels = halves(name)
    found = [floor(name), *(distance(name, dropped(fake, labels, kept)) for kept in (7, 4, 1))]
    assert found == sorted(found)
    assert 1.05 < found[2] / found[0] < 50
    assert 1.5 < found[3] / found[0] < 200
