import io
import json
import os
import zipfile

import numpy as np
import pytest
import torch
from data_helpers import as_array, encoded, pixels, put
from PIL import Image

from organza.config import ConfigError
from organza.data import open_dataset


def folder_of(tmp_path, count=6, **options):
    for i in range(count):
        put(tmp_path / "photos" / f"{i}.png", encoded(pixels(i, **options)))
    return tmp_path / "photos"


def zip_of(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_a_folder_gives_its_exact_pixels(tmp_path, kind):
    folder = folder_of(tmp_path, height=6, width=9)
    store = open_dataset(kind(folder))
    assert (store.name, store.shape, len(store)) == ("photos", (3, 6, 9), 6)
    assert store.images.dtype == torch.uint8
    assert store.labels is None
    for i in range(6):
        assert np.array_equal(as_array(store.images, i), pixels(i, height=6, width=9))


def test_class_folders_become_labels_at_any_depth(tmp_path):
    put(tmp_path / "pets/all/cat/deep/1.png", encoded(pixels(0)))
    put(tmp_path / "pets/all/cat/2.PNG", encoded(pixels(1)))
    put(tmp_path / "pets/all/dog/1.png", encoded(pixels(2)))
    put(tmp_path / "pets/all/dog/.hidden.png", b"no")
    put(tmp_path / "pets/all/notes.txt", b"no")
    store = open_dataset(tmp_path / "pets")
    assert store.classes == ("cat", "dog")
    assert store.labels.tolist() == [0, 0, 1]


def test_one_folder_of_images_or_stylegan_folders_are_no_classes(tmp_path):
    put(tmp_path / "one/faces/1.png", encoded(pixels(0)))
    put(tmp_path / "gan/00000/img00000000.png", encoded(pixels(0)))
    put(tmp_path / "gan/00001/img00001000.png", encoded(pixels(1)))
    put(tmp_path / "loose/a/1.png", encoded(pixels(0)))
    put(tmp_path / "loose/2.png", encoded(pixels(1)))
    for name in ("one", "gan", "loose"):
        assert open_dataset(tmp_path / name).labels is None, name


def test_split_folders_are_splits(tmp_path):
    for split, label in (("train", "a"), ("train", "b"), ("validation", "a"), ("validation", "b")):
        put(tmp_path / f"set/{split}/{label}/1.png", encoded(pixels(len(split))))
    assert len(open_dataset(tmp_path / "set")) == 2
    assert open_dataset(tmp_path / "set", split="val").classes == ("a", "b")
    with pytest.raises(ConfigError, match="no split 'test'; it has train, validation"):
        open_dataset(tmp_path / "set", split="test")
    with pytest.raises(ConfigError, match="no split 'test'; it has no folders named train and test"):
        open_dataset(folder_of(tmp_path), split="test")


def test_a_stylegan_zip_has_labels_classes_and_captions(tmp_path):
    names = [f"00000/img{i:08d}.png" for i in range(3)]
    about = {
        "labels": [[n, i % 2] for i, n in enumerate(names)],
        "classes": ["x", "y"],
        "captions": dict.fromkeys(names, "hi"),
    }
    members = {n: encoded(pixels(i)) for i, n in enumerate(names)} | {"dataset.json": json.dumps(about)}
    store = open_dataset(zip_of(tmp_path / "set.zip", members))
    assert store.labels.tolist() == [0, 1, 0]
    assert store.classes == ("x", "y")
    assert store.captions == ("hi",) * 3
    assert np.array_equal(as_array(store.images, 2), pixels(2))
    for name, content in members.items():
        put(tmp_path / "unpacked" / name, content if isinstance(content, bytes) else content.encode())
    assert open_dataset(tmp_path / "unpacked").fingerprint == store.fingerprint


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ('{"labels": [["a.png", 0]]}', "no labels for 1 of 2 images, such as b.png"),
        ('{"labels": [["a.png", 0], ["b.png", [0.5]]]}', "must be whole numbers from 0"),
        ('{"labels": [["a.png", 0], ["b.png", -1]]}', "must be whole numbers from 0"),
        ('{"labels": 7}', '"labels" must be'),
        ('{"labels": [["a.png", 0], ["b.png", 3]], "classes": ["x"]}', "1 classes, but the label 3; name 4"),
        ("[]", "holds a list"),
        ("{", "is not JSON"),
    ],
)
def test_wrong_labels_are_explained(tmp_path, about, message):
    members = {"a.png": encoded(pixels(0)), "b.png": encoded(pixels(1)), "dataset.json": about}
    with pytest.raises(ConfigError, match=message):
        open_dataset(zip_of(tmp_path / "set.zip", members))


def test_plain_zips_and_null_labels(tmp_path):
    members = {"__MACOSX/a.png": b"x", "a.png": encoded(pixels(0)), "dataset.json": '{"labels": null}'}
    store = open_dataset(zip_of(tmp_path / "set.zip", members))
    assert len(store) == 1
    assert store.labels is None


