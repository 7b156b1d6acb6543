import json
import math
import re
import time
from html.parser import HTMLParser

import pytest
from PIL import Image

from organza.config import Config, Model, Optimizer, Penalty, Player, Schedule, to_dict
from organza.report.folder import read_folder
from organza.report.page import write_report

VOID = {"meta", "img", "input", "br", "link"}
HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """Collects elements and fails on tags that do not close."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID and not self.get_starttag_text().endswith(f"<{tag}/>"):
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def config():
    r1 = Penalty(name="r1", weight=Schedule(start=1.0, end=0.1, images=1000), every=4)
    player = Player(model=Model(name="dcgan", options={"width": 48}))
    critic = Player(model=Model(name="dcgan"), optimizer=Optimizer(lr=3e-4), penalties=(r1,))
    return to_dict(Config(recipe="dcgan", generator=player, discriminator=critic))


def summary(**changes):
    data = {"name": "mnist", "count": 60000, "shape": [1, 28, 28], "classes": list("0123456789"),
            "licence": "CC BY-SA 3.0", "fingerprint": "51311e2ab0d62c84"}  # fmt: skip
    base = {"status": "running", "images": 30_000, "seconds": 75.0, "data": data, "notes": [],
            "parameters": {"generator": 1_000_000, "discriminator": 500_000}, "scores": {"fd": 4.25}}  # fmt: skip
    return base | changes


@pytest.fixture
def run(tmp_path):
    (tmp_path / "samples").mkdir()
    for name in ("real", "000000-raw", "000000-ema", "000020-raw", "000020-ema"):
        Image.new("L", (64, 40)).save(tmp_path / f"samples/{name}.png")
    (tmp_path / "config.json").write_text(json.dumps(config()))
    (tmp_path / "env.json").write_text(json.dumps({"torch": "2.13.0", "device": "cpu", "cores": 2}))
    (tmp_path / "command.txt").write_text("organza train dcgan --data mnist\n")
    (tmp_path / "summary.json").write_text(json.dumps(summary()))
    lines = [{"images": i * 1000, "seconds": i * 2.5, "step": i, "loss/generator": 1.0 + i, "loss/discriminator": 2.0,
              "D(x)": 0.6, "D(G(z))": 0.4, "lr/generator": 2e-4, "new/thing": i} for i in range(1, 31)]  # fmt: skip
    lines += [{"images": 30_000, "seconds": 75.0, "score/fd": 4.25}]
    (tmp_path / "log.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + '\n{"images": 31000, "loss/ge')
    return tmp_path


def read(run):
    path = write_report(run)
    assert path == run / "report.html"
    assert not list(run.glob(".*"))
    return path.read_text("utf-8")


def test_a_run_becomes_a_page(run):
    text = read(run)
    page = Page(text)
    plain = re.sub("<.*?>", "", text)
    for word in ("dcgan", "mnist", "CC BY-SA 3.0", "51311e2ab0d62c84", "organza train dcgan --data mnist", "4.25"):
        assert word in plain
    assert {"running", "Loss of each player", "Discriminator's answer", "fd", "new"} <= set(page.words)
    assert "lr" not in page.words  # constant


def test_the_real_grid_stands_beside_the_newest_average(run):
    real, fake = Page(read(run)).all("img")
    assert real["src"] == "samples/real.png"
    assert fake["src"] == "samples/000020-ema.png"
    assert (fake["width"], fake["height"]) == ("64", "40")
    assert "20k images" in fake["alt"]
    assert real["alt"]


def test_the_slider_knows_every_moment(run):
    page = Page(read(run))
    ticks = next(json.loads(a["data-ticks"]) for a in page.all("figure") if "data-ticks" in a)
    assert [tick["label"] for tick in ticks] == ["untrained", "20k images"]
    assert ticks[0]["raw"] == "samples/000000-raw.png"
    assert next(a for a in page.all("input") if a["type"] == "range")["max"] == "1"


def test_a_single_grid_has_no_slider(run):
    for name in ("000020-raw", "000020-ema", "000000-ema"):
        (run / f"samples/{name}.png").unlink()
    page = Page(read(run))
    assert page.all("img")[1]["src"] == "samples/000000-raw.png"
    assert "hidden" in page.all("button")[0]


@pytest.mark.parametrize("status", ["running", "finished", "stopped", "failed"])
def test_only_a_running_run_refreshes(run, status):
    (run / "summary.json").write_text(json.dumps(summary(status=status)))
    page = Page(read(run))
    refreshes = [a for a in page.all("meta") if a.get("http-equiv") == "refresh"]
    assert len(refreshes) == (status == "running")
    assert status in page.words


def test_the_page_loads_nothing_from_elsewhere(run):
    text = read(run)
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_words_from_files_cannot_become_html(run):
    data = {
        "name": HOSTILE,
        "classes": [HOSTILE],
        "licence": HOSTILE,
        "fingerprint": HOSTILE,
        "shape": [HOSTILE],
        "count": 1,
    }
    hostile = summary(data=data, scores={HOSTILE: {HOSTILE: HOSTILE}}, parameters={HOSTILE: 1}, notes=[HOSTILE])
    (run / "summary.json").write_text(json.dumps(hostile))
    (run / "command.txt").write_text(HOSTILE)
    (run / "env.json").write_text(json.dumps({HOSTILE: HOSTILE, "device": HOSTILE, "cores": HOSTILE, "torch": HOSTILE}))
    (run / "config.json").write_text(json.dumps({"recipe": HOSTILE, HOSTILE: [HOSTILE, {HOSTILE: HOSTILE}]}))
    (run / "log.jsonl").write_text(json.dumps({"images": 1, f"loss/{HOSTILE}": 1, HOSTILE: 2, f"score/{HOSTILE}": 3}))
    page = Page(read(run))
    assert len(page.all("script")) == 1
    assert len(page.all("img")) == 2
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)


def test_an_empty_folder_has_a_page_too(tmp_path):
    assert "no samples yet" in read(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '"x"', '{"status": 3, "data": [], "scores": 1, "images": "x"}']
)
def test_damaged_files_do_not_stop_the_page(run, content):
    for name in ("config.json", "summary.json", "env.json", "log.jsonl"):
        (run / name).write_text(content)
    (run / "samples/real.png").write_bytes(b"\x89PNG torn")
    assert "this picture cannot be read" in read(run)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        write_report(tmp_path / "none")


def test_the_configuration_is_complete(run):
    words = Page(read(run)).words
    pairs = {words[i]: words[i + 1] for i in range(len(words) - 1)}
    assert pairs["discriminator.penalties.r1.weight.start"] == "1"
    assert pairs["discriminator.optimizer.lr"] == "0.0003"
    assert pairs["generator.model.width"] == "48"
    assert pairs["data.resolution"] == "none"
    assert pairs["share_fakes"] == "no"


def test_commands_are_exact(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    text = re.sub("<.*?>", "", read(run))
    assert f"organza sample {run.name} -n 64 --seed 0 --out samples.png" in text
    assert f"organza train --out {run.name} --resume" in text
    assert f"organza.load(&#x27;{run.name}&#x27;)" in text


def test_a_resumed_run_forgets_what_it_repeats(tmp_path):
    lines = [(1, 1.0), (2, 2.0), (3, 3.0), (2, 20.0), (4, 40.0)]
    (tmp_path / "log.jsonl").write_text("\n".join(json.dumps({"images": x, "a": y}) for x, y in lines))
    assert read_folder(tmp_path).series["a"] == [(1, 1.0), (2, 20.0), (4, 40.0)]


def test_notes_come_from_the_summary_and_the_log(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps({"notes": ["first", "second"]}))
    (tmp_path / "log.jsonl").write_text('{"images": 1, "note": "third"}\n{"images": 2, "note": "first"}\n')
    assert read_folder(tmp_path).notes == ("first", "second", "third")
    assert "third" in Page(read(tmp_path)).words


def test_values_that_are_not_finite_are_shown_in_the_table_and_not_drawn(run):
    with (run / "log.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"images": 40_000, "loss/generator": math.nan, "big": 10**400}) + "\n")
    page = Page(read(run))
    assert "nan" in page.words
    assert not any("nan" in a.get("d", "") for a in page.all("path"))


def test_a_long_log_is_read_in_a_moment(run):
    line = {"images": 0, "seconds": 1.0} | {f"loss/{name}": 0.5 for name in "abcdefgh"}
    (run / "log.jsonl").write_text("".join(json.dumps(line | {"images": i}) + "\n" for i in range(5000)))
    start = time.perf_counter()
    text = read(run)
    assert time.perf_counter() - start < 5
    assert len(text) < 400_000
