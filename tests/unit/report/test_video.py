"""Films are opened by Pillow and by ffprobe, not by our own reader."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from organza.config import ConfigError
from organza.report.provenance import into_gif, packet, read_provenance
from organza.report.video import FilmWriter

MARK = packet("stylegan2", "ab" * 32, 7)
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def moving(count=7, channels=3, size=(16, 20), tracks=0) -> torch.Tensor:
    """A bright bar that goes down a coloured picture."""
    height, width = size
    frames = torch.zeros(count, channels, height, width, dtype=torch.uint8)
    frames[:, 0] = 200
    for i in range(count):
        frames[i, :, i : i + 3] = 90
    return frames[:, None].repeat(1, tracks, 1, 1, 1) if tracks else frames


def write(path, frames, rate=30, **more) -> FilmWriter:
    with FilmWriter(Path(path), rate, **more) as writer:
        for part in frames.split(3):
            writer.take(part)
    return writer


def hidden() -> list[str]:
    return [p.name for p in Path().rglob("*.part")]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("rate", "delays"), [(25, [40]), (30, [30, 40]), (50, [20]), (7.5, [130, 140])])
def test_a_gif_has_every_frame_for_its_time(rate, delays):
    frames = moving(12)
    writer = write("a.gif", frames, rate, mark=MARK)
    with Image.open("a.gif") as gif:
        assert (gif.n_frames, gif.info["loop"], gif.size) == (12, 0, (140, 112))  # 7 times as large
        found = [(part.info["duration"], np.asarray(part.convert("RGB"))) for part in ImageSequence.Iterator(gif)]
    assert {delay for delay, _ in found} == set(delays)
    assert sum(delay for delay, _ in found) == pytest.approx(12_000 / rate, abs=5)
    for (_, shown), frame in zip(found, frames, strict=True):
        assert np.abs(shown[::7, ::7].astype(int) - frame.permute(1, 2, 0).numpy()).max() <= 1
    mark = read_provenance(Path("a.gif"))
    assert mark is not None
    assert (mark["model"], mark["seed"], mark["sha256"]) == ("stylegan2", 7, "ab" * 32)
    assert writer.told() == f"a.gif (12 frames, {12 / rate:.1f} s, 140x112)"
    assert hidden() == []


def test_one_palette_keeps_still_colours_still():
    frames = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (5, 3, 130, 140), np.uint8))
    frames[:, :, :, :30] = torch.tensor([10, 120, 250], dtype=torch.uint8)[:, None, None]
    write("a.gif", frames)
    assert read_provenance(Path("a.gif")) is None
    with Image.open("a.gif") as gif:
        left = [np.asarray(part.convert("RGB"))[:, :30].reshape(-1, 3) for part in ImageSequence.Iterator(gif)]
    assert len(np.unique(np.concatenate(left), axis=0)) == 1
    assert np.abs(left[0][0].astype(int) - [10, 120, 250]).max() < 8


def test_grey_and_transparent_films():
    grey = moving(4, channels=1)
    write("g.gif", grey, mark=MARK)
    with Image.open("g.gif") as gif:
        assert np.array_equal(np.asarray(gif.convert("L"))[::7, ::7], grey[0, 0].numpy())
    assert read_provenance(Path("g.gif")) is not None
    write("t.gif", moving(4, channels=4))  # the fourth is transparency
    write("frames", moving(2, channels=4))
    with Image.open("frames/00001.png") as png:
        assert png.mode == "RGBA"


def test_a_folder_has_exact_marked_frames_and_tracks_stand_side_by_side():
    frames = moving(5, tracks=3)
    writer = write("out/frames", frames, columns=2, mark=MARK)
    names = sorted(p.name for p in Path("out/frames").iterdir())
    assert names == [f"{i:05}.png" for i in range(5)]
    with Image.open("out/frames/00002.png") as png:
        pixels = np.asarray(png)
    assert pixels.shape == (2 * 16 + 2, 2 * 20 + 2, 3)
    assert np.array_equal(pixels[:16, :20], frames[2, 0].permute(1, 2, 0).numpy())
    assert np.array_equal(pixels[18:, :20], frames[2, 2].permute(1, 2, 0).numpy())
    mark = read_provenance(Path("out/frames/00004.png"))
    assert mark is not None
    assert mark["seed"] == 7
    assert "out/frames/ (5 frames, 0.2 s, 42x34)" in writer.told()
    with pytest.raises(ConfigError, match="would mix"):
        FilmWriter(Path("out/frames"))
    Path("empty").mkdir()
    write("empty", frames)
    assert len(list(Path("empty").iterdir())) == 5


def probed(path) -> dict:
    words = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", str(path)]
    return json.loads(subprocess.run(words, capture_output=True, check=True).stdout)


@needs_ffmpeg
def test_an_mp4_that_every_player_shows():
    frames = moving(9, size=(131, 140))  # an odd side
    assert write("a.mp4", frames, 24, mark=MARK).told() == "a.mp4 (9 frames, 0.4 s, 140x132)"
    found = probed("a.mp4")
    stream = found["streams"][0]
    assert (stream["width"], stream["height"], stream["pix_fmt"]) == (140, 132, "yuv420p")
    assert (stream["codec_name"], stream["r_frame_rate"], stream["nb_read_frames"]) == ("h264", "24/1", "9")
    assert "trained" in found["format"]["tags"]["comment"]
    assert "model stylegan2" in found["format"]["tags"]["comment"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", "a.mp4", "%d.png"], check=True)
    with Image.open("5.png") as shown:
        pixels = np.asarray(shown.convert("RGB")).astype(int)
    assert np.abs(pixels[:131] - frames[4].permute(1, 2, 0).numpy()).mean() < 6
    write("g.mp4", moving(3, channels=1))
    assert "comment" not in probed("g.mp4")["format"]["tags"]
    assert hidden() == []


@needs_ffmpeg
@pytest.mark.parametrize("size", [(128, 129), (721, 1281)])
def test_an_mp4_has_the_colours_of_its_frames(size):
    """The matrix stands in the file: without it a player guesses by the size, and red is another in each half."""
    colours = torch.tensor([[255, 0, 0], [0, 200, 0], [20, 30, 220], [128, 128, 128]], dtype=torch.uint8)
    write("a.mp4", colours[:, :, None, None].expand(-1, -1, *size).contiguous(), 10)
    stream = probed("a.mp4")["streams"][0]
    assert (stream["width"], stream["height"]) == (size[1] + size[1] % 2, size[0] + size[0] % 2)
    assert (stream["color_space"], stream["color_primaries"], stream["color_range"]) == ("bt709", "bt709", "tv")
    subprocess.run(["ffmpeg", "-v", "error", "-i", "a.mp4", "%d.png"], check=True)
    for number, colour in enumerate(colours, 1):
        with Image.open(f"{number}.png") as shown:
            pixels = np.asarray(shown.convert("RGB")).astype(int)
        assert np.abs(pixels - colour.numpy()).max() <= 4


@needs_ffmpeg
def test_what_ffmpeg_says_is_told(monkeypatch):
    Path("bin").mkdir()
    Path("bin/ffmpeg").write_text("#!/bin/sh\necho 'Unknown encoder libx264' >&2\nexit 1\n")
    Path("bin/ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path('bin').resolve()}:/bin:/usr/bin")
    with pytest.raises(ConfigError, match=r"could not write a.mp4 \(Unknown encoder libx264\).*--out a"):
        write("a.mp4", moving(40, size=(200, 200)))
    assert not Path("a.mp4").exists()
    assert hidden() == []


def test_without_ffmpeg_the_frames_are_there_and_the_command_for_the_film(monkeypatch):
    path = str(Path("/usr/bin")) if (ffmpeg := shutil.which("ffmpeg")) is None else str(Path(ffmpeg).parent)
    monkeypatch.setenv("PATH", "")
    writer = write("film.mp4", moving(6, size=(17, 21)), 12)
    assert len(list(Path("film").iterdir())) == 6
    assert not Path("film.mp4").exists()
    command = re.search(r"make the film with: (ffmpeg .*)", writer.note)
    assert command is not None
    if ffmpeg is not None:
        monkeypatch.setenv("PATH", path)
        subprocess.run([*shlex.split(command[1]), "-v", "error"], check=True)
        stream = probed("film.mp4")["streams"][0]
        assert (stream["nb_read_frames"], stream["r_frame_rate"], stream["width"]) == ("6", "12/1", 22)


def interrupted(writer: FilmWriter) -> None:
    with writer:
        writer.take(moving(5))
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["a.gif", "a.mp4", "a"])
def test_an_interrupted_film_leaves_nothing_and_spares_the_old_one(name):
    if name == "a.mp4" and shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    if name != "a":
        write(name, moving(3))
        before = Path(name).read_bytes()
    writer = FilmWriter(Path(name))
    with pytest.raises(KeyboardInterrupt):
        interrupted(writer)
    assert hidden() == []
    assert not Path(name).exists() if name == "a" else Path(name).read_bytes() == before
    assert writer.replaced == (name != "a")


def test_what_makes_no_film():
    with pytest.raises(ConfigError, match="at most 50 frames"):
        FilmWriter(Path("a.gif"), 60)
    for rate in (0, -1, float("nan")):
        with pytest.raises(ConfigError, match="fps is"):
            FilmWriter(Path("a.gif"), rate)
    for shape in ((2, 5, 8, 8), (2, 9)):
        with pytest.raises(ConfigError, match="make no film"), FilmWriter(Path("b")) as writer:
            writer.take(torch.zeros(shape, dtype=torch.uint8))
    assert not Path("b").exists()


def test_the_mark_stands_behind_the_loop_of_a_gif_with_or_without_one():
    Image.new("L", (3, 3), 9).save("a.gif")
    Path("b.gif").write_bytes(into_gif(Path("a.gif").read_bytes(), MARK))
    with Image.open("b.gif") as gif:
        assert np.asarray(gif.convert("L")).tolist() == [[9] * 3] * 3
    assert read_provenance(Path("b.gif"))["seed"] == 7  # type: ignore[index]
    assert read_provenance(Path("a.gif")) is None
