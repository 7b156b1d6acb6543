import os
from pathlib import Path

import numpy as np
import pytest
import torch
from data_helpers import encoded, pixels, put

from organza.config import ConfigError
from organza.data import cache, open_dataset


@pytest.fixture
def folder(tmp_path):
    for i in range(5):
        put(tmp_path / f"photos/{i}.png", encoded(pixels(i)))
    return tmp_path / "photos"


def entries(tmp_path):
    return sorted((tmp_path / "cache/decoded").glob("*"))


def decodings(listener):
    return [step for step in listener.steps if step[0] == "decoding"]


def test_files_are_decoded_once(folder, tmp_path, listener):
    first = open_dataset(folder, progress=listener)
    assert decodings(listener)
    listener.steps.clear()
    again = open_dataset(folder, progress=listener)
    assert not listener.steps
    assert torch.equal(first.images, again.images)
    assert first.fingerprint == again.fingerprint
    assert len(entries(tmp_path)) == 1


def test_changed_files_and_options_are_other_entries(folder, tmp_path):
    first = open_dataset(folder)
    put(folder / "0.png", encoded(pixels(77)))
    os.utime(folder / "0.png", (1, 1))
    changed = open_dataset(folder)
    assert changed.fingerprint != first.fingerprint
    open_dataset(folder, resolution=4)
    put(folder / "extra.png", encoded(pixels(9)))
    assert len(open_dataset(folder)) == 6
    assert len(entries(tmp_path)) == 4


def test_large_sets_are_memory_mapped_and_safe_to_write(folder, monkeypatch):
    small = open_dataset(folder)
    monkeypatch.setattr(cache, "available_memory", lambda: 1000)
    assert isinstance(
        cache._read(next(Path(os.environ["ORGANZA_CACHE"]).glob("decoded/*/images")), (5, 3, 8, 8), np.dtype("u1")),
        np.memmap,
    )
    mapped = open_dataset(folder)
    assert torch.equal(mapped.images, small.images)
    mapped.images[0] = 0  # copy on write: the entry keeps its content
    assert torch.equal(open_dataset(folder).images, small.images)


@pytest.mark.parametrize("damage", ["cut", "text", "no text", "version"])
def test_damaged_entries_are_built_again(folder, tmp_path, listener, damage):
    good = open_dataset(folder)
    [entry] = entries(tmp_path)
    facts = entry / "facts.json"
    if damage == "cut":
        (entry / "images").write_bytes(b"x")
    elif damage == "no text":
        facts.unlink()
    else:
        facts.write_text("{" if damage == "text" else facts.read_text().replace('"version": 1', '"version": 0'))
    again = open_dataset(folder, progress=listener)
    assert decodings(listener)
    assert torch.equal(again.images, good.images)
    listener.steps.clear()
    open_dataset(folder, progress=listener)
    assert not decodings(listener)


def test_an_unwritable_cache_means_memory(folder, tmp_path, monkeypatch, listener):
    monkeypatch.setenv("ORGANZA_CACHE", str(put(tmp_path / "a file", b"")))
    store = open_dataset(folder, progress=listener)
    assert len(store) == 5
    assert store.fingerprint
    assert not listener.notes


def test_without_cache_and_memory_there_is_advice(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ORGANZA_CACHE", str(put(tmp_path / "a file", b"")))
    monkeypatch.setattr(cache, "available_memory", lambda: 1000)
    with pytest.raises(ConfigError, match="set ORGANZA_CACHE to a folder with that much space, or choose a smaller"):
        open_dataset(folder)


def test_a_full_disk_means_memory(folder, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    assert len(open_dataset(folder)) == 5
    assert not entries(tmp_path)


def test_nothing_unfinished_is_left_behind(folder, tmp_path):
    put(folder / "bad.png", b"bad")
    put(folder / "other.png", encoded(pixels(1, height=9)))
    with pytest.raises(ConfigError, match="sizes"):
        open_dataset(folder)
    old = tmp_path / "cache/decoded/x.1.2.partial"
    old.mkdir(parents=True)
    os.utime(old, (1, 1))
    (folder / "other.png").unlink()
    open_dataset(folder)
    assert [entry.suffix for entry in entries(tmp_path)] == [""]


def test_the_first_of_two_writers_wins(tmp_path):
    images = np.ones((2, 1, 2, 2), np.uint8)

    def build(allocate):
        if len(entries(tmp_path)) == 0:
            cache.cached("key", build_inner)  # another process finishes while this one decodes
        array = allocate(images.shape, "uint8")
        array[:] = images
        return cache.Decoded(array, None, (), (), (), ())

    def build_inner(allocate):
        array = allocate(images.shape, "uint8")
        array[:] = images
        return cache.Decoded(array, None, (), (), (), ())

    assert (cache.cached("key", build).images == 1).all()
    assert len(entries(tmp_path)) == 1


def test_available_memory_is_plausible():
    assert 1 << 20 < cache.available_memory() < 1 << 50
