"""`organza upscale`: every picture of a batch, in order, with what it had; the bad ones are told."""

import shutil
import subprocess

import ncnn_files as files
import numpy as np
import pytest
import torch
from PIL import Image

import organza as library
from organza.cli import pictures, upscale
from organza.cli.console import Console
from organza.config import ConfigError
from organza.data.still import Still, read_still, save_still
from organza.hub.stills import translate_still
from organza.report.footage import FootageWriter, open_footage
from organza.report.provenance import CHANGED_TYPE, read_provenance


@pytest.fixture
def model(tmp_path):
    return files.compact(scale=2, spread=0.05).write(tmp_path / "net.bin")


def picture(path, height=10, width=14, channels=3):
    values = np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values[..., 0] if channels == 1 else values).save(path)
    return path


def run(*words, capsys):
    try:
        upscale.main([str(word) for word in words])
        code = 0
    except SystemExit as end:
        code = end.code
    return code, capsys.readouterr().out


def test_a_folder_is_enlarged_and_the_bad_files_are_told(tmp_path, model, capsys):
    for name in ("a.png", "inner/a.png", "b.jpg"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in" / "text.png").write_text("hello")
    (tmp_path / "in" / "notes.txt").write_text("no picture, not taken")
    code, out = run(tmp_path / "in", "--model", model, "--out", tmp_path / "out", capsys=capsys)
    assert code == pictures.FAILED == 1
    assert "text.png: no picture that can be read" in out
    assert "notes.txt" not in out
    assert {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png")} == {
        "a-x2.png", "inner/a-x2.png", "b-x2.png",
    }  # fmt: skip
    made, still = read_still(tmp_path / "out" / "a-x2.png"), read_still(tmp_path / "in" / "a.png")
    expected = library.load(model).translate(torch.from_numpy(still.pixels)[None])[0].numpy()
    assert np.array_equal(made.pixels, expected)
    mark = read_provenance(tmp_path / "out" / "a-x2.png")
    assert (mark["source_type"], mark["model"]) == (CHANGED_TYPE, "srvgg")
    page = (tmp_path / "out" / "before-after.html").read_text()
    assert page.count("<figure>") == 3
    assert "14x10 to 28x20 pixels" in page
    assert str(tmp_path) not in page
    assert {f"{i}-{word}.jpg" for i in (1, 2, 3) for word in ("before", "after")} == {
        p.name for p in (tmp_path / "out" / "before-after").iterdir()
    }


def test_without_bad_files_all_is_well(tmp_path, model, capsys):
    picture(tmp_path / "a.png")
    words = ["--model", model, "--out", tmp_path / "out", "--no-page", "--no-provenance", "--suffix", "-big"]
    words += ["--tile", 6, "--overlap", 2]
    code, out = run(tmp_path / "a.png", *words, capsys=capsys)
    assert (code, "failed" in out) == (0, False)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a-big.png"]
    assert read_provenance(tmp_path / "out" / "a-big.png") is None


@pytest.mark.parametrize(("words", "message"), [
    ((), "no model"), (("--model", "nothing", "a.png"), "--model takes a folder"),
    (("--model", "MODEL"), "no picture is named"), (("--model", "MODEL", "none.png"), "no file or folder none.png"),
    (("--model", "MODEL", "a.png", "--alpha", "x"), "alpha is 'x'"),
    (("--model", "MODEL", "a.png", "--tile", "x"), "tile is 'x'"), (("--model", "MODEL", "empty"), "no picture or f"),
    (("--model", "MODEL", "a-x2.png", "--out", ".", "--suffix", ""), None),
])  # fmt: skip
def test_mistakes_are_told_before_anything_is_made(tmp_path, model, words, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    words = [str(model) if word == "MODEL" else word for word in words]
    if message is None:
        picture(tmp_path / "a-x2.png")
        work = pictures.tasks(["a-x2.png"], tmp_path / "out", "")
        assert [task.target.name for task in work] == ["a-x2.png"]
        with pytest.raises(ConfigError, match="would be overwritten"):
            pictures.tasks(["a-x2.png"], tmp_path, "")
        with pytest.raises(ConfigError, match=r"a-x2\.png would be overwritten"):  # before it was read
            pictures.tasks(["a.png", "a-x2.png"], tmp_path, "-x2")
        with pytest.raises(ConfigError, match=r"from which nothing is read"):
            pictures.tasks(["a.png", "."], tmp_path, "-x2")
        return
    with pytest.raises((ConfigError, FileNotFoundError), match=message):
        upscale.main(words)
    assert not (tmp_path / "upscaled").exists()


def test_files_of_one_name_do_not_meet(tmp_path):
    for name in ("a.png", "a.jpg", "b/a.png"):
        picture(tmp_path / name)
    names = [tmp_path / name for name in ("a.png", "a.jpg", "b/a.png", "b")]
    work = pictures.tasks([str(name) for name in names], tmp_path / "out", "-x2")
    targets = [task.target.name for task in work]
    assert targets[:3] == ["a-x2.png", "a-x2-jpg.png", "a-x2-png.png"]
    assert len(set(targets)) == len(targets) == 4


@pytest.mark.parametrize("alpha", ["bilinear", "network"])
def test_transparency_and_depth_are_kept(model, alpha):
    translator = library.load(model)
    pixels = np.random.default_rng(0).integers(0, 65536, (3, 9, 11), np.uint16)
    veil = np.full((1, 9, 11), 40_000, np.uint16)
    made = translate_still(translator, Still(pixels, veil), alpha)
    assert (made.pixels.dtype, made.pixels.shape, made.alpha.shape) == (np.uint16, (3, 18, 22), (1, 18, 22))
    if alpha == "bilinear":
        assert np.abs(made.alpha.astype(int) - 40_000).max() <= 1
    else:
        grey = translator.translate(torch.from_numpy(veil.repeat(3, 0))[None])[0].numpy().astype(float)
        luma = np.einsum("c,chw->hw", [0.299, 0.587, 0.114], grey)
        assert np.abs(made.alpha[0] - luma).max() <= 1


def test_grey_stays_grey(model):
    made = translate_still(library.load(model), Still(np.full((1, 9, 9), 128, np.uint8)))
    assert made.pixels.shape == (1, 18, 18)


def test_memory_of_one_picture_is_its_own_failure(tmp_path, capsys):
    def change(still, told):
        if still.size == (10, 14):
            raise MemoryError("out of memory with tiles of 32 pixels")
        return still

    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png", 8, 8)
    work = pictures.tasks([str(tmp_path / "a.png"), str(tmp_path / "b.png")], tmp_path / "out", "-x1")
    with Console() as console:
        outcome = pictures.change_all(
            work, pictures.Job(change, "", ""), tmp_path / "out", "", "t", console, with_page=False
        )
    assert [p.name for p in outcome.written] == ["b-x1.png"]
    assert outcome.failed == ["a.png: out of memory with tiles of 32 pixels"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_film_keeps_its_frames_and_its_sound(tmp_path, model, capsys):
    source = tmp_path / "film.mp4"
    words = ["-f", "lavfi", "-i", "testsrc=size=32x16:rate=5:duration=1", "-f", "lavfi", "-i", "sine=duration=1"]
    subprocess.run(["ffmpeg", "-v", "error", *words, "-pix_fmt", "yuv420p", str(source)], check=True)
    film = open_footage(source)
    assert (film.width, film.height, film.frames, film.rate) == (32, 16, 5, "5/1")
    assert len(list(film)) == 5
    code, _ = run(source, "--model", model, "--out", tmp_path / "out", capsys=capsys)
    made = open_footage(tmp_path / "out" / "film-x2.mp4")
    assert (code, made.width, made.height, made.frames) == (0, 64, 32, 5)
    asked = ["-show_entries", "stream=codec_type:format_tags=comment", "-of", "csv", str(made.path)]
    told = subprocess.run(["ffprobe", "-v", "error", *asked], capture_output=True, text=True, check=True).stdout
    assert "audio" in told
    assert "made by a trained model" in told
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["film-x2.mp4"]


def filmed(path, size, *how):
    """A test picture that moves, one second long, ten frames a second."""
    words = ["-f", "lavfi", "-i", f"testsrc=size={size}:rate=10:duration=1", *how]
    subprocess.run(["ffmpeg", "-v", "error", *words, str(path)], check=True)
    return open_footage(path)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_film_of_odd_sides_has_its_edge_twice(tmp_path):
    """H.264 takes even sides alone; nothing of the picture is cut off."""
    film = filmed(tmp_path / "odd.mkv", "33x27", "-c:v", "ffv1")
    assert (film.width, film.height) == (33, 27)
    outcome = filmed_again(tmp_path / "odd.mkv", tmp_path / "out")
    made = open_footage(outcome.written[0])
    assert (made.width, made.height, len(list(made))) == (34, 28, 10)
    for before, after in zip(film, made, strict=True):
        light = np.array([0.2126, 0.7152, 0.0722])  # BT.709; the colours have half the sides
        assert np.corrcoef((after[:27, :33] @ light).ravel(), (before @ light).ravel())[0, 1] > 0.98
        assert np.abs(after[27].astype(int) - after[26]).mean() < 6


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_film_of_varying_rate_stays_as_long_as_its_sound(tmp_path):
    gone = ["-vf", "select='not(between(n,2,7))'", "-vsync", "vfr", "-pix_fmt", "yuv420p"]
    film = filmed(tmp_path / "vfr.mp4", "64x48", *gone)
    assert (film.frames, film.rate) == (4, "4/1")
    assert len(list(film)) == 4  # a second of them, in which one is shown twice and another is left out
    made = open_footage(filmed_again(tmp_path / "vfr.mp4", tmp_path / "out").written[0])
    assert (made.frames, made.rate) == (4, "4/1")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_film_that_was_taken_upright_is_upright(tmp_path):
    wide = filmed(tmp_path / "wide.mp4", "64x48", "-pix_fmt", "yuv420p")
    words = ["-i", str(tmp_path / "wide.mp4"), "-c", "copy", "-metadata:s:v", "rotate=90"]
    subprocess.run(["ffmpeg", "-v", "error", *words, str(tmp_path / "tall.mp4")], check=True)
    tall = open_footage(tmp_path / "tall.mp4")
    if (tall.width, tall.height) == (64, 48):
        pytest.skip("this ffmpeg writes no rotation")
    assert (tall.width, tall.height) == (48, 64)
    turned = next(iter(tall)).astype(int)
    first = next(iter(wide)).astype(int)
    assert min(np.abs(np.rot90(first, k) - turned).mean() for k in (1, 3)) < 1
    made = open_footage(filmed_again(tmp_path / "tall.mp4", tmp_path / "out").written[0])
    assert (made.width, made.height) == (48, 64)


def filmed_again(source, out):
    """The film through a network that changes nothing."""
    with Console() as console:
        job = pictures.Job(lambda still, told: still, "", "")
        return pictures.change_all(
            pictures.tasks([str(source)], out, "-x1"), job, out, "", "t", console, with_page=False
        )


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_broken_film_leaves_nothing(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a\.mp4: no film"):
        open_footage(tmp_path / "a.mp4")
    save_still(Still(np.zeros((3, 4, 4), np.uint8)), tmp_path / "a.png")
    writer = FootageWriter(tmp_path / "out.mp4", open_footage(tmp_path / "a.png"), "")
    writer.take(np.zeros((16, 16, 3), np.uint8))
    writer.abandon()
    assert not list(tmp_path.glob("*out*"))


def changed(folder, change, with_page=False, **names):
    """What becomes of these files, each a height and a width."""
    for name, sides in names.items():
        picture(folder / f"{name}.png", *sides)
    work = pictures.tasks([str(folder)], folder.parent / "out", "-x1")
    with Console() as console:
        return pictures.change_all(
            work, pictures.Job(change, "", ""), folder.parent / "out", "", "t", console, with_page=with_page
        )


def test_a_failure_of_the_network_is_that_of_one_picture(tmp_path):
    def change(still, told):
        if still.size == (1, 1):
            raise RuntimeError("Padding size should be less than the input\nException raised from here")
        return still

    outcome = changed(tmp_path / "in", change, a=(4, 4), b=(1, 1), c=(5, 5), with_page=True)
    assert [p.name for p in outcome.written] == ["a-x1.png", "c-x1.png"]
    assert outcome.failed == ["b.png: the network fails: Padding size should be less than the input"]
    assert outcome.page.read_text().count("<figure>") == 2


def test_what_is_interrupted_has_its_page(tmp_path):
    def change(still, told):
        if still.size == (5, 5):
            raise KeyboardInterrupt
        return still

    with pytest.raises(KeyboardInterrupt):
        changed(tmp_path / "in", change, a=(4, 4), b=(5, 5), with_page=True)
    assert (tmp_path / "out" / "before-after.html").read_text().count("<figure>") == 1


def test_what_the_page_cannot_show_is_written_all_the_same(tmp_path):
    outcome = changed(
        tmp_path / "in", lambda still, told: Still(still.pixels[:2].copy()), a=(4, 4), b=(5, 5), with_page=True
    )
    assert ([p.name for p in outcome.written], outcome.failed) == (["a-x1.png", "b-x1.png"], [])
    assert outcome.page is None


def test_without_ffmpeg_films_alone_are_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr("organza.report.footage.shutil.which", lambda name: None)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "m.mp4").write_bytes(b"a film")
    outcome = changed(tmp_path / "in", lambda still, told: still, a=(4, 4), z=(5, 5), with_page=True)
    assert [p.name for p in outcome.written] == ["a-x1.png", "z-x1.png"]
    assert outcome.failed == ["m.mp4: films need ffprobe, which is not there; install ffmpeg, or give pictures"]
    assert outcome.page.read_text().count("<figure>") == 2


def test_what_all_files_have_in_common_is_told_once(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("organza.hub.translator.OF_ALL", (torch.nn.Conv2d,))
    model = files.compact(scale=2, spread=0.05).write(tmp_path / "net.bin")
    for name in "abc":
        picture(tmp_path / "in" / f"{name}.png", 40, 40)
    code, out = run(tmp_path / "in", "--model", model, "--tile", 20, "--overlap", 2, "--out", tmp_path / "out",
                    capsys=capsys)  # fmt: skip
    assert (code, out.count("tiles differ from it in tone")) == (0, 1)
