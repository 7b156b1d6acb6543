import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from organza.data import open_dataset
from organza.evaluation.evidence import Features
from organza.metrics.networks import open_network


def halves() -> tuple[str, str]:
    """Two sets of digits as array files."""
    images = open_dataset("mnist").images[:600].numpy()
    np.save("a.npy", images[:300])
    np.save("b.npy", images[300:])
    return "a.npy", "b.npy"


def test_a_table_and_the_receipt(organza):
    a, b = halves()
    said = organza("evaluate", a, "--real", b, "--metrics", "fd", "precision-recall,kd", "--network", "digits")
    assert said.code == 0
    assert re.search(r"^fd-digits ↓ +\d+\.?\d* +[\d.]+ to [\d.]+ +[\d.]+ \(N 150\) +300 / 300$", said.out, re.MULTILINE)
    assert "precision-digits ↑" in said.out
    assert "evaluation-a.json" in said.out
    assert [score["name"] for score in json.loads(Path("evaluation-a.json").read_text())["scores"]] == [
        "fd-digits", "precision-digits", "recall-digits", "kd-digits",
    ]  # fmt: skip


def test_against_says_who_is_better_or_that_it_is_not_decided(organza):
    a, b = halves()
    np.save("dark.npy", (np.load(a) * 0.3).astype(np.uint8))
    said = organza("evaluate", a, "--against", "dark.npy", "--real", b, "--metrics", "fd@digits")
    assert "a.npy is better" in said.out
    assert re.search(r"fd@digits, A - B +-\d", said.out)
    turned = organza("evaluate", "dark.npy", "--against", a, "--real", b, "--metrics", "recall@digits")
    assert "a.npy is better" in turned.out
    assert "not decided" in organza("evaluate", a, "--against", a, "--real", b).out


def test_mistakes_are_told_with_what_to_type(organza):
    a, b = halves()
    for words, told in (
        ((a,), "--real mnist"),
        ((a, "--real", b, "--metrics", "fdd"), "did you mean 'fd'"),
        ((a, "--real", b, "--samples", "0"), "samples is 0"),
        ((a, "--real", b, "--metrics", "fd", "--network", "inceptoin-legacy"), "inception-legacy"),
        ((a, "--against", b, "--real", b, "--metrics", "fd,kd"), "one metric"),
        (("nowhere/run", "--real", b), "no file or folder"),
    ):
        said = organza("evaluate", *words)
        assert said.code == 2
        assert told in said.err
        assert "Traceback" not in said.err


@pytest.mark.parametrize(("name", "through"), [("fid", "inception-legacy"), ("precision@vgg16", "vgg16")])
def test_against_by_a_network_that_is_not_embedded(organza, monkeypatch, name, through):
    a, b = halves()
    np.save("dark.npy", (np.load(a) * 0.3).astype(np.uint8))
    general = open_network("general")
    monkeypatch.setattr("organza.evaluation.through.open_network", lambda name, **_: replace(general, name=name))
    for words in ((a, "--against", "dark.npy"), ("dark.npy", "--against", a)):
        said = organza("evaluate", *words, "--real", b, "--metrics", name, "--real-samples", 200, "--out", "v.json")
        assert "a.npy is better" in said.out
        assert json.loads(Path("v.json").read_text())["network"] == through
    assert "200 real" in json.loads(Path("v.json").read_text())["a"]["protocol"]


def test_receipts_are_shown_side_by_side_or_refused(organza):
    a, b = halves()
    np.save("inverted.npy", 255 - np.load(b))
    for fake, real, out in ((a, b, "one.json"), (b, b, "two.json"), (a, "inverted.npy", "three.json")):
        organza("evaluate", fake, "--real", real, "--metrics", "fd@digits", "kd@digits", "--out", out)
    said = organza("evaluate", "one.json", "--against", "two.json")
    assert re.search(
        r"^fd-digits ↓ +[\d.]+ \([\d.]+ to [\d.]+\) +-?[\d.e-]+ .*(overlap|apart)$", said.out, re.MULTILINE
    )
    assert "kd-digits" in said.out
    assert "kd-digits" not in organza("evaluate", "one.json", "--against", "two.json", "--metrics", "fd").out
    for words, told in (
        (("one.json", "--against", "three.json"), "real data: b train (fingerprint"),
        (("one.json", "--against", a), "--against B.json"),
        (("one.json",), "--against B.json"),
        (("one.json", "--against", "two.json", "--real-samples", "5"), "--real-samples changes nothing"),
        (("one.json", "--against", "none.json"), "none.json"),
    ):
        refused = organza("evaluate", *words)
        assert refused.code == 2
        assert told in refused.err
        assert "Traceback" not in refused.err


def test_a_folder_of_mixed_sizes_is_told_what_this_verb_understands(organza, images):
    a, _ = halves()
    mixed = images("my photos", sizes=((40, 40), (64, 48)))
    for words, side in (((mixed, "--real", a), "32"), ((a, "--real", mixed), "28,28")):
        said = organza("evaluate", *words)
        assert said.code == 2
        command = f"organza data convert 'my photos' --resolution {side} --crop center --out same-size.zip"
        assert command in " ".join(said.err.split())
        assert "--data." not in said.err
    size = ("--resolution", "28,28", "--crop", "center", "--out", "same-size.zip")
    assert organza("data", "convert", mixed, *size).code == 0


def test_an_interruption_says_that_the_same_command_goes_on(organza, monkeypatch):
    """What is seen before Ctrl-C is kept beside the receipt, and there is no such word where nothing was."""
    make, seen = Features._block, []

    def interrupted(self, *rest):
        seen.append(rest)
        if len(seen) > 1:
            raise KeyboardInterrupt
        return make(self, *rest)

    a, b = halves()
    ask = ("evaluate", a, "--real", b, "--metrics", "fd", "--out", "r.json")
    monkeypatch.setattr(Features, "_block", interrupted)
    said = organza(*ask)
    assert said.code == 130
    assert said.err.endswith("organza: interrupted; the same command goes on with the features that it has\n")
    monkeypatch.setattr(Features, "_block", make)
    assert organza(*ask).code == 0
    assert not Path("r.json.parts").exists()
    monkeypatch.setattr(Features, "of", lambda *_: interrupted(None))
    said = organza(*ask)
    assert (said.code, said.err.splitlines()[-1]) == (130, "organza: interrupted")
