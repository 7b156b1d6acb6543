from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import organza as package
from organza.config import Model
from organza.hub import GAN, save
from organza.models import build
from organza.report.provenance import read_provenance


def saved(folder: str, shape, classes=(), recipe="dcgan") -> str:
    """An untrained GAN in a folder."""
    torch.manual_seed(0)
    options = {"z_dim": 8, "width": 8, "depth": 1} if len(shape) == 1 else {"z_dim": 8, "width": 4, "max_width": 8}
    model = Model(name="mlp" if len(shape) == 1 else "dcgan", options=options)
    generator = build(model, "generator", shape, len(classes)).eval()
    save(GAN(generator, model, shape, classes, recipe), Path(folder), "card")
    return folder


def labels(file: str) -> list[int]:
    with np.load(file, allow_pickle=False) as arrays:
        return arrays["labels"].tolist()


def test_a_grid_with_its_mark_beside_the_last_one(organza):
    model = saved("m", (1, 16, 16))
    said = organza("sample", model, "-n", "4", "--seed", "7")
    assert said.out == "written   samples/dcgan-seed7.png (4 samples, seeds 7 to 10)\n"
    mark = read_provenance(Path("samples/dcgan-seed7.png"))
    assert mark is not None
    assert (mark["model"], mark["seed"], mark["sha256"]) == ("dcgan", 7, package.load("m").sha256)
    assert "dcgan-seed7-2.png" in organza("sample", model, "-n", "4", "--seed", "7").out
    assert organza("sample", model, "--out", "x.png", "--no-provenance").code == 0
    assert read_provenance(Path("x.png")) is None
    assert organza("sample", model, "--out", "x.png").out.startswith("replaced  x.png")


def test_a_folder_has_one_exact_picture_for_each_seed(organza):
    said = organza("sample", saved("m", (3, 16, 16)), "--seeds", "3,10-11", "--out", "out", "--truncation", "0.7")
    assert said.out == "written   3 pictures in out/\n"
    assert sorted(p.name for p in Path("out").iterdir()) == ["seed0003.png", "seed0010.png", "seed0011.png"]
    wanted = package.load("m").sample(seeds=[10], truncation=0.7)[0].permute(1, 2, 0).numpy()
    with Image.open("out/seed0010.png") as picture:
        assert np.array_equal(np.asarray(picture), wanted)
    mark = read_provenance(Path("out/seed0010.png"))
    assert mark is not None
    assert mark["seed"] == 10


def test_labels_by_name_number_and_range_in_turn(organza):
    model = saved("m", (1, 16, 16), ("cat", "big dog", "0-1"))
    organza("sample", model, "-n", "4", "--out", "all")
    assert sorted(p.name for p in Path("all").iterdir()) == [
        "seed0000-cat.png", "seed0001-big_dog.png", "seed0002-0-1.png", "seed0003-cat.png",
    ]  # fmt: skip
    organza("sample", model, "-n", "3", "--labels", "big dog,0", "--out", "some.npz")
    with np.load("some.npz", allow_pickle=False) as arrays:
        assert arrays["labels"].tolist() == [1, 0, 1]
        assert arrays["seeds"].tolist() == [0, 1, 2]
        assert torch.equal(torch.from_numpy(arrays["images"]), package.load("m").sample(3, labels=[1, 0, 1]))
    organza("sample", model, "-n", "3", "--labels", "1-2", "--out", "range.npz")
    assert labels("range.npz") == [1, 2, 1]
    organza("sample", model, "-n", "2", "--labels", "0-1", "--out", "name.npz")
    assert labels("name.npz") == [2, 2]
    said = organza("sample", model, "--labels", "dgo")
    assert said.code == 2
    assert "no label 'dgo'" in said.err


def test_points_become_an_array_and_a_plot(organza):
    model = saved("m", (2,), recipe="gan")
    said = organza("sample", model, "-n", "300")
    assert "array [300, 2]" in said.out
    assert np.load("samples/gan-seed0.npy").shape == (300, 2)
    with Image.open("samples/gan-seed0.png") as plot:
        assert plot.size[0] > 100
    assert organza("sample", model, "-n", "5", "--out", "p.png").code == 0
    assert organza("sample", model, "-n", "5", "--out", "p.npy").code == 0
    assert "make no folder of pictures" in organza("sample", model, "--out", "p").err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere holds no GAN"),
        (["bad.pkl"], "bad.pkl cannot be read: damaged pickle"),
        (["m", "-n", "0"], "n is 0"),
        (["m", "-n", "x"], "n is 'x'; it takes a whole number"),
        (["m", "--seeds", "1-x"], "seeds has '1-x'"),
        (["m", "--seeds", "1", "-n", "2"], "named twice"),
        (["m", "--seed", "-1"], "from 0 to 4294967295"),
        (["m", "--labels", "7"], "unconditional"),
        (["m", "--truncation", "0"], "above 0"),
        (["m", "--truncation", "x"], "it takes a number"),
        (["m", "--out", "x.jpg"], ".png, .npy, .npz or a folder"),
        (["m", "--out", "bad.pkl"], "bad.pkl is a file"),
        (["m", "-n", "10001"], "too many for one picture"),
        (["m", "--seeds", "1,1", "--out", "twice"], "twice"),
        (["m", "--device", "gpu"], "it takes auto, cpu"),
    ],
)
def test_mistakes(organza, words, message):
    saved("m", (1, 16, 16))
    Path("bad.pkl").write_bytes(b"\x80\x02")
    said = organza("sample", *words)
    assert said.code == 2
    assert message in said.err
    assert not Path("twice").exists()


def test_a_missing_model_names_one_that_is_there(organza):
    saved("runs/a/model", (1, 16, 16))
    assert "type: organza sample runs/a" in organza("sample", "runs/b").err
    Path("runs/a/checkpoints").mkdir()
    assert "type: organza sample runs/a" in organza("sample", "runs/a/checkpoints").err


def test_a_damaged_model(organza):
    saved("m", (1, 16, 16))
    file = Path("m/model.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"\x07")
    said = organza("sample", "m")
    assert said.code == 2
    assert "m/model" in said.err
