"""Pairs from every layout, the refusals of data that has none, and what is made of the images themselves."""

import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import organza
from organza.config import ConfigError, Data
from organza.data.degrade import DEGRADATIONS, degradation, grey, outline, smaller
from organza.data.pairs import open_domains, open_pairs
from organza.draws import Draws
from organza.recipes import RECIPES
from organza.training.batches import Batches, middle, of_source, to_bytes
from organza.training.scoring import open_score

SIDE = 8


def write(folder: Path, names, shade=0, size=(SIDE, SIDE)):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        values = np.full((size[1], size[0], 3), shade + number, np.uint8)
        Image.fromarray(values).save(folder / f"{name}.png")


def opened(folder, paired=True, **fields):
    return open_pairs(Data(source=str(folder), **fields), paired)


def shades(images):
    return images[:, 0, 0, 0].tolist()


@pytest.mark.parametrize("tops", [("trainA", "trainB"), ("train_A", "train_B"), ("A/train", "B/train"), ("A", "B"),
                                  ("train_label", "train_img")])  # fmt: skip
def test_two_folders_are_pairs_by_name(tmp_path, tops):
    write(tmp_path / tops[0], ("x", "y", "z"), 10)
    write(tmp_path / tops[1], ("y", "z", "x"), 100)
    store = opened(tmp_path)
    assert store.paired
    assert shades(store.sources) == [10, 11, 12]
    assert shades(store.images) == [102, 100, 101]
    turned = opened(tmp_path, direction="BtoA")
    assert shades(turned.images) == [10, 11, 12]
    assert turned.fingerprint != ""


def test_a_test_split_is_kept_from_training(tmp_path):
    for top, shade in (("trainA", 10), ("trainB", 20), ("testA", 30), ("testB", 40)):
        write(tmp_path / top, ("x", "y"), shade)
    store = opened(tmp_path)
    assert shades(store.sources) == [10, 11]
    assert shades(store.test.sources) == [30, 31]
    assert shades(store.test.images) == [40, 41]


def test_a_zip_is_read_like_a_folder(tmp_path):
    write(tmp_path / "d" / "A", ("x",), 1)
    write(tmp_path / "d" / "B", ("x",), 2)
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for file in sorted((tmp_path / "d").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "d"))
    assert shades(opened(tmp_path / "d.zip").images) == [2]


def test_images_side_by_side_are_cut_in_two(tmp_path):
    (tmp_path / "train").mkdir()
    wide = np.zeros((SIDE, 2 * SIDE, 3), np.uint8)
    wide[:, SIDE:] = 200
    Image.fromarray(wide).save(tmp_path / "train" / "1.png")
    store = opened(tmp_path)
    assert store.sources.shape == store.images.shape == (1, 3, SIDE, SIDE)
    assert (shades(store.sources), shades(store.images)) == ([0], [200])


def test_without_counterparts_a_game_of_pairs_is_refused_and_others_are_not(tmp_path):
    write(tmp_path / "trainA", ("a", "b"), 1)
    write(tmp_path / "trainB", ("c", "d", "e"), 2)
    with pytest.raises(ConfigError, match=r"no image of A has a counterpart.*cyclegan"):
        opened(tmp_path)
    store = opened(tmp_path, paired=False)
    assert (len(store.sources), len(store.images), store.paired) == (2, 3, False)


class Kept:
    """Progress that keeps what it is told."""

    def __init__(self):
        self.notes = []

    def step(self, what, done, total): ...
    def note(self, text):
        self.notes.append(text)


def test_images_without_counterpart_are_left_out_and_told(tmp_path):
    write(tmp_path / "A", ("x", "y", "alone"), 1)
    write(tmp_path / "B", ("x", "y"), 2)
    told = Kept()
    store = open_pairs(Data(source=str(tmp_path)), True, told)
    assert len(store) == 2
    assert "1 images of" in told.notes[0]
    assert "(alone)" in told.notes[0]


