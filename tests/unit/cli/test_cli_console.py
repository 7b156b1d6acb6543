import io
import time

import pytest
import rich.console

from organza.cli.console import REDRAW, Console
from organza.reporter import Reporter

TICK = {"loss/discriminator": 0.5, "loss/generator": 1.5, "D(x)": 0.8, "D(G(z))": 0.2, "logits/real": 3.0}


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is moved."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def made(terminal: bool, **options) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(rich.console.Console(file=file, force_terminal=terminal, width=100, **options)), file


def test_it_is_a_reporter():
    console: Reporter = Console()
    console.close()
    methods = {name for name in dir(Reporter) if not name.startswith("_")}
    assert len(methods) >= 5
    assert all(callable(getattr(console, name)) for name in methods)


def test_plain_lines_come_at_most_every_five_seconds_and_at_the_end(clock):
    console, file = made(terminal=False)
    console.plan(["recipe    dcgan: networks dcgan", "results   runs/x/report.html"])
    for images in range(100, 1100, 100):
        clock.now += 1
        console.progress(images, 1000, 100.0, (1000 - images) / 100)
        console.tick(images, TICK)
    console.close()
    console.close()
    lines = file.getvalue().splitlines()
    assert lines[:2] == ["recipe    dcgan: networks dcgan", "results   runs/x/report.html"]
    assert lines[2:] == [
        "0.5/1 kimg  100 images/s  0:05 left  loss D 0.5  G 1.5  D(x) 0.8  D(G(z)) 0.2",
        "1.0/1 kimg  100 images/s  0:00 left  loss D 0.5  G 1.5  D(x) 0.8  D(G(z)) 0.2",
    ]


def test_the_last_plain_line_is_always_printed(clock):
    console, file = made(terminal=False)
    console.plan(["recipe    dcgan"])
    console.progress(64, 64, 100.0, 0.0)
    console.tick(64, TICK | {"score/fd-digits-2k": 12.3456})
    console.close()
    assert file.getvalue().splitlines()[-1].endswith("fd-digits-2k 12.35")


def test_the_bar_is_drawn_four_times_a_second_at_most(clock, monkeypatch):
    console, file = made(terminal=True)
    drawn = []
    picture = Console._picture
    monkeypatch.setattr(Console, "_picture", lambda self: drawn.append(clock.now) or picture(self))
    console.plan(["recipe    dcgan"])
    console.tick(1, TICK | {"score/fd-digits-2k": 12.3456})
    for step in range(1000):
        clock.now += 0.01
        console.progress(step, 1000, 1234.5, 3700)
    console.close()
    assert 10 / REDRAW - 2 <= len(drawn) - 1 <= 10 / REDRAW + 1
    text = file.getvalue()
    for part in ("1,234 images/s", "1:01:40 left", "loss D 0.5", "D(G(z)) 0.2", "fd-digits-2k 12.35"):
        assert part in text


def test_time_alone_moves_the_bar_of_an_endless_run(clock):
    console, _ = made(terminal=True)
    console.progress(600, 2**62, 10.0, 60.0)
    assert "0.6 kimg" in console._picture().plain
    assert console._picture().plain.count("━") == 28
    console.close()


def test_work_on_data_and_notes(clock):
    console, file = made(terminal=False)
    for i in range(1, 14):
        clock.now += 1
        console.step("decoding", i, 13)
    console.note("2 files were left out [see above]")
    told = file.getvalue().splitlines()
    assert told == ["decoding 5 of 13", "decoding 10 of 13", "note: 2 files were left out [see above]"]


def test_work_on_data_on_a_terminal():
    console, file = made(terminal=True)
    console.wait("loading torch")
    console.step("fetching x.tar", 5, 0)
    console.note("a note")
    console.close()
    assert "fetching x.tar 5" in file.getvalue()
    assert "a note" in file.getvalue()


def test_other_processes_say_nothing(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    for terminal in (True, False):
        console, file = made(terminal)
        console.wait("x")
        console.step("x", 1, 0)
        console.plan(["recipe    dcgan"])
        console.progress(1, 2, 3.0, 4.0)
        console.tick(1, TICK)
        console.note("x")
        console.close()
        assert file.getvalue() == ""


def test_no_color(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console, file = made(terminal=True)
    console.plan(["recipe    dcgan"])
    console.progress(1, 2, 3.0, 4.0)
    console.close()
    assert "[36m" not in file.getvalue()
    assert "[90m" not in file.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    console, file = made(terminal=True)
    console.plan(["recipe    dcgan"])
    console.progress(1, 2, 3.0, 4.0)
    console.tick(1, TICK)
    console.close()
    assert "\x1b" not in file.getvalue()
    assert "recipe    dcgan" in file.getvalue()
