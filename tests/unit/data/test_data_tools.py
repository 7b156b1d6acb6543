import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from data_helpers import encoded, pixels, put
from PIL import Image

from organza.cli.data import main
from organza.config import ConfigError
from organza.data import ImageStore, check, convert, open_dataset, preview


@pytest.fixture
def folder(tmp_path):
    for i in range(4):
        put(tmp_path / f"pets/{'cat' if i < 3 else 'dog'}/{i}.png", encoded(pixels(i)))
    put(tmp_path / "pets/dog/copy.png", encoded(pixels(0)))
    put(tmp_path / "pets/dog/bad.jpg", b"bad")
    return tmp_path / "pets"


def toy(channels=3, dtype=np.uint8, **fields):
    array = np.stack([pixels(i, 5, 7, channels, dtype).reshape(5, 7, channels) for i in range(3)])
    return ImageStore("toy", torch.from_numpy(np.moveaxis(array, -1, 1).copy()), **fields)


def test_check_finds_everything_in_a_folder(folder):
    report = check(folder)
    assert (report.name, report.count, report.shape, report.dtype) == ("pets", 5, (3, 8, 8), "uint8")
    assert report.sizes == {"8x8": 5}
    assert report.modes == {"RGB": 5}
    assert report.corrupt == {"dog/bad.jpg": "not an image, or damaged"}
    assert report.duplicates == (("cat/0.png", "dog/copy.png"),)
    assert report.classes == {"cat": 3, "dog": 2}
    assert report.fingerprint == open_dataset(folder).fingerprint
    assert not report.problem
    assert json.loads(json.dumps(report.to_dict()))["count"] == 5


def test_the_moments_are_numpys(folder):
    report, images = check(folder), open_dataset(folder).images.numpy() / 255
    assert np.allclose(report.mean, images.mean((0, 2, 3)))
    assert np.allclose(report.std, images.std((0, 2, 3)))
    ring = check("ring", split="test")
    assert np.allclose(ring.std, open_dataset("ring", split="test").images.numpy().std(0), atol=1e-5)
    assert check("mnist", split="test").modes == {"grey uint8": 10_000}