def test_images_of_one_name_but_for_the_ending_are_told_or_all_used(tmp_path):
    write(tmp_path / "A", ("x", "y"), 10)
    write(tmp_path / "B", ("x", "y"), 100)
    Image.fromarray(np.full((SIDE, SIDE, 3), 50, np.uint8)).save(tmp_path / "A" / "y.bmp")
    told = Kept()
    assert len(open_pairs(Data(source=str(tmp_path)), True, told).sources) == 2
    assert "1 images" in told.notes[0]
    assert "another of their name, but for the ending, and are left out (y)" in told.notes[0]
    store = opened(tmp_path, paired=False)
    assert sorted(shades(store.sources)) == [10, 11, 50]
    assert not store.paired


def test_counterparts_in_a_game_that_needs_none_are_told(tmp_path):
    """Scores compare with them, and two piles may be numbered alike by chance."""
    write(tmp_path / "A", ("0", "1"), 10)
    write(tmp_path / "B", ("0", "1"), 100)
    told = Kept()
    assert open_pairs(Data(source=str(tmp_path)), False, told).paired
    assert "the same names and count as counterparts" in told.notes[0]
    write(tmp_path / "B", ("2",), 100)
    told = Kept()
    assert not open_pairs(Data(source=str(tmp_path)), False, told).paired
    assert told.notes == []


def ramp(side, top, left):
    """An image whose values tell the place."""
    rows, columns = np.mgrid[:side, :side]
    return np.stack([rows, columns, np.full_like(rows, top + left)], -1).astype(np.uint8)


def test_small_copies_are_cut_where_their_originals_are(tmp_path):
    for top, side in (("A", 12), ("B", 48)):
        (tmp_path / top).mkdir()
        for name in ("x", "y", "z"):
            Image.fromarray(ramp(side, 1, 2)).save(tmp_path / top / f"{name}.png")
    data = Data(source=str(tmp_path), window=(16, 8), flip=False)
    store = open_pairs(data, True)
    assert (store.scale, store.sources.shape[2:], store.images.shape[2:]) == (4, (12, 12), (48, 48))
    batches = Batches(store, 300, 0, torch.device("cpu"), seed=0, data=data, game="restore")
    batch = batches.next()
    assert (batch.real.shape[2:], batch.source.shape[2:]) == ((16, 8), (4, 2))
    large, small = to_bytes(batch.real)[:, :2, 0, 0], to_bytes(batch.source)[:, :2, 0, 0]
    assert torch.equal(large, 4 * small)
    assert set(small[:, 0].tolist()) == set(range(9))  # every place, the last one too
    assert set(small[:, 1].tolist()) == set(range(11))
    assert middle(store.images, (16, 8), 4)[0, :2, 0, 0].tolist() == [16, 20]
    assert middle(store.sources, of_source((16, 8), 4))[0, :2, 0, 0].tolist() == [4, 5]
    with pytest.raises(ConfigError, match=r"12x12 in A and 48x48 in B; add --data.resolution 12"):
        opened(tmp_path, paired=False)
    with pytest.raises(ConfigError, match=r"12x12 in A and 48x48 in B; add --data.resolution 12"):
        opened(tmp_path, direction="BtoA")


def test_what_is_no_pair_is_refused(tmp_path):
    write(tmp_path / "plain", ("x", "y"))
    with pytest.raises(ConfigError, match=r"neither two folders nor images side by side.*trainA and trainB"):
        opened(tmp_path / "plain")
    write(tmp_path / "half" / "trainA", ("x",))
    write(tmp_path / "half" / "other", ("x",))
    with pytest.raises(ConfigError, match="has trainA but no images in trainB"):
        opened(tmp_path / "half")
    for there, missing in (("trainA", "trainB"), ("trainB", "trainA"), ("A", "B"), ("B", "A"), ("A/train", "B/train")):
        write(tmp_path / f"no {missing}" / there, ("x",))
        (tmp_path / f"no {missing}" / missing).mkdir(parents=True)
        with pytest.raises(ConfigError, match=rf"has {there} but no images in {missing}; put .* into {missing}$"):
            opened(tmp_path / f"no {missing}")
    for top in ("trainA", "trainB", "testB"):
        write(tmp_path / "test" / top, ("x",))
    with pytest.raises(ConfigError, match=r"has testB but no .* into testA, or take testB away, and every 10th"):
        opened(tmp_path / "test")
    write(tmp_path / "sizes" / "A", ("x",))
    write(tmp_path / "sizes" / "B", ("x",), size=(4, 4))
    with pytest.raises(ConfigError, match=r"8x8 in A and 4x4 in B \(B may be .* --data.resolution 4"):
        opened(tmp_path / "sizes")
    with pytest.raises(ConfigError, match="one kind of image"):
        opened("mnist")


