"""How many runs that were broken on purpose end healthy, with and without `--autopilot`, on the same budget.

    python benchmarks/autopilot.py --runs runs/autopilot --seeds 0 1 2     # about three minutes for each run and seed
    python benchmarks/autopilot.py "weak D" orbit                          # only these
    python benchmarks/autopilot.py --table                                 # the table of the docs, from the CSV

The runs are those of `doctor.py` whose fault a training can mend, with at least twice their images, and healthy ones,
which an autopilot must not harm. Healthy is a run of which `organza doctor` names nothing but notes. The
last column is the quick score of the end: fd-digits-2k, fd-general-1k of images in files, or the share of high quality
among points. Healthy says nothing of it: compare both.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from common import keep_row, markdown, read_rows
from doctor import FIXTURES, source

import organza
from organza.health.diagnosis import diagnose
from organza.training.guard import BrokenError
from organza.training.run import Run

NAME, KEYS = "autopilot", ("fixture", "seed", "autopilot")
BROKEN = (
    "collapse", "few modes", "strong D", "weak D", "memorising D", "divergence", "large rate", "orbit", "little data",
    "wild players",
)  # fmt: skip
BUDGETS = {
    "divergence": 120_000,
    "little data": 120_000,
    "few modes": 2_000_000,
    "orbit": 2_000_000,
}  # twice those of doctor.py, but where a rescue needs time
SOUND = ("gan", "dcgan", "wgan-gp", "r3gan", "gan on ring")


def made(name: str, folder: Path, seed: int, autopilot: bool) -> Path:
    """The run, trained if it is not there."""
    fixture = FIXTURES[name]
    images = BUDGETS.get(name, 2 * fixture.images) if name in BROKEN else fixture.images
    out = folder / f"{name.replace(' ', '-')}-{seed}{'-autopilot' if autopilot else ''}"
    if not (out / "summary.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        spacing = {"output.log": max(images // 60, 500), "output.checkpoint": max(images // 12, 1000)}
        try:
            organza.train(
                fixture.recipe, data=source(fixture.data, folder), out=out, images=images, seed=seed, device="cpu",
                changes={**spacing, **fixture.changes, "autopilot": autopilot},
            )  # fmt: skip
        except BrokenError as problem:
            print(f"{name}: {problem}")
    return out


def judged(name: str, folder: Path, seed: int, autopilot: bool) -> dict[str, Any]:
    """How the run ended."""
    path = made(name, folder, seed, autopilot)
    summary = Run(path).summary
    alarms = sorted({finding.name for finding in diagnose(path) if finding.status != "note"})
    scores = summary.get("scores") or {}
    kept = [scores[key]["value"] for key in ("fd-digits-2k", "high-quality", "fd-general-1k") if key in scores]
    actions = summary.get("autopilot", {}).get("actions", [])
    return {
        "fixture": name, "broken": name in BROKEN, "autopilot": autopilot, "healthy": not alarms,
        "alarms": ", ".join(alarms), "actions": len(actions),
        "changed": "; ".join(line for action in actions for line in action["changed"]),
        "score": kept[0] if kept else "", "images": summary.get("images", 0), "status": summary.get("status", ""),
    }  # fmt: skip


def table() -> str:
    """Healthy ends of each run over the seeds, without and with the autopilot, and the scores."""
    rows = read_rows(NAME)
    lines = [["run", "healthy alone", "healthy with autopilot", "changes", "score alone", "score with autopilot"]]
    totals = {"False": [0, 0], "True": [0, 0]}
    for name in dict.fromkeys(row["fixture"] for row in rows):
        sides = {flag: [r for r in rows if r["fixture"] == name and r["autopilot"] == flag] for flag in totals}
        healthy = {flag: sum(row["healthy"] == "True" for row in side) for flag, side in sides.items()}
        if name in BROKEN:
            for flag, side in sides.items():
                totals[flag][0] += healthy[flag]
                totals[flag][1] += len(side)
        counts = [f"{healthy[flag]} of {len(side)}" for flag, side in sides.items()]
        actions = ", ".join(row["actions"] for row in sides["True"])
        lines.append([name, *counts, actions, *(_scores(side) for side in sides.values())])
    (alone, of_alone), (steered, of_steered) = totals.values()
    lines.append(["**all broken runs**", f"{alone} of {of_alone}", f"{steered} of {of_steered}", "", "", ""])
    return markdown(lines)


def _scores(rows: list[dict[str, str]]) -> str:
    return ", ".join(f"{float(row['score']):.3g}" if row["score"] else "none" for row in rows)


def main() -> None:
    """Make, judge, keep each row at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fixtures", nargs="*", help="all, if none is named")
    parser.add_argument("--runs", type=Path, default=Path("runs/autopilot"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--dry", action="store_true", help="print and keep no rows")
    parser.add_argument("--table", action="store_true", help="print what was judged")
    options = parser.parse_args()
    for seed in [] if options.table else options.seeds:
        for name in options.fixtures or (*BROKEN, *SOUND):
            for autopilot in (False, True):
                row = judged(name, options.runs, seed, autopilot)
                print(row, flush=True)
                if not options.dry:
                    keep_row(NAME, row, KEYS, seed)
    if not options.dry:
        print(table())


if __name__ == "__main__":
    main()