def test_zip_members_that_climb_are_only_read(tmp_path):
    store = open_dataset(zip_of(tmp_path / "evil.zip", {"../../evil.png": encoded(pixels(0))}))
    assert len(store) == 1
    assert not list(tmp_path.parent.glob("evil.png"))


def test_damaged_and_encrypted_zips(tmp_path):
    with pytest.raises(ConfigError, match="is not a zip, or is damaged"):
        open_dataset(put(tmp_path / "bad.zip", b"PK not really"))
    path = zip_of(tmp_path / "secret.zip", {"a.png": encoded(pixels(0))})
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in the member's header, and below in the directory
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ConfigError, match="is encrypted; unpack it"):
        open_dataset(put(path, bytes(content)))


def test_an_empty_folder_names_the_extensions_that_it_has(tmp_path):
    put(tmp_path / "docs/a.txt", b"")
    put(tmp_path / "docs/b.txt", b"")
    put(tmp_path / "docs/c", b"")
    with pytest.raises(
        ConfigError, match=r"has no images; it has \.txt \(2\), no extension \(1\); images end in .*\.png"
    ):
        open_dataset(tmp_path / "docs")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ConfigError, match="it is empty"):
        open_dataset(tmp_path / "nothing")


def test_mixed_sizes_say_what_to_type_and_that_works(tmp_path):
    folder = folder_of(tmp_path, count=3)
    put(folder / "wide.png", encoded(pixels(9, height=40, width=100)))
    with pytest.raises(ConfigError, match=r"8x8 \(3\), 100x40 \(1\).*--data.resolution 8 --data.crop center"):
        open_dataset(folder)
    assert open_dataset(folder, resolution=8, crop="center").shape == (3, 8, 8)
    assert open_dataset(folder, resolution=(5, 7)).shape == (3, 5, 7)


def test_mixed_modes_take_the_smallest_that_holds_all(tmp_path):
    grey = put(tmp_path / "set/1.png", encoded(pixels(0, channels=1)))
    assert open_dataset(tmp_path / "set").shape == (1, 8, 8)
    put(tmp_path / "set/2.png", encoded(pixels(1)))
    assert open_dataset(tmp_path / "set").shape == (3, 8, 8)
    put(tmp_path / "set/3.png", encoded(pixels(2, channels=4)))
    store = open_dataset(tmp_path / "set")
    assert store.shape == (4, 8, 8)
    assert (store.images[0, :3] == torch.from_numpy(np.array(Image.open(grey)))).all()
    assert (store.images[0, 3] == 255).all()
    assert open_dataset(tmp_path / "set", channels="grey").shape == (1, 8, 8)


def test_sixteen_bit_grey_stays_and_widens_others(tmp_path):
    deep = pixels(0, channels=1, dtype=np.uint16)
    put(tmp_path / "set/1.png", encoded(deep))
    store = open_dataset(tmp_path / "set")
    assert store.images.dtype == torch.uint16
    assert np.array_equal(store.images[0, 0].numpy(), deep)
    put(tmp_path / "set/2.png", encoded(np.full((8, 8), 255, np.uint8)))
    assert (open_dataset(tmp_path / "set").images[1].numpy() == 65535).all()


def test_float_tiffs_are_kept_within_the_range(tmp_path):
    put(tmp_path / "good/1.tif", encoded(np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8), "TIFF"))
    assert open_dataset(tmp_path / "good").images.dtype == torch.float32
    put(tmp_path / "bad/1.tif", encoded(np.linspace(0, 255, 64, dtype=np.float32).reshape(8, 8), "TIFF"))
    with pytest.raises(ConfigError, match="values 0 to 255; allowed is -1 to 1"):
        open_dataset(tmp_path / "bad")
    put(tmp_path / "good/2.png", encoded(pixels(0)))
    with pytest.raises(ConfigError, match="mixes float images with integer"):
        open_dataset(tmp_path / "good")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_rotation_is_applied(tmp_path, kind):
    array = np.zeros((8, 16, 3), np.uint8)
    array[:, :8] = 255  # white on the left
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise: left becomes top
    put(tmp_path / "set" / f"1.{kind.lower()}", encoded(array, kind, exif=exif))
    store = open_dataset(tmp_path / "set")
    assert store.shape == (3, 16, 8)
    assert store.images[0, :, :7].min() > 250
    assert store.images[0, :, 9:].max() < 5