def test_a_kind_of_one_image_is_told_and_not_scored(tmp_path):
    write(tmp_path / "trainA", ("x", "y", "z"))
    write(tmp_path / "trainB", ("w",))
    told = Kept()
    store = open_pairs(Data(source=str(tmp_path)), False, told)
    assert (len(store), len(store.sources)) == (1, 3)
    assert any(re.search(r"^B of .* is a single image", note) for note in told.notes)
    config = RECIPES["cyclegan"]((3, 64, 64), "laptop")
    assert open_score(config, store) is None
    assert open_score(config, replace(store, images=store.sources)) is not None


def marked(folder, sizes):
    """Photographs, black but for a white square in the middle, half as wide as the shorter side."""
    folder.mkdir(parents=True)
    for number, (width, height) in enumerate(sizes):
        values, side = np.zeros((height, width, 3), np.uint8), min(width, height) // 2
        top, left = (height - side) // 2, (width - side) // 2
        values[top : top + side, left : left + side] = 255
        Image.fromarray(values).save(folder / f"{folder.name}{number}.{('png', 'jpg')[number % 2]}")


def test_photographs_of_any_sizes_are_trained_on_as_the_refusal_says(tmp_path):
    """Their middles, of which a window is cut out, and nothing is stretched."""
    marked(tmp_path / "in" / "trainA", [(97, 64), (75, 133), (101, 101), (199, 77), (90, 301)])
    marked(tmp_path / "in" / "trainB", [(64, 64), (83, 150), (256, 90), (71, 140), (120, 81)])
    with pytest.raises(ConfigError, match="5 sizes") as refused:
        opened(tmp_path / "in", paired=False)
    told = re.search(r"--data.resolution (\d+) --data.crop (\w+)", str(refused.value))
    side, crop = int(told[1]), told[2]
    store = opened(tmp_path / "in", paired=False, resolution=(side, side), crop=crop)
    for images in (store.sources, store.images):
        white = images[:, 0] > 127
        assert tuple(images.shape) == (5, 3, 64, 64)
        for extent in (white.any(1).sum(1), white.any(2).sum(1)):
            assert 30 <= extent.min() <= extent.max() <= 34
    stretched = opened(tmp_path / "in", paired=False, resolution=(side, side)).sources[:, 0] > 127
    assert stretched.any(1).sum(1).min() < 15
    changes = {"data.resolution": side, "data.crop": crop, "data.window": 48, "generator.model.width": 4, "batch": 2,
               "discriminator.model.width": 4}  # fmt: skip
    run = organza.train(
        "cyclegan", data=str(tmp_path / "in"), out=tmp_path / "run", images=4, changes=changes, device="cpu"
    )
    made = organza.hub.load_translator(run.path)
    assert (made.shape, made.translate(torch.zeros(1, 3, 33, 77, dtype=torch.uint8)).shape[2:]) == (
        (3, 48, 48),
        (33, 77),
    )


def test_a_degraded_set_keeps_the_test_images_that_it_has(tmp_path):
    write(tmp_path / "train", [f"{i:02}" for i in range(12)], 10)
    write(tmp_path / "test", ("x", "y"), 100)
    store = opened(tmp_path, degrade="outline")
    assert shades(store.images) == list(range(10, 22))
    assert shades(store.test.images) == [100, 101]
    write(tmp_path / "test", ("x", "y"), 100, (12, 12))
    with pytest.raises(ConfigError, match=r"8x8 in train and of 12x12 in test; add --data.resolution 8"):
        opened(tmp_path, degrade="outline")


