"""docs/evaluation.md has every metric with the fewest samples it takes, every published name and every network."""

from __future__ import annotations

import re
from pathlib import Path

from organza.evaluation.catalogue import ALIASES, METRICS, parse
from organza.metrics.networks import NETWORKS

PAGE = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
ROWS = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\| `.+$", PAGE, re.M)]
NAMES = [(name, row) for row in ROWS for name in re.findall(r"`([^` ]+)`", row[0])]


def test_every_metric_has_its_row() -> None:
    rows = {name: row for name, row in NAMES if len(row) == 5}
    assert rows.keys() == METRICS.keys()
    assert {name: int(row[4]) for name, row in rows.items()} == {name: m.least for name, m in METRICS.items()}


def test_every_network_and_every_published_name_is_told() -> None:
    others = {name: row for name, row in NAMES if len(row) == 2}
    assert others.keys() == NETWORKS.keys() | ALIASES.keys()
    for name in ALIASES:
        assert f"`{parse(name, None).network}`" in others[name][1]
