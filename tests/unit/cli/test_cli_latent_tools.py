import json
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from editing_helpers import tiny
from PIL import Image

import organza as package
from organza.cli.workbench import Timed, clock
from organza.hub import save
from organza.latent.editing import codes_of, load_directions
from organza.report.provenance import read_provenance


def saved(name: str, classes=(), shape=(3, 16, 16), folder="m", **options) -> str:
    save(tiny(name, classes, shape, **options), Path(folder), "card")
    return folder


def photo() -> str:
    pixels = np.random.RandomState(0).randint(0, 256, (30, 20, 3)).astype(np.uint8)
    Image.fromarray(pixels).save("my photo.png")
    return "my photo.png"


def test_project_writes_what_it_found(organza):
    model = saved("stylegan2")
    words = ("--steps", "3", "--tune", "2", "--perceptual", "pixels")
    said = organza("project", model, photo(), *words, "--space", "w+")
    assert said.code == 0, said.err
    assert "note: my photo.png (20x30) was cut at the centre and resized to 16x16" in said.out
    assert "in 3 steps of w+ (judged by pixels)" in said.out
    assert "tuned     projections/stylegan2-my-photo/model (2 steps;" in said.out
    folder = Path("projections/stylegan2-my-photo")
    about = json.loads((folder / "fit.json").read_text())
    assert len(about["distances"]) == 3
    assert (about["interrupted"], about["planned_steps"]) == (False, 3)
    assert about["sha256"] == package.load("m").sha256
    with np.load(folder / "projected_w.npz", allow_pickle=False) as arrays:
        assert arrays["w"].shape == (1, 6, 8)
    with Image.open(folder / "fit.gif") as film:
        assert film.n_frames == 3
    with Image.open(folder / "tuned.gif") as film:
        assert film.n_frames == 3 + 3  # before each step of the tuning, and after the last
    assert read_provenance(folder / "tuned.gif")["model"] == "stylegan2"
    assert read_provenance(folder / "projection.png")["model"] == "stylegan2"
    assert read_provenance(folder / "target.png") is None
    assert read_provenance(folder / "tuned.png")["sha256"] == package.load(folder / "model").sha256
    edited = organza("edit", folder / "model", "--code", folder / "model", "--columns", "3", "--out", "edited")
    assert edited.code == 0, edited.err
    assert Path("edited/strip-code.png").is_file()
    again = organza("project", model, photo(), "--steps", "1", "--out", folder)
    assert again.code == 2
    assert "already, which would be lost" in again.err


@pytest.mark.parametrize("film", ["mp4", "frames"])
def test_the_films_of_a_projection_are_as_those_of_other_verbs(organza, monkeypatch, film):
    """Without ffmpeg an MP4 is a folder of frames, and the command that makes one of it is told."""
    monkeypatch.setenv("PATH", "/nowhere")
    words = ("--steps", "3", "--tune", "2", "--perceptual", "pixels", "--film", film, "--out", "p")
    said = organza("project", saved("stylegan2"), photo(), *words)
    assert said.code == 0, said.err
    assert said.out.count("note: ffmpeg is not installed: the frames are in p/") == (2 if film == "mp4" else 0)
    for name, frames, rest in (("fit", 3, 1), ("tuned", 6, 2)):
        found = sorted(path.name for path in Path("p", name).iterdir())
        assert found == [f"{number:05}.png" for number in range(frames + rest)]
        with Image.open(Path("p", name, found[0])) as frame:
            assert frame.size == (16 + 16 + 2, 16)  # the target, a gap, the picture
    with Image.open(Path("p/tuned", found[5])) as last, Image.open("p/tuned.png") as tuned:
        assert np.array_equal(np.asarray(last)[:, 18:], np.asarray(tuned))
    assert "p has target.png" in organza("project", "m", photo(), *words).err


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_the_films_of_a_projection_as_mp4(organza):
    words = ("--steps", "3", "--tune", "2", "--perceptual", "pixels", "--film", "mp4", "--out", "p")
    said = organza("project", saved("stylegan2"), photo(), *words)
    assert said.code == 0, said.err
    for name, frames in (("fit", 4), ("tuned", 8)):
        subprocess.run(["ffmpeg", "-v", "error", "-i", f"p/{name}.mp4", f"{name}%d.png"], check=True)
        assert len(list(Path().glob(f"{name}*.png"))) == frames
    with Image.open("p/target.png") as target, Image.open("tuned8.png") as last:
        assert last.size == (258, 128)  # both eight times as large, and a gap
        shown = np.asarray(last)[:, :128].astype(int).reshape(16, 8, 16, 8, 3).mean((1, 3))
        assert np.abs(shown.mean(2) - np.asarray(target).mean(2)).mean() < 4


