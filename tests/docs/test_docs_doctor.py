"""docs/doctor.md: its table is that of the CSV, and it names every finding with its border."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

from organza.health import advice, curves, diagnosis, samples
from organza.recipes import RECIPES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/doctor.md").read_text()


def test_the_tables_are_those_of_the_results(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import autopilot
    import doctor

    for part in (*doctor.table().split("\n\n"), autopilot.table()):
        assert part in PAGE


def test_looking_costs_less_than_two_percent_of_every_recipe(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import signals_cost

    rows = signals_cost.read_rows(signals_cost.NAME)
    assert {row["recipe"] for row in rows} == set(RECIPES)
    assert all(0 < float(row["share"]) < 0.02 for row in rows)
    assert signals_cost.table() in PAGE


def test_most_broken_runs_are_saved(monkeypatch):
    """What the page says of the autopilot, from its rows."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import autopilot

    rows = [row for row in autopilot.read_rows(autopilot.NAME) if row["broken"] == "True"]
    assert {row["fixture"] for row in rows} == set(autopilot.BROKEN)
    for seed in {row["seed"] for row in rows}:
        for flag, least, most in (("False", 0, 3), ("True", 7, 10)):
            healthy = [r for r in rows if (r["seed"], r["autopilot"], r["healthy"]) == (seed, flag, "True")]
            assert least <= len(healthy) <= most


def test_every_finding_is_told():
    source = "".join(Path(str(module.__file__)).read_text() for module in (diagnosis, curves, samples))
    names = set(re.findall(r'(?:advised|Finding)\(\s*(?:case,\s*)?"([a-z A-Z]+)"', source)) - {"not looked at"}
    assert len(names) >= 17
    rows = re.findall(r"^\| ([a-z ,A-Z]+) \|", PAGE, re.MULTILINE)
    told = {name.strip() for row in rows for name in row.split(",")}
    assert names <= told


def test_borders_are_those_of_the_rules():
    found = SimpleNamespace(**vars(diagnosis) | vars(curves) | vars(samples))
    texts = [
        f"above {found.EXPLODED:,.0f}".replace(",", " "), f"narrower than {found.DIM} of 255",
        f"below {100 * found.REPEATED:.0f} %", f"below {found.FEW_IMAGES:,}".replace(",", " "),
        f"above {found.MEMORISED}", f"below {found.NARROW} ({found.COLLAPSED}: full)",
        f"{100 * found.LOST_MODES:.0f} % of the modes", f"below {found.CLASS_COLLAPSED}",
        f"both above {100 * found.ALWAYS_RIGHT:.0f} %", f"below {found.IDLE:.5f}",
        f"above {100 * found.LEAKING:.0f} points", f"below {100 * found.VANISHED:.0f} %",
        f"above {100 * found.HASTY:.0f} %, above {advice.FASTER:.0f} |", f"above {found.SWINGING:.0f} |",
        f"above {100 * found.SATURATED:.0f} points",
        f"above {found.CHECKERED:.0f} |", f"above {100 * found.IMPROVES:.0f} %, below {100 * found.SETTLED:.0f} %",
        f"below {found.SETTLES} |", f"below {found.LOW} |", f"above {found.UNEVEN:.0f} | as for",
        f"within {found.UNDECIDED} of one half",
    ]  # fmt: skip
    assert [text for text in texts if text not in PAGE] == []
