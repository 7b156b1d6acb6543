"""When pictures are drawn, and how the page and the command tell of them."""

import json
import re
import shutil
import subprocess
import sys

import pytest
import torch
from picture_helpers import OF_IMAGES, case_of, drawn, missing, page_of, trained
from test_report_page import HOSTILE

import organza
from organza.cli.report import main
from organza.data.store import ImageStore
from organza.health.evidence import Case
from organza.report import pictures
from organza.report.page import write_report

REPORT_HEAD = "<h2>Pictures"

# When they are drawn


def test_a_finished_training_draws_and_a_running_one_does_not(tmp_path):
    run = trained(tmp_path / "run", "gan", "ring", {"output.pictures": True}, images=48)
    assert missing(run) == OF_IMAGES
    first = (run / "pictures/pictures.json").stat().st_mtime_ns
    assert REPORT_HEAD in (run / "report.html").read_text()
    write_report(run)
    assert (run / "pictures/pictures.json").stat().st_mtime_ns == first
    organza.train(out=run, resume=True, images=144, changes={"output.pictures": False}, device="cpu")
    assert (run / "pictures/pictures.json").stat().st_mtime_ns == first
    assert "of the model at 48 images" in (run / "report.html").read_text()


# The page


def test_the_page_shows_them_with_words_for_those_who_do_not_see(digits, ring):
    for run in (digits, ring):
        page = page_of(run)
        shown = {image["src"]: image for image in page.all("img")}
        for name, entry in drawn(run).items():
            for part in entry.get("parts", []):
                image = shown[f"pictures/{part['file']}"]
                assert image["alt"] == part["alt"] != ""
                assert int(image["width"]) > 100
            if "chart" in entry:
                assert any(entry["chart"]["title"] in svg.get("aria-label", "") for svg in page.all("svg")), name
        assert [h for h in page.words if h.startswith("Left out")]


def test_the_page_loads_nothing_from_elsewhere(ring):
    text = write_report(ring).read_text()
    assert REPORT_HEAD in text
    assert not re.search(r"https?://|//[a-z]+\.", text)


def test_words_of_pictures_cannot_become_html(ring, copy):
    run = copy(ring)
    part = {"file": "holes.png", "label": HOSTILE, "alt": HOSTILE}
    chart = {"series": {HOSTILE: [[0, 1], [1, 2], HOSTILE, ["x", 1], [1], [None, 2], [True, 1]]}, "title": HOSTILE,
             "x": HOSTILE, "border": HOSTILE, "log": HOSTILE}  # fmt: skip
    entry = {"name": HOSTILE, "title": HOSTILE, "told": HOSTILE, "protocol": HOSTILE, "parts": [part], "chart": chart}
    others = [{"missing": HOSTILE, "title": HOSTILE}, HOSTILE, None, {"parts": "x", "chart": []}, {}]
    (run / "pictures/pictures.json").write_text(json.dumps({"images": HOSTILE, "pictures": [entry, *others]}))
    page = page_of(run)
    assert len(page.all("script")) == 1
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert HOSTILE in page.words


@pytest.mark.parametrize("file", ["../secret.png", "/etc/x.png", "a b.png", "x.svg", "http://x/y.png", "", 3, None])
def test_only_pictures_of_the_folder_are_shown(ring, copy, file):
    run = copy(ring)
    entry = {"name": "x", "title": "x", "told": "x", "parts": [{"file": file, "alt": "x"}]}
    (run / "pictures/pictures.json").write_text(json.dumps({"pictures": [entry]}))
    assert "this picture cannot be read" in page_of(run).words


@pytest.mark.parametrize("content", ["", "[]", '{"pictures": 3}', '{"pictures": [1, null]}', "{"])
def test_damaged_pictures_do_not_stop_the_page(ring, copy, content):
    run = copy(ring)
    (run / "pictures/pictures.json").write_text(content)
    (run / "pictures/holes.png").write_bytes(b"torn")
    page_of(run)


# The command


def test_the_command_draws_and_tells(ring, copy, capsys):
    run = copy(ring)
    main([str(run)])
    told = capsys.readouterr().out
    assert re.search(r"pictures +5 in \d+\.\d s; without Nearest reals", told)
    assert str(run / "report.html") in told.replace("\n", "")


def test_the_command_can_leave_them_as_they_are(ring, copy, capsys):
    run = copy(ring)
    shutil.rmtree(run / "pictures")
    main([str(run), "--no-pictures"])
    assert not (run / "pictures").exists()
    assert "pictures" not in capsys.readouterr().out.replace(str(run), "")


def test_the_page_alone_needs_no_torch(ring, copy):
    run = copy(ring)
    code = "import sys\nfrom organza.cli.report import main\n"
    code += f"main([{str(run)!r}, '--no-pictures'])\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code = "import sys\nfrom organza.cli.report import main\ntry: main(['none'])\nexcept FileNotFoundError: pass\n"
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


def test_labels_that_are_not_there_name_no_class(ring):
    case = case_of(ring, torch.zeros(200, 2))
    store = case.store
    plain = ImageStore("x", store.images)
    other = Case(case.run, case.config, case.gan, plain, (), 200)
    other.__dict__["fake"] = case.fake
    assert "class" not in pictures._holes(other).told