@pytest.mark.parametrize(("words", "part"), [((), 0), (("--layers", "2"), 2)])
def test_directions_in_a_noise_of_parts_act_in_one_and_say_which(organza, words, part):
    model = saved("biggan", ("cat", "dog"), z_dim=24)
    said = organza("edit", model, "--seeds", "0", "--columns", "2", "--directions", "0", "--out", "e", *words)
    assert said.code == 0, said.err
    assert f"in part {part} of the noise (of 0-2; --layers N looks at another)" in said.out
    found = load_directions("e/directions.safetensors")
    codes = codes_of(package.load(model), [0])[0]
    moved = (found.moved(codes, 0, 1.0) - codes).abs().amax((0, 2))
    assert (moved > 0).tolist() == [at == part for at in range(3)]
    said = organza("edit", model, "--layers", "0-1", "--out", "f")
    assert (said.code, "have nothing in common; give one layer" in said.err) == (2, True)


class Interrupting:
    """Presses Ctrl-C while something is told: at one place, so and so often."""

    def __init__(self, monkeypatch, what, done, times=1, number=signal.SIGINT):
        self.what, self.done, self.times, self.number = what, done, times, number
        self.told = Timed.step
        monkeypatch.setattr(Timed, "step", lambda timed, what, done, total: self.step(timed, what, done, total))

    def step(self, timed, what, done, total):
        self.told(timed, what, done, total)
        if what.startswith(self.what) and done == self.done:
            for _ in range(self.times):
                signal.raise_signal(self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_projection_keeps_its_fit(organza, monkeypatch, number):
    model, picture, before = saved("stylegan2"), photo(), signal.getsignal(signal.SIGINT)
    Interrupting(monkeypatch, "projecting", 4, number=number)
    said = organza("project", model, picture, "--steps", "50", "--tune", "2", "--perceptual", "pixels", "--out", "p")
    assert (said.code, said.err) == (128 + number, "")
    assert f"stopped   by {signal.Signals(number).name} at step 5 of 50; the fit so far is written" in said.out
    about = json.loads(Path("p/fit.json").read_text())
    assert (about["interrupted"], about["steps"], about["planned_steps"], len(about["distances"])) == (True, 5, 50, 5)
    assert {path.name for path in Path("p").iterdir()} == {
        "target.png", "projection.png", "code.safetensors", "projected_w.npz", "fit.gif", "fit.json"
    }  # fmt: skip
    edited = organza("layers", model, "--code", "p")
    assert edited.code == 0, edited.err
    assert signal.getsignal(signal.SIGINT) is before  # which is to ignore it where a script has started this


def test_ctrl_c_with_nothing_to_keep_leaves_nothing(organza, monkeypatch):
    model, picture = saved("dcgan"), photo()
    for what, done, times in (("trying samples", 64, 1), ("projecting", 1, 2)):
        with monkeypatch.context() as patch:
            Interrupting(patch, what, done, times)
            said = organza("project", model, picture, "--steps", "50", "--perceptual", "pixels", "--out", "p")
        assert (said.code, said.err) == (130, "\norganza: interrupted\n"), said
        assert not Path("p").exists()


def test_project_tells_what_is_wrong(organza):
    model, picture = saved("dcgan", folder="runs/first/model"), photo()
    points = saved("mlp", shape=(2,), folder="points")
    for words, told in (
        ((model, "none.png"), "no picture 'none.png'"), ((model, picture, "--space", "w"), "no w; type --space z"),
        ((model, picture, "--steps", "0"), "steps is 0"), ((model, picture, "--tune", "0"), "tune is 0"),
        ((points, picture), "makes no picture"), (("nowhere", picture), "type: organza project runs/first"),
        ((model, picture, "--film", "avi"), "film is 'avi'; it takes gif, mp4, frames"),
        ((model, picture, "--out", "x.png"), "takes a folder"), ((model, picture, "--out", "x.mp4"), "takes a folder"),
    ):  # fmt: skip
        said = organza("project", *words)
        assert (said.code, told in said.err) == (2, True), said.err
    assert not [path for path in Path().rglob("*.gif")]


def test_edit_draws_strips_and_grids(organza):
    saved("stylegan2", ("cat", "dog"))
    words = ("--directions", "0,2", "--seeds", "1-2", "--columns", "3", "--strength", "2", "--grid", "0,1")
    said = organza("edit", "m", *words, "--out", "e", "--layers", "0-3")
    assert said.code == 0, said.err
    assert "8 directions by SeFa, in layers 0-3" in said.out
    assert "written   e/ (4 pictures, directions.safetensors, edit.json)" in said.out
    with Image.open("e/strip-seed0002.png") as strip:
        middle = np.asarray(strip.convert("RGB").crop((110 + 50, 20, 110 + 50 + 48, 20 + 48)))[::3, ::3]
    wanted = package.load("m").sample(seeds=[2], labels=["dog"])[0].permute(1, 2, 0).numpy()
    assert np.array_equal(middle, wanted)
    assert json.loads(Path("e/edit.json").read_text())["strengths"] == [-2, 0, 2]
    assert read_provenance(Path("e/grid-seed0001.png"))["seed"] == 1
    reused = organza("edit", "m", "--use", "e/directions.safetensors", "--directions", "2", "--seeds", "2",
                     "--label", "dog", "--columns", "3", "--strength", "2", "--out", "f")  # fmt: skip
    assert reused.code == 0, reused.err
    with Image.open("e/strip-seed0002.png") as one, Image.open("f/strip-seed0002.png") as two:
        rows = [np.asarray(p.convert("RGB"))[20 + top : 20 + top + 48, 110:] for p, top in ((one, 50), (two, 0))]
    assert np.array_equal(*rows)
    by_class = organza("edit", "m", "--method", "labels", "--seeds", "0", "--psi", "0.5")
    assert by_class.code == 0, by_class.err
    assert "1 directions by labels (means)" in by_class.out
    assert Path("edits/stylegan2-labels/strip-seed0000.png").is_file()


def test_edit_tells_what_is_wrong_and_writes_nothing(organza):
    saved("stylegan2")
    for words, told in (
        (("--directions", "0-9"), "no direction 8, 9: SeFa has 8, from 0 to 7"), (("--layers", "9"), "from 0 to 5"),
        (("--method", "sefe"), "did you mean 'sefa'"), (("--grid", "1"), "two directions"),
        (("--use", "x", "--method", "sefa"), "named twice"), (("--use", "x"), "no directions 'x.safetensors'"),
        (("--source", "digits"), "--method labels"), (("--columns", "1"), "columns is 1"),
        (("--method", "labels"), "no classes"), (("--code", "x", "--seeds", "1"), "leave out --seeds"),
    ):  # fmt: skip
        said = organza("edit", "m", "--out", "e", *words)
        assert (said.code, told in said.err) == (2, True), said.err
    assert not Path("e").exists()


def test_layers_writes_a_page_and_its_numbers(organza):
    saved("biggan", ("cat", "dog"))
    said = organza("layers", "m", "--seed", "3", "--label", "dog", "--channels", "2")
    assert said.code == 0, said.err
    assert "written   layers/biggan-seed3.png and biggan-seed3.json" in said.out
    about = json.loads(Path("layers/biggan-seed3.json").read_text())
    assert about["label"] == 1
    assert [layer["name"] for layer in about["layers"]][:2] == ["blocks.0", "blocks.1"]
    assert len(about["layers"][0]["strongest"]) == 2
    assert read_provenance(Path("layers/biggan-seed3.png"))["seed"] == 3
    assert "replaced" in organza("layers", "m", "--seed", "3", "--label", "dog").out
    for words, told in ((("--channels", "0"), "takes 1 to 32"), (("--out", "x.txt"), "ends in .png")):
        said = organza("layers", "m", *words)
        assert (said.code, told in said.err) == (2, True)


@pytest.mark.parametrize(("seconds", "told"), [(5.4, "0:05"), (65, "1:05"), (3723, "1:02:03")])
def test_the_clock(seconds, told):
    assert clock(seconds) == told