def test_check_reports_what_training_would_refuse(folder):
    put(folder / "cat/big.png", encoded(pixels(0, 20, 30)))
    whole = encoded(pixels(8))
    put(folder / "cat/cut.png", whole[: len(whole) // 2])
    report = check(folder)
    assert "images of 2 sizes" in report.problem
    assert report.sizes == {"8x8": 6, "30x20": 1}
    assert report.count == 6
    assert report.classes == {"cat": 4, "dog": 2}
    assert set(report.corrupt) == {"dog/bad.jpg", "cat/cut.png"}
    assert report.duplicates == (("cat/0.png", "dog/copy.png"),)
    good = check(folder, resolution=8)
    assert not good.problem
    assert good.count == 6


def two_folders(path, maps=3, classes=4):
    for i in range(maps):
        put(path / f"trainA/{i}.png", encoded(pixels(i, channels=1) % classes))
        put(path / f"trainB/{i}.png", encoded(pixels(i)))
    return path


def test_check_refuses_half_of_two_folders_as_translations_do(tmp_path):
    shutil.rmtree(two_folders(tmp_path / "set") / "trainB")
    report = check(tmp_path / "set")
    assert report.pairs == "0 of trainA and trainB by name, 3 in trainA alone (0, 1, 2)"
    assert "has trainA but no images in trainB" in report.problem
    put(tmp_path / "set/trainB/0.png", encoded(pixels(0)))
    report = check(tmp_path / "set")
    assert (report.pairs, report.problem) == ("1 of trainA and trainB by name, 2 in trainA alone (1, 2)", "")


def test_check_reads_label_maps_as_training_does(tmp_path, capsys):
    folder = two_folders(tmp_path / "set", classes=78)
    put(folder / "trainA/0.png", encoded(np.full((8, 8), 77, np.uint8)))
    assert "trainA/0.png has class 77" in check(folder, layout_classes=77).problem
    assert not check(folder, layout_classes=78).problem
    with pytest.raises(ConfigError, match="class 77"):
        main(["check", str(folder), "--data.layout_classes", "20"])
    assert "3 of trainA and trainB by name" in capsys.readouterr().out


def test_check_knows_small_copies_and_images_side_by_side(tmp_path):
    for i in range(3):
        put(tmp_path / f"copies/A/{i}.png", encoded(pixels(i)))
        put(tmp_path / f"copies/B/{i}.png", encoded(pixels(i, 32, 32)))
        put(tmp_path / f"wide/train/{i}.png", encoded(pixels(i, 8, 16)))
    assert not check(tmp_path / "copies").problem
    put(tmp_path / "copies/B/1.png", encoded(pixels(1, 30, 30)))
    assert "images of 2 sizes" in check(tmp_path / "copies").problem
    assert check(tmp_path / "wide").pairs.startswith("3 images may be pairs side by side")
    assert check("emoji-pairs", resolution=8).pairs == "3,786 of both kinds"


def test_check_cuts_tiles_for_a_window(tmp_path):
    for i, size in enumerate(((20, 30), (40, 25), (9, 40))):
        put(tmp_path / f"set/{i}.png", encoded(pixels(i, *size)))
    report = check(tmp_path / "set", window=(10, 10))
    assert (report.count, report.shape, report.small, report.problem) == (6, (3, 20, 20), ("2.png",), "")
    assert "as large as data.window, 50x50" in check(tmp_path / "set", window=(50, 50)).problem
    assert "sides take 1 or more" in check(tmp_path / "set", window=(0, 0)).problem


def test_check_counts_rotations_and_modes(tmp_path):
    exif = Image.Exif()
    exif[274] = 3
    put(tmp_path / "set/1.jpg", encoded(pixels(0), "JPEG", exif=exif))
    put(tmp_path / "set/2.png", encoded(pixels(0, channels=1)))
    report = check(tmp_path / "set")
    assert report.turned == 1
    assert report.modes == {"RGB": 1, "L": 1}


def test_check_of_nothing_raises(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="it is empty"):
        check(tmp_path / "empty")


def test_preview_draws_what_training_sees(folder, tmp_path):
    path = preview(folder, tmp_path / "out/p.png", 4)
    with Image.open(path) as plain:
        plain.load()
        assert plain.width >= 16
        assert len(plain.getcolors(1 << 20)) > 50
    flipped = preview(folder, tmp_path / "f.png", 4, augment=["flip"])
    assert flipped.read_bytes() != path.read_bytes()
    assert preview(folder, tmp_path / "g.png", 4).read_bytes() == path.read_bytes()  # a fixed seed
    with Image.open(preview("ring", tmp_path / "ring.png", split="test")) as ring:
        assert ring.width > 100


def test_preview_refuses_nonsense(folder, tmp_path):
    with pytest.raises(ConfigError, match="augment is 'flop'; did you mean 'flip'"):
        preview(folder, tmp_path / "p.png", augment=["flop"])
    with pytest.raises(ConfigError, match="n is 0; it takes 1 or more"):
        preview(folder, tmp_path / "p.png", 0)
    with pytest.raises(ConfigError, match="cannot be mirrored"):
        preview("ring", tmp_path / "p.png", augment=["flip"], split="test")


@pytest.mark.parametrize(("channels", "format"), [(1, "png"), (3, "png"), (4, "png"), (3, "webp"), (4, "webp")])
def test_converted_data_opens_to_the_same(tmp_path, channels, format):
    labels = torch.tensor([2, 0, 2])
    store = toy(channels, labels=labels, classes=("a", "b", "c"), captions=("é", "2", "3"))
    path = convert(store, tmp_path / "deep/set.zip", format=format)
    again = open_dataset(path)
    assert torch.equal(again.images, store.images)
    assert torch.equal(again.labels, labels)
    assert (again.classes, again.captions) == (store.classes, store.captions)
    with zipfile.ZipFile(path) as archive:
        assert f"00000/img00000002.{format}" in archive.namelist()
    assert [p.name for p in path.parent.iterdir()] == ["set.zip"]
    assert convert(store, tmp_path / "b.zip", format=format).read_bytes() == path.read_bytes()


def test_sixteen_bits_and_no_labels_survive_conversion(tmp_path):
    store = toy(1, np.uint16)
    again = open_dataset(convert(store, tmp_path / "set.zip"))
    assert again.images.dtype == torch.uint16
    assert np.array_equal(again.images.numpy(), store.images.numpy())
    assert again.labels is None


def test_converting_a_part_of_mnist(tmp_path):
    mnist = open_dataset("mnist", split="test")
    part = ImageStore("mnist", mnist.images[:70], mnist.labels[:70], mnist.classes)
    assert torch.equal(
        open_dataset(convert(part, tmp_path / "m.zip", resolution=32)).images, open_dataset(part, resolution=32).images
    )


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("ring", {}, "holds points, which image files cannot hold"),
        (np.zeros((2, 8, 8), np.float32), {}, "holds float images"),
        (np.zeros((2, 8, 8), np.uint8), {"format": "webp"}, "webp cannot hold 1 channels of uint8.*choose format png"),
        (np.zeros((2, 3, 8, 8), np.uint16), {}, "png cannot hold 3 channels of uint16"),
        (np.zeros((2, 5, 8, 8), np.uint8), {}, "png cannot hold 5 channels"),
        (np.zeros((2, 8, 8), np.uint8), {"format": "pgn"}, "did you mean 'png'"),
    ],
)
def test_what_images_cannot_hold_is_refused(tmp_path, source, options, message):
    with pytest.raises(ConfigError, match=message):
        convert(source, tmp_path / "set.zip", **options)
    assert not list(tmp_path.glob("*.zip"))


