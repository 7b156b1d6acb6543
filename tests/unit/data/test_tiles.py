"""Pictures of any sizes: tiles of their own pixels that cover them, for windows that training cuts at random."""

import numpy as np
import pytest
import torch
from data_helpers import encoded, pixels, put

from organza.config import ConfigError, Data
from organza.data.pairs import open_pairs
from organza.data.tiles import places
from organza.training.batches import Batches

CPU = torch.device("cpu")


def opened(folder, side, progress=None, **more):
    data = Data(source=str(folder), window=(side, side), degrade="outline", **more)
    return open_pairs(data, True, *([] if progress is None else [progress]))


@pytest.mark.parametrize(
    ("size", "tile"), [((8, 8), (8, 8)), ((9, 8), (8, 8)), ((31, 16), (8, 8)), ((16, 64), (8, 20))]
)
def test_as_few_tiles_as_cover_a_picture(size, tile):
    seen, found = np.zeros(size, int), places(size, tile)
    for top, left in found:
        assert seen[top : top + tile[0], left : left + tile[1]].shape == tile
        seen[top : top + tile[0], left : left + tile[1]] += 1
    assert seen.min() >= 1
    assert len(found) == np.prod([-(-side // part) for side, part in zip(size, tile, strict=True)])
    assert found[0] == (0, 0)


def test_pictures_of_any_sizes_become_tiles_of_their_own_pixels(tmp_path, listener):
    sizes = [(20, 30), (40, 25), (16, 16), (7, 50)]
    for i, size in enumerate(sizes):
        put(tmp_path / f"set/{i}.png", encoded(pixels(i, *size)))
    put(tmp_path / "set/bad.png", b"no image")
    store = opened(tmp_path / "set", 8, listener)
    assert store.shape == (3, 16, 16)
    assert len(store) == 2 * 2 + 3 * 2 + 1
    first = np.moveaxis(pixels(0, 20, 30), -1, 0)
    assert np.array_equal(store.images[0], first[:, :16, :16])
    assert np.array_equal(store.images[3], first[:, 4:, 14:]), "up to the border"
    left, tiles = listener.notes
    assert (
        left == "2 of 5 images are left out (3.png: 7x50, smaller than data.window; bad.png: not an image, or damaged)"
    )
    assert tiles.startswith("11 tiles of 3 pictures of")
    again = opened(tmp_path / "set", 8, listener)
    assert again.fingerprint == store.fingerprint
    assert listener.notes == [left, tiles] * 2, "from the cache: told again"


def test_training_cuts_its_windows_out_of_the_tiles(tmp_path):
    rows, columns = np.mgrid[:40, :60]
    put(tmp_path / "set/0.png", encoded(np.stack([rows, columns, rows], -1).astype(np.uint8)))
    put(tmp_path / "set/1.png", encoded(np.stack([rows, columns, rows], -1).astype(np.uint8)[:30]))
    store = opened(tmp_path / "set", 8)
    data = Data(source="", window=(8, 8), degrade="outline")
    batch = Batches(store, 500, 0, CPU, seed=0, data=data, game="paired").next()
    corners = ((batch.real[:, :2, 0, 0] + 1) * 127.5).round()
    assert batch.real.shape[2:] == (8, 8)
    assert corners[:, 0].min() == 0
    assert corners[:, 1].max() == 52
    assert len(corners.unique(dim=0)) > 250


def test_small_pictures_decide_and_those_within_two_windows_stay_whole(tmp_path):
    for i in range(3):
        put(tmp_path / f"set/{i}.png", encoded(pixels(i, 12, 9 + i)))
    assert opened(tmp_path / "set", 8).shape == (3, 12, 9)
    for i in range(3):
        put(tmp_path / f"same/{i}.png", encoded(pixels(i, 12, 9)))
    store = opened(tmp_path / "same", 8)
    assert np.array_equal(store.images[1], np.moveaxis(pixels(1, 12, 9), -1, 0))
    assert len(store) == 3


def test_pictures_are_kept_from_training_and_not_tiles(tmp_path):
    for i in range(101):
        put(tmp_path / f"set/{i:03}.png", encoded(np.full((4, 6 if i % 2 else 4, 3), i, np.uint8)))
    put(tmp_path / "set/000.png", encoded(np.zeros((1, 1, 3), np.uint8)))  # too small: 100 are left
    store = opened(tmp_path / "set", 2)
    kept, seen = ({int(v) for v in part.images[:, 0, 0, 0]} for part in (store.test, store))
    assert kept == set(range(10, 101, 10))
    assert seen == set(range(1, 101)) - kept
    assert len(store.test) == 10
    assert len(store) == 40 + 50 * 2


def test_a_test_split_and_other_colours(tmp_path):
    for split, channels in (("train", 3), ("test", 1)):
        for i in range(2):
            put(tmp_path / f"set/{split}/{i}.png", encoded(pixels(i, 8 + i, 20, channels)))
    with pytest.raises(ConfigError, match=r"other colours in train than in test; add --data\.channels rgb"):
        opened(tmp_path / "set", 4)
    store = opened(tmp_path / "set", 4, channels="rgb")
    assert store.shape == store.test.shape == (3, 8, 8)


def test_pictures_that_are_all_too_small_are_refused(tmp_path):
    for i in range(3):
        put(tmp_path / f"set/{i}.png", encoded(pixels(i, 20 + i, 33)))
    with pytest.raises(
        ConfigError, match=r"none of 3 .*64x64 \(the largest is 22x33\); add --data.window 16, or --data"
    ):
        opened(tmp_path / "set", 64)
    assert opened(tmp_path / "set", 64, resolution=(64, 64)).shape == (3, 64, 64)
