"""Samples that are kept from training, and the others: what is too much for memory stays on disk."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from data_helpers import encoded, put

from organza.config import ConfigError, Data
from organza.data import cache, open_data, rows
from organza.data.pairs import open_pairs
from organza.data.rows import rows_of
from organza.data.store import ImageStore


@pytest.fixture
def little(monkeypatch):
    """Memory that has no room for the samples of a test."""
    for module in (rows, cache):
        monkeypatch.setattr(module, "available_memory", lambda: 1_000)
    monkeypatch.setattr(rows, "_AT_ONCE", 1_000)  # several pieces, the last one shorter


def entries():
    return sorted(Path(os.environ["ORGANZA_CACHE"]).glob("decoded/rows-*/images"))


def test_samples_that_memory_cannot_take_are_mapped(tmp_path, little, monkeypatch):
    pixels = np.random.RandomState(0).randint(0, 65536, (330, 8, 8, 3), np.uint16)
    np.save(tmp_path / "images.npy", pixels)
    data = Data(source=str(tmp_path / "images.npy"), heldout=0.1)
    store = open_data(data)
    before = [(path, path.stat().st_mtime_ns) for path in entries()]
    assert sum(path.stat().st_size for path, _ in before) == pixels.nbytes
    again = open_data(data)
    assert [(path, path.stat().st_mtime_ns) for path in entries()] == before  # written once
    monkeypatch.undo()
    whole = open_data(replace(data, heldout=0.0)).images
    kept = torch.arange(330) % 10 == 9
    for found in (store, again):
        assert torch.equal(found.images, whole[~kept])
        assert torch.equal(found.test.images, whole[kept])
    assert store.fingerprint == open_data(data).fingerprint


def test_other_samples_and_other_rows_have_entries_of_their_own(little):
    for value, mark in ((1, "a"), (2, "b")):
        store = ImageStore("s", torch.full((40, 3, 8, 8), value, dtype=torch.uint8), fingerprint=mark)
        for numbers in (torch.arange(30), torch.arange(10, 40)):
            assert torch.equal(rows_of(store, numbers).images, store.images[numbers])
    assert len(entries()) == 4


def test_both_sides_of_pairs_stay_on_disk(tmp_path, little):
    sides = [torch.arange(100 + 20 * i, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8) for i in range(2)]
    for name, side in zip("AB", sides, strict=True):
        for number, image in enumerate(side):
            put(tmp_path / f"train{name}" / f"{name}{number:03}.png", encoded(image[0].numpy()))
    store = open_pairs(Data(source=str(tmp_path)), False)
    for found, side in ((store.sources, sides[0]), (store.images, sides[1])):
        assert torch.equal(found[:, 0, 0, 0], side[torch.arange(len(side)) % 10 != 9][:, 0, 0, 0])
    assert len(entries()) == 4  # of each side both parts


def test_without_a_disk_the_error_says_where_room_is_missing(tmp_path, little, monkeypatch):
    monkeypatch.setenv("ORGANZA_CACHE", str(put(tmp_path / "a file", b"")))
    store = ImageStore("s", torch.zeros(40, 3, 8, 8, dtype=torch.uint8), fingerprint="c")
    with pytest.raises(ConfigError, match="set ORGANZA_CACHE to a folder with that much space"):
        rows_of(store, torch.arange(30))
