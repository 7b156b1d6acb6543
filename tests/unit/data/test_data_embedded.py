import time

import numpy as np
import pytest
import torch

from organza.config import ConfigError, Data
from organza.data import DATASETS, open_data, open_dataset
from organza.data.store import fingerprint
from organza.data.synthetic import grid_modes, ring_modes


def test_mnist_is_whole_and_opens_fast():
    start = time.process_time()
    store = open_dataset("mnist")
    assert time.process_time() - start < 2  # 0.25 s alone on a machine
    assert (store.shape, len(store), store.images.dtype) == ((1, 28, 28), 60_000, torch.uint8)
    assert store.labels is not None
    assert store.labels.dtype == torch.int64
    assert torch.bincount(store.labels).tolist()[:3] == [5923, 6742, 5958]  # published counts
    assert abs(store.images.double().mean().item() / 255 - 0.1307) < 1e-4  # published mean
    assert store.classes == tuple("0123456789")
    assert "CC BY-SA" in store.licence
    assert store.fingerprint == "51311e2ab0d62c84"  # recorded in run folders: it must not change with the code


def test_the_splits_of_mnist_differ_and_no_others_exist():
    test = open_dataset("mnist", split="test")
    assert len(test) == 10_000
    with pytest.raises(ConfigError, match="no split 'valid'; it has train, test"):
        open_dataset("mnist", split="valid")


def test_emoji_have_labels_captions_and_pairs():
    noto, twemoji = open_dataset("emoji"), open_dataset("emoji-twemoji")
    assert noto.shape == twemoji.shape == (3, 64, 64)
    assert len(noto) == len(twemoji) == len(noto.captions) == 3786
    assert len(noto.classes) == 10
    assert noto.captions == twemoji.captions
    assert torch.equal(noto.labels, twemoji.labels)
    assert not torch.equal(noto.images, twemoji.images)
    assert noto.licence != twemoji.licence


@pytest.mark.parametrize(("name", "modes", "deviation"), [("ring", ring_modes(), 0.02), ("grid", grid_modes(), 0.05)])
def test_mixtures_lie_around_their_modes(name, modes, deviation):
    store = open_dataset(name)
    assert store.images.shape == (100_000, 2)
    assert store.images.dtype == torch.float32
    offset = store.images.numpy() - modes[store.labels.numpy()]
    assert abs(offset.std() / deviation - 1) < 0.02
    assert np.bincount(store.labels.numpy()).min() > 0.9 * 100_000 / len(modes)


def test_the_geometry_of_the_modes():
    ring, grid = ring_modes(), grid_modes()
    assert np.allclose(np.hypot(*ring.T), 2)
    assert len(ring) == 8
    assert len(np.unique(grid.round(6), axis=0)) == 25
    assert grid.min() == -4
    assert np.diff(np.unique(grid[:, 0])).tolist() == [2, 2, 2, 2]


@pytest.mark.parametrize("name", ["ring", "grid", "spiral"])
def test_points_are_the_same_every_time_and_the_splits_are_not(name):
    train, again, test = open_dataset(name), open_dataset(name), open_dataset(name, split="test")
    assert train.fingerprint == again.fingerprint != test.fingerprint
    assert len(test) == 10_000
    assert train.images.norm(dim=1).max() < 6.2


def test_stacked_digits_show_their_label():
    stacked, digits = open_dataset("stacked-mnist", split="test"), open_dataset("mnist", split="test")
    assert stacked.shape == (3, 28, 28)
    assert len(stacked.classes) == 1000
    for i in (0, 77):
        digits_of_label = [int(d) for d in stacked.classes[int(stacked.labels[i])]]
        for channel, digit in enumerate(digits_of_label):
            same = (digits.images[:, 0] == stacked.images[i, channel]).all(2).all(1)
            assert set(digits.labels[same].tolist()) == {digit}


def test_fingerprints_see_every_pixel_and_label():
    images, labels = torch.zeros(3, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 2])
    prints = {fingerprint(images, labels), fingerprint(images, None), fingerprint(images.float(), labels)}
    changed, other = images.clone(), labels.clone()
    changed[2, 0, 1, 1], other[0] = 1, 1
    prints |= {fingerprint(changed, labels), fingerprint(images, other), fingerprint(images.view(3, 1, 1, 4), labels)}
    assert len(prints) == 6
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in prints)


def test_fingerprints_do_not_depend_on_strides():
    images = torch.arange(48, dtype=torch.uint8).view(2, 2, 4, 3).permute(0, 3, 1, 2)
    assert fingerprint(images, None) == fingerprint(images.contiguous(), None)


def test_open_data_uses_the_fields_of_a_configuration():
    store = open_data(Data(source="mnist", resolution=(14, 20), channels="rgb"), split="test")
    assert store.shape == (3, 14, 20)


def test_every_named_set_is_described():
    for name, dataset in DATASETS.items():
        assert dataset.about, name
        assert "train" in dataset.splits
