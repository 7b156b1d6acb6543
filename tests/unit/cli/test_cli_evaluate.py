import json
import re
from pathlib import Path

import numpy as np

from organza.data import open_dataset


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