@pytest.mark.parametrize(
    ("mode", "kind", "channels"),
    [
        ("P", "PNG", 3),
        ("P", "GIF", 3),
        ("LA", "PNG", 4),
        ("1", "PNG", 1),
        ("CMYK", "JPEG", 3),
        ("RGBA", "WEBP", 4),
        ("L", "JPEG", 1),
    ],
)
def test_every_mode_opens(tmp_path, mode, kind, channels):
    buffer = io.BytesIO()
    Image.fromarray(pixels(0, channels=4 if mode in ("RGBA", "LA") else 3)).convert(mode).save(buffer, kind)
    put(tmp_path / "set" / f"1.{kind.lower()}", buffer.getvalue())
    assert open_dataset(tmp_path / "set").shape == (channels, 8, 8)


def test_palette_and_colour_key_transparency_become_alpha(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(pixels(0)).convert("P").save(buffer, "PNG", transparency=3)
    put(tmp_path / "set/1.png", buffer.getvalue())
    put(tmp_path / "set/2.png", encoded(np.zeros((8, 8, 3), np.uint8), transparency=(0, 0, 0)))
    store = open_dataset(tmp_path / "set")
    assert store.shape == (4, 8, 8)
    assert (store.images[1, 3] == 0).all()


def test_corrupt_files_are_left_out_and_told(tmp_path, listener):
    folder = folder_of(tmp_path)
    whole = encoded(pixels(7, height=8, width=8), "PNG")
    put(folder / "a/bad.png", b"nothing like an image")
    put(folder / "b/cut.png", whole[: len(whole) // 2])
    put(folder / "empty.jpg", b"")
    store = open_dataset(folder, progress=listener)
    assert len(store) == 6
    assert np.array_equal(as_array(store.images, 5), pixels(5))
    [note] = listener.notes
    assert "3 of 9 images are left out" in note
    assert "a/bad.png" in note
    assert listener.steps[-1] == ("decoding", 9, 9)
    open_dataset(folder, progress=listener)  # from the cache: told again
    assert listener.notes == [note, note]


def test_labels_and_captions_stay_with_their_images_when_some_are_corrupt(tmp_path):
    names = ["0.png", "1.png", "2.png"]
    about = {"labels": [[n, i] for i, n in enumerate(names)], "captions": {n: n for n in names}}
    members = {
        "0.png": b"bad",
        "1.png": encoded(pixels(1)),
        "2.png": encoded(pixels(2)),
        "dataset.json": json.dumps(about),
    }
    store = open_dataset(zip_of(tmp_path / "set.zip", members))
    assert store.labels.tolist() == [1, 2]
    assert store.captions == ("1.png", "2.png")
    assert np.array_equal(as_array(store.images, 0), pixels(1))


def test_only_corrupt_files_are_an_error(tmp_path):
    put(tmp_path / "set/1.png", b"bad")
    with pytest.raises(ConfigError, match=r"none of 1 images can be read \(1.png: not an image, or damaged\)"):
        open_dataset(tmp_path / "set")
    whole = encoded(pixels(0))
    put(tmp_path / "cut/1.png", whole[: len(whole) // 2])
    with pytest.raises(ConfigError, match="none of 1 images can be"):
        open_dataset(tmp_path / "cut")


def test_decompression_bombs_are_corrupt_files(tmp_path, listener, monkeypatch):
    folder = folder_of(tmp_path, count=2)
    put(folder / "bomb.png", encoded(pixels(0, height=100, width=100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000)  # more than the limit warns, twice the limit raises
    assert len(open_dataset(folder, progress=listener)) == 2
    assert "exceeds limit" in listener.notes[0]


def test_linked_folders_are_followed_once(tmp_path):
    folder = folder_of(tmp_path, count=2)
    put(tmp_path / "other/x.png", encoded(pixels(5)))
    (folder / "link").symlink_to(tmp_path / "other")
    (folder / "loop").symlink_to(folder)
    assert len(open_dataset(folder)) == 3


def test_paths_that_are_not_there_and_files_of_no_kind(tmp_path):
    for source in (tmp_path / "none", "./none", "none.zip", str(tmp_path / "none")):
        with pytest.raises(FileNotFoundError, match=r"no file or folder '.*none.*' .*check the path"):
            open_dataset(source)
    with pytest.raises(ConfigError, match="is a file of no known kind; data takes a folder"):
        open_dataset(put(tmp_path / "a.docx", b"x"))
    with pytest.raises(ConfigError, match="data is a int; it takes a name"):
        open_dataset(7)


def test_unknown_names_get_the_closest_and_the_list():
    with pytest.raises(ConfigError, match=r"did you mean 'mnist'\? names: mnist, emoji, .*hf:org/name"):
        open_dataset("mnits")
    with pytest.raises(ConfigError, match="data 'qqqq' is neither a name nor an existing path; names: mnist"):
        open_dataset("qqqq")


def test_home_is_understood(tmp_path):
    put(tmp_path / "home/pics/1.png", encoded(pixels(0)))
    assert os.environ["HOME"] == str(tmp_path / "home")
    assert len(open_dataset("~/pics")) == 1