def test_folders_of_classes_keep_the_test_images_that_they_have(tmp_path):
    for split, shade in (("train", 10), ("test", 100)):
        for number, kind in enumerate(("cats", "dogs")):
            write(tmp_path / split / kind, ("x", "y"), shade + 10 * number)
    store = open_domains(Data(source=str(tmp_path)))
    assert (shades(store.images), store.labels.tolist(), store.classes) == (
        [10, 11, 20, 21],
        [0, 0, 1, 1],
        ("cats", "dogs"),
    )
    assert (shades(store.test.images), store.test.labels.tolist()) == ([100, 101, 110, 111], [0, 0, 1, 1])
    write(tmp_path / "test" / "owls", ("x",), 120)
    with pytest.raises(ConfigError, match="classes cats, dogs in train and cats, dogs, owls in test"):
        open_domains(Data(source=str(tmp_path)))


def test_classes_without_a_test_folder_keep_what_they_are_asked_to(tmp_path):
    write(tmp_path / "cats", [f"{i:03}" for i in range(200)], 0)
    write(tmp_path / "dogs", [f"{i:03}" for i in range(200)], 0)
    assert open_domains(Data(source=str(tmp_path))).test is None
    kept = open_domains(Data(source=str(tmp_path), heldout=0.1))
    assert (len(kept), len(kept.test)) == (360, 40)
    assert kept.test.labels.tolist() == [0] * 20 + [1] * 20


def test_every_tenth_of_each_side_is_kept_where_nothing_pairs(tmp_path):
    write(tmp_path / "trainA", [f"a{i:03}" for i in range(100)], 0)
    write(tmp_path / "trainB", [f"b{i:03}" for i in range(120)], 100)
    store = opened(tmp_path, paired=False)
    assert shades(store.test.sources) == list(range(9, 100, 10))
    assert shades(store.test.images) == list(range(109, 220, 10))
    assert set(shades(store.sources)) == set(range(100)) - set(range(9, 100, 10))
    assert (len(store.sources), len(store), store.test.paired) == (90, 108, False)
    assert store.test.fingerprint != store.fingerprint  # runs from before, on all of them, do not go on
    (tmp_path / "trainA" / "a000.png").unlink()
    assert opened(tmp_path, paired=False).test is None


def test_every_tenth_image_of_a_set_that_is_degraded_is_kept():
    store = open_pairs(Data(source="emoji", resolution=(8, 8), degrade="grey"), True)
    assert (len(store), len(store.test)) == (3408, 378)
    assert store.sources is None


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_degradation_has_the_shape_it_says_and_depends_on_its_row_alone(name, channels):
    images = torch.rand(4, channels, 8, 12) * 2 - 1
    draws = Draws(torch.tensor([3, 1, 4, 5]))
    way = degradation(name)
    made = way.make(images, draws)
    assert tuple(made.shape[1:]) == way.shape((channels, 8, 12))
    assert made.min() >= -1
    assert made.max() <= 1
    assert torch.equal(way.make(images[2:3], Draws(torch.tensor([4]))), made[2:3])


def test_an_unknown_degradation_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'grey'"):
        degradation("gray")


def test_outlines_are_dark_where_colours_change_and_white_elsewhere():
    images = torch.full((1, 3, 8, 8), -1.0)
    images[:, 1, :, 4:] = 1.0
    lines = outline(images)[0, 0]
    assert lines[:, 3:5].max() < -0.9
    assert torch.allclose(lines[:, [0, 1, 6, 7]], torch.ones(8, 4))


def test_greys_are_luma_and_small_copies_are_means():
    colours = torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert grey(colours)[0, 0, 0, 0].item() == pytest.approx(0.299 - 0.587)
    ramp = torch.arange(16.0).view(1, 1, 4, 4) / 16
    assert smaller(ramp, 2)[0, 0, 0, 0].item() == pytest.approx((0 + 1 + 4 + 5) / 4 / 16)
    with pytest.raises(ConfigError, match=r"sides that 4 divides.*--data.resolution 8"):
        smaller(torch.zeros(1, 1, 10, 10), 4)
