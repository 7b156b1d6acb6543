"""The verbs interpolate, mix and walk, and what the steering options of `organza sample` refuse."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from latent_helpers import distance, tiny
from PIL import Image

import organza as package
from organza.hub import save
from organza.report.provenance import read_provenance


@pytest.fixture
def styled():
    return saved("s", "stylegan2")


def saved(folder: str, name: str, classes: int = 0, shape=(3, 16, 16)) -> str:
    save(tiny(name, classes, shape), Path(folder), "card")
    return folder


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def mark(path: str) -> dict:
    found = read_provenance(Path(path))
    assert found is not None
    return found


def test_interpolate_loops_in_a_gif_beside_the_last_one(organza, styled):
    said = organza("interpolate", styled, "--seeds", "3,5", "--frames", "4")
    assert said.out == "written   samples/stylegan2-interpolation-seed3.gif (8 frames, 0.3 s, 128x128)\n"
    with Image.open("samples/stylegan2-interpolation-seed3.gif") as gif:
        assert gif.n_frames == 8
    assert mark("samples/stylegan2-interpolation-seed3.gif")["seed"] == 3
    assert mark("samples/stylegan2-interpolation-seed3.gif")["sha256"] == package.load("s").sha256
    assert "seed3-2.gif" in organza("interpolate", styled, "--seeds", "3,5", "--frames", "2").out


def test_a_still_has_a_row_for_each_film(organza, styled):
    words = ["--grid", "1x2", "--seeds", "0-3", "--frames", "3", "--no-loop", "--way", "slerp", "--space", "z"]
    said = organza("interpolate", styled, *words, "--out", "a.png", "--no-provenance")
    assert said.out == "written   a.png (4 frames in a row)\n"
    assert read_provenance(Path("a.png")) is None
    strip, wanted = pixels("a.png"), package.load("s").sample(4).permute(0, 2, 3, 1).numpy()
    for number, (row, column) in enumerate([(0, 0), (0, 3), (1, 0), (1, 3)]):  # the ends, enlarged thrice
        cell = strip[50 * row : 50 * row + 48 : 3, 50 * column : 50 * column + 48 : 3]
        assert np.abs(cell.astype(int) - wanted[number]).max() <= 1
    assert organza("interpolate", styled, *words, "--out", "a.png").out.startswith("replaced  a.png")


def test_labels_of_films_and_of_seeds(organza):
    model = saved("c", "stylegan2", classes=3)
    organza("interpolate", model, "--grid", "2x1", "--seeds", "0,1,0,1", "--labels", "1", "--frames", "1", "--out", "a")
    frame = pixels("a/00000.png")
    assert np.array_equal(frame[:, :16], frame[:, 18:])  # both films have the one label
    organza("interpolate", model, "--seeds", "4,4", "--labels", "class 0,2", "--frames", "1", "--out", "b")
    wanted = package.load("c").sample(seeds=[4, 4], labels=[0, 2])
    for number in range(2):
        shown = torch.from_numpy(pixels(f"b/0000{number}.png").copy()).permute(2, 0, 1)
        assert distance(shown, wanted[number]) <= 1
    said = organza("interpolate", model, "--seeds", "0-3", "--labels", "0,1")
    assert (said.code, "2 labels for 1 film and 4 seeds" in said.err) == (2, True)


def test_walk_is_decided_by_its_seed(organza, styled):
    for name in ("a", "b"):
        organza("walk", styled, "--frames", "5", "--pace", "2", "--seed", "7", "--out", name, "--noise", "random")
    assert [p.name for p in sorted(Path("a").iterdir())] == [f"{i:05}.png" for i in range(5)]
    assert all(p.read_bytes() == (Path("b") / p.name).read_bytes() for p in Path("a").iterdir())
    assert mark("a/00002.png")["seed"] == 7
    said = organza("walk", styled, "--frames", "3", "--grid", "3x2", "--fps", "10")
    assert said.out == "written   samples/stylegan2-walk-seed0.gif (3 frames, 0.3 s, 388x258)\n"
    assert organza("walk", styled, "--frames", "3", "--out", "x.mp4").code == 0


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("words", ["interpolate --seeds 0-2 --frames 2 --no-loop", "walk --frames 5"])
def test_an_mp4_shows_the_exact_frames(organza, words):
    """What the film of odd sides shows is what the folder of frames holds, thrice as large, and its edges twice."""
    verb, *asked = words.split()
    model = saved("odd", "mlp", shape=(3, 15, 43))
    said = organza(verb, model, *asked, "--out", "film.mp4")
    assert said.out == "written   film.mp4 (5 frames, 0.2 s, 130x46)\n"
    assert mark_of_film("film.mp4").startswith("made by a trained model")
    assert organza(verb, model, *asked, "--out", "film").code == 0
    subprocess.run(["ffmpeg", "-v", "error", "-i", "film.mp4", "-start_number", "0", "%05d.png"], check=True)
    for exact in sorted(Path("film").iterdir()):
        wanted = pixels(str(exact)).astype(int)
        shown = pixels(exact.name)[:45, :129].astype(int).reshape(15, 3, 43, 3, 3).mean((1, 3))
        light = np.array([0.2126, 0.7152, 0.0722])  # BT.709; colours have half the sides in H.264
        assert np.corrcoef((shown @ light).ravel(), (wanted @ light).ravel())[0, 1] > 0.95


def mark_of_film(path: str) -> str:
    words = ["ffprobe", "-v", "error", "-show_entries", "format_tags=comment", "-of", "csv=p=0", path]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip('"')


def test_an_mp4_without_ffmpeg_is_a_folder_and_a_note(organza, styled, monkeypatch):
    monkeypatch.setenv("PATH", "")
    said = organza("walk", styled, "--frames", "3", "--out", "film.mp4")
    assert said.code == 0
    assert "note: ffmpeg is not installed: the frames are in film/" in said.out
    assert "written   film/ (3 frames" in said.out
    assert len(list(Path("film").iterdir())) == 3


def test_mix_draws_the_figure(organza, styled):
    said = organza("mix", styled, "--rows", "0-1", "--cols", "7-9", "--layers", "4-5", "--truncation", "0.8")
    assert said.out == "written   samples/stylegan2-mix-seed0.png (2 x 3 mixed; layers 4, 5 from the columns)\n"
    figure = pixels("samples/stylegan2-mix-seed0.png")
    assert figure.shape == (3 * 48 + 4, 4 * 48 + 6, 3)
    assert (figure[:48, :48] == 255).all()
    wanted = package.load("s").sample(seeds=[7], truncation=0.8)[0].permute(1, 2, 0).numpy()
    assert np.abs(figure[:48:3, 50:98:3].astype(int) - wanted).max() <= 1
    assert mark("samples/stylegan2-mix-seed0.png")["model"] == "stylegan2"


def test_mix_writes_every_picture_as_a_file(organza, styled):
    words = ("mix", styled, "--rows", "0-1", "--cols", "7-9", "--layers", "4-5")
    said = organza(*words, "--out", "cells")
    assert said.out == "written   cells/ (11 pictures; 2 x 3 mixed; layers 4, 5 from the columns)\n"
    names = {"row0000", "row0001", "column0007", "column0008", "column0009"}
    names |= {f"row000{row}-column000{column}" for row in (0, 1) for column in (7, 8, 9)}
    assert {path.stem for path in Path("cells").iterdir()} == names
    organza(*words, "--out", "figure.png")
    figure = pixels("figure.png")
    side = (figure.shape[1] - 6) // 4
    factor = side // 16
    for name, row, column in (("column0008", 0, 2), ("row0001", 2, 0), ("row0001-column0009", 2, 3)):
        top, left = row * (side + 2), column * (side + 2)
        assert np.array_equal(
            figure[top : top + side : factor, left : left + side : factor], pixels(f"cells/{name}.png")
        )
    assert mark("cells/row0001-column0009.png")["seed"] == 1
    again = organza(*words, "--out", "cells")
    assert (again.code, "would mix with what is in cells" in again.err) == (2, True)
    twice = organza("mix", styled, "--rows", "0,0", "--out", "twice")
    assert (twice.code, "a seed is there twice" in twice.err) == (2, True)
    assert not Path("twice").exists()
    assert len(list(Path("cells").iterdir())) == 11
    organza(*words, "--out", "plain", "--no-provenance")
    assert read_provenance(Path("plain/row0000.png")) is None


def test_points_make_a_plot(organza):
    model = saved("p", "mlp", shape=(2,))
    assert "mlp-walk-seed0.png (9 frames" in organza("walk", model, "--frames", "9").out
    assert "make no film; type --out a.png" in organza("walk", model, "--out", "a.gif").err


def test_the_settings_of_stylegan3_may_be_negative(organza):
    model = saved("m", "stylegan3")
    organza("sample", model, "-n", "2", "--translate", "-0.1,0.2", "--rotate", "-30", "--truncation", "-0.5", "--out",
            "a.npy")  # fmt: skip
    wanted = package.load("m").sample(2, translate=(-0.1, 0.2), rotate=-30, truncation=-0.5)
    assert torch.equal(torch.from_numpy(np.load("a.npy")), wanted)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sample", "s", "--truncation", "3"], "it takes -1 to 2"),
        (["sample", "s", "--cutoff", "2"], "no effect without truncation"),
        (["sample", "s", "--noise", "loud"], "noise is 'loud'"),
        (["sample", "s", "--translate", "1"], "two numbers, such as 0.1,-0.2"),
        (["sample", "s", "--rotate", "x"], "rotate is 'x'"),
        (["sample", "s", "--rotate", "5"], "is no StyleGAN3"),
        (["sample", "s", "--out", "x.mp4"], ".png, .npy, .npz or a folder"),
        (["interpolate", "s", "--seeds", "0-2", "--grid", "2x1"], "3 seeds for 2 films"),
        (["interpolate", "s", "--grid", "2"], "grid is '2'"),
        (["interpolate", "s", "--frames", "0"], "frames is 0"),
        (["interpolate", "s", "--way", "cubik"], "did you mean 'cubic'"),
        (["interpolate", "s", "--space", "y"], "takes z or w"),
        (["interpolate", "s", "--labels", "1"], "unconditional"),
        (["interpolate", "s", "--out", "a.jpg"], ".gif, .mp4, .png (a still) or a folder"),
        (["walk", "s", "--out", "a.webm"], ".gif, .mp4, .png (a still) or a folder"),
        (["sample", "s", "--out", "a.tiff"], "it takes .png, .npy, .npz or a folder"),
        (["mix", "s", "--out", "x.tiff"], "the figure is a .png, or a folder"),
        (["interpolate", "s", "--out", "a.png", "--fps", "9"], "fps has no effect"),
        (["interpolate", "s", "--out", "a.png", "--frames", "900"], "too many for one still"),
        (["interpolate", "s", "--fps", "60"], "at most 50 frames a second"),
        (["interpolate", "nowhere"], "type: organza interpolate runs/a"),
        (["walk", "s", "--pace", "0"], "pace is 0"),
        (["walk", "s", "--fps", "0"], "fps is 0"),
        (["walk", "s", "--labels", "1"], "unconditional"),
        (["walk", "d", "--space", "w"], "nrecognized"),
        (["mix", "s", "--layers", "9"], "has the layers 0-5"),
        (["mix", "s", "--rows", "0-99", "--columns", "0-99"], "too many for one figure"),
        (["mix", "s", "--out", "x.gif"], "the figure is a .png, or a folder"),
        (["mix", "d"], "from one code; organza interpolate"),
        (["interpolate", "d", "--space", "w"], "has no w"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(organza, styled, words, message):
    saved("runs/a/model", "dcgan")
    saved("d", "dcgan")
    before = {str(p) for p in Path().rglob("*")}
    said = organza(*words)
    assert said.code == 2
    assert message in said.err + said.out
    assert {str(p) for p in Path().rglob("*")} == before