def test_out_must_be_a_zip(tmp_path):
    with pytest.raises(ConfigError, match=r"it takes a file that ends in .zip"):
        convert("mnist", tmp_path / "set.tar")


def test_a_failed_conversion_leaves_the_old_file(tmp_path, monkeypatch):
    path = put(tmp_path / "set.zip", b"old")
    monkeypatch.setattr(zipfile.ZipFile, "writestr", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        convert(toy(), path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.glob(".*")] == []


def test_the_command_checks_in_plain_lines(folder, capsys):
    main(["check", str(folder)])
    out, err = capsys.readouterr()
    assert "samples: 5" in out
    assert "classes: 2: cat (3), dog (2)" in out
    assert "exact duplicates: 1: cat/0.png = dog/copy.png" in out
    assert "1 of 6 images are left out" in err
    assert "\x1b" not in out + err


def test_the_command_prints_json_and_fails_on_a_problem(folder, capsys):
    put(folder / "cat/big.png", encoded(pixels(0, 20, 30)))
    with pytest.raises(ConfigError, match=r"--data.resolution 8 --data.crop center"):
        main(["check", str(folder), "--json"])
    assert json.loads(capsys.readouterr().out)["sizes"]["30x20"] == 1
    main(["check", str(folder), "--data.resolution", "8", "--data.crop", "center", "--json"])  # as the message says
    assert json.loads(capsys.readouterr().out)["shape"] == [3, 8, 8]


def test_the_command_previews_and_converts(folder, tmp_path, capsys):
    main(["preview", str(folder), "--out", str(tmp_path / "p.png"), "-n", "3", "--augment", "flip"])
    main(["convert", str(folder), "--out", str(tmp_path / "s.zip"), "--resolution", "4,6", "--channels", "grey"])
    assert open_dataset(tmp_path / "s.zip").shape == (1, 4, 6)
    assert str(tmp_path / "p.png") in capsys.readouterr().out


def test_help_does_not_import_torch():
    code = "import sys\nfrom organza.cli.data import main\ntry: main(['check', '--help'])\nexcept SystemExit: pass\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "assert 'torch' not in sys.modules"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "hf:org/name" in done.stdout
