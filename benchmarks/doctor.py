"""What `organza doctor RUN` says of runs that were broken on purpose, and of healthy ones.

    python benchmarks/doctor.py --runs runs/doctor --seeds 0      # make what is missing, judge, print the table
    python benchmarks/doctor.py gan collapse --runs runs/doctor   # only these
    python benchmarks/doctor.py --table                           # the table of the docs, from the CSV

Every fixture is a real training of about a minute on one core. Thresholds were set on seed 0; other seeds are the test.
A failure counts as found when one of the findings that it stands for is named; a healthy run must have no finding but
notes, neither from the doctor nor while it trained. Where the doctor says nothing but that it is too early, there is no
verdict.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import keep_row, markdown, read_rows

import organza
from organza.health.diagnosis import diagnose
from organza.training.guard import BrokenError
from organza.training.run import Run

NAME, KEYS = "doctor", ("fixture", "seed")
EARLY = "too early"  # a note of the doctor
G, D = "generator", "discriminator"


@dataclass(frozen=True)
class Fixture:
    """A training, and the findings of which one must be named; none for a healthy one."""

    recipe: str
    data: str
    images: int
    changes: Mapping[str, Any] = field(default_factory=dict)
    expected: tuple[str, ...] = ()


FIXTURES: dict[str, Fixture] = {
    "collapse": Fixture(
        "gan", "mnist", 60_000,
        {f"{G}.turns": 10, "share_fakes": False, f"{D}.optimizer.lr": 2e-3, f"{G}.optimizer.lr": 2e-3},
        ("mode collapse",),
    ),
    "few modes": Fixture("gan", "grid", 400_000, {"noise": 0.0, f"{D}.model.reach": 0.0}, ("mode collapse",)),
    "collapsed class": Fixture("cgan", "one-three", 60_000, {}, ("class collapse",)),
    "strong D": Fixture(
        "gan", "mnist", 60_000,
        {"loss": "minimax", f"{D}.turns": 5, "share_fakes": False, f"{D}.model.dropout": 0.0, f"{D}.optimizer.lr": 1e-3,
         f"{G}.optimizer.lr": 1e-6},
        ("strong discriminator", "vanishing gradient"),
    ),
    "weak D": Fixture("gan", "mnist", 60_000, {f"{D}.optimizer.lr": 1e-7}, ("weak discriminator",)),
    "memorising D": Fixture(
        "dcgan", "few", 60_000, {f"{D}.model.norm": "none"}, ("memorising discriminator", "little data")
    ),
    "by heart": Fixture(
        "dcgan", "few", 60_000, {f"{D}.model.norm": "none", "data.heldout": 0.2}, ("memorising discriminator",)
    ),
    "divergence": Fixture(
        "gan", "mnist", 20_000, {f"{G}.optimizer.lr": 1e38, f"{G}.optimizer.name": "sgd"}, ("divergence",)
    ),
    "large rate": Fixture(
        "gan", "mnist", 60_000, {f"{G}.optimizer.lr": 0.05, f"{D}.optimizer.lr": 0.05},
        ("large learning rate", "saturation", "strong discriminator"),
    ),
    "orbit": Fixture(
        "wgan", "ring", 400_000, {f"{D}.weight_clip": 100.0, f"{G}.optimizer.lr": 2e-3, f"{D}.optimizer.lr": 2e-3},
        ("oscillation", "divergence"),
    ),
    "circling": Fixture(  # the bilinear game
        "wgan", "ring", 400_000,
        {f"{G}.model.depth": 0, f"{D}.model.depth": 0, f"{D}.weight_clip": 100.0, f"{D}.turns": 1,
         f"{G}.optimizer.name": "sgd", f"{D}.optimizer.name": "sgd", f"{G}.optimizer.lr": 1e-4,
         f"{D}.optimizer.lr": 0.04},
        ("oscillation",),
    ),
    "wild players": Fixture(
        "dcgan", "mnist", 30_000, {f"{G}.optimizer.lr": 0.1, f"{D}.optimizer.lr": 0.1},
        ("large learning rate", "strong discriminator", "mode collapse", "saturation"),
    ),
    "dark data": Fixture("gan", "dark", 30_000, {}, ("data range",)),
    "duplicates": Fixture("gan", "repeated", 30_000, {}, ("duplicates",)),
    "little data": Fixture("gan", "few", 30_000, {}, ("little data", "memorising discriminator")),
    "gan": Fixture("gan", "mnist", 300_000),
    "lsgan": Fixture("lsgan", "mnist", 60_000),
    "cgan": Fixture("cgan", "mnist", 100_000),
    "dcgan": Fixture("dcgan", "mnist", 80_000),
    "infogan": Fixture("infogan", "mnist", 60_000),
    "acgan": Fixture("acgan", "mnist", 60_000),
    "wgan-gp": Fixture("wgan-gp", "mnist", 60_000),
    "r3gan": Fixture("r3gan", "mnist", 20_000),
    "sngan": Fixture("sngan", "mnist", 20_000),
    "dragan": Fixture("dragan", "mnist", 40_000),
    "gan on ring": Fixture("gan", "ring", 2_000_000),
    "infogan on grid": Fixture("infogan", "grid", 2_000_000),
    "r3gan on grid": Fixture("r3gan", "grid", 3_000_000),
}  # fmt: skip


def source(name: str, folder: Path) -> str:
    """The data of a fixture: a named set, or digits that were spoiled and written to `folder`."""
    digits = organza.open_dataset("mnist")
    images, labels = digits.images.numpy(), digits.labels
    assert labels is not None
    spoiled: dict[str, tuple[np.ndarray, np.ndarray]] = {
        "few": (images[:200], labels.numpy()[:200]),
        "repeated": (np.tile(images[:500], (40, 1, 1, 1)), np.tile(labels.numpy()[:500], 40)),
        "dark": ((images[:20_000] / 255.0).round().astype(np.uint8), labels.numpy()[:20_000]),
    }
    if name == "one-three":
        rows = torch.arange(len(images))
        rows[labels == 3] = int((labels == 3).nonzero()[0])
        spoiled[name] = images[rows], labels.numpy()
    if name not in spoiled:
        return name
    path = folder / f"{name}.npz"
    if not path.exists():
        np.savez(path, images=spoiled[name][0], labels=spoiled[name][1])
    return str(path)


def made(name: str, folder: Path, seed: int) -> Path:
    """The run of a fixture, trained if it is not there."""
    fixture, out = FIXTURES[name], folder / f"{name.replace(' ', '-')}-{seed}"
    if not (out / "summary.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        spacing = {"output.log": max(fixture.images // 30, 500), "output.checkpoint": max(fixture.images // 6, 1000)}
        try:
            organza.train(
                fixture.recipe, data=source(fixture.data, folder), out=out, images=fixture.images, seed=seed,
                changes={**spacing, **fixture.changes}, device="cpu",
            )  # fmt: skip
        except BrokenError as problem:
            print(f"{name}: {problem}")
    return out


def judged(name: str, folder: Path, seed: int) -> dict[str, Any]:
    """What the doctor says of a fixture."""
    fixture = FIXTURES[name]
    findings = diagnose(path := made(name, folder, seed))
    alarms = list(dict.fromkeys(finding.name for finding in findings if finding.status != "note"))
    notes = [finding.name for finding in findings if finding.status == "note"]
    live = list(dict.fromkeys(Run(path).summary.get("alarms") or []))
    silent = not alarms and not live and EARLY not in notes
    return {
        "fixture": name, "broken": bool(fixture.expected),
        "right": bool(set(alarms) & set(fixture.expected)) if fixture.expected else silent,
        "alarms": ", ".join(alarms), "live": ", ".join(live), "notes": ", ".join(notes),
        "expected": " or ".join(fixture.expected),
    }  # fmt: skip


def table() -> str:
    """The confusion of broken and healthy, then each fixture."""
    rows = read_rows(NAME)
    counts = [["", "alarm", "no alarm", "no verdict"]]
    for word, broken in (("broken on purpose", "True"), ("healthy", "False")):
        mine = [row for row in rows if row["broken"] == broken]
        alarmed = [bool(row["alarms"] or row["live"]) for row in mine if not _early(row)]
        counts.append([word, *map(str, (sum(alarmed), len(alarmed) - sum(alarmed), len(mine) - len(alarmed)))])
    lines = [["run", "seed", "stands for", "found", "told while it trained", "right"]]
    for row in rows:
        lines.append([row["fixture"], row["seed"], row["expected"] or "healthy", row["alarms"] or "nothing",
                      row["live"] or "nothing",
                      EARLY if _early(row) else "yes" if row["right"] == "True" else "**no**"])  # fmt: skip
    return f"{markdown(counts)}\n\n{markdown(lines)}"


def _early(row: Mapping[str, str]) -> bool:
    """Whether the doctor named nothing but that it cannot tell yet, which is no verdict."""
    return EARLY in row["notes"].split(", ") and not row["alarms"] and not row["live"]


def main() -> None:
    """Make, judge, keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fixtures", nargs="*", help="all, if none is named")
    parser.add_argument("--runs", type=Path, default=Path("runs/doctor"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--make", action="store_true", help="only train")
    parser.add_argument("--table", action="store_true", help="print what was judged")
    options = parser.parse_args()
    for seed in [] if options.table else options.seeds:
        for name in options.fixtures or FIXTURES:
            if options.make:
                print(made(name, options.runs, seed), flush=True)
            else:
                row = judged(name, options.runs, seed)
                print(row, flush=True)
                keep_row(NAME, row, KEYS, seed)
    if not options.make:
        print(table())


if __name__ == "__main__":
    main()
