"""The section of a run's page that shows its pictures; every word that comes from a file is escaped here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from organza.report.curves import Point, curve_svg, short
from organza.report.folder import PICTURES, Folder, is_number, mapping
from organza.report.sections import image_tag


def pictures(run: Folder) -> str:
    """What `organza.report.pictures` drew, each with how it is read; nothing where it has not been asked."""
    entries = run.pictures.get("pictures")
    entries = [mapping(entry) for entry in entries] if isinstance(entries, list) else []
    drawn = "".join(_drawn(run, entry) for entry in entries if "missing" not in entry)
    missing: dict[str, list[str]] = {}
    for entry in entries:
        if "missing" in entry:
            missing.setdefault(str(entry["missing"]), []).append(str(entry.get("title") or entry.get("name") or ""))
    rest = "".join(f"<li>{escape(', '.join(names))}: {escape(why)}</li>" for why, names in missing.items())
    if not drawn and not rest:
        return ""
    images = run.pictures.get("images")
    of = f" of the model at {short(images)} images" if isinstance(images, (int, float)) else ""
    left = f'<p class="about">Left out:</p><ul class="about">{rest}</ul>' if rest else ""
    body = f'<div class="pictures">{drawn}</div>' if drawn else ""
    return f"<section><h2>Pictures<span>{escape(of)}</span></h2>{body}{left}</section>"


def _drawn(run: Folder, entry: Mapping[str, Any]) -> str:
    parts = entry.get("parts")
    images = "".join(_part(run, mapping(part)) for part in parts) if isinstance(parts, list) else ""
    words = [f"<p>{escape(str(entry.get('told') or ''))}</p>"]
    if entry.get("protocol"):
        words.append(f"<small>{escape(str(entry['protocol']))}</small>")
    return (
        f'<figure class="card"><h3>{escape(str(entry.get("title") or ""))}</h3>'
        f'<div class="parts">{images}{_drawn_curves(mapping(entry.get("chart")))}</div>'
        f"<figcaption>{''.join(words)}</figcaption></figure>"
    )


def _part(run: Folder, part: Mapping[str, Any]) -> str:
    """A picture of the folder `pictures`, and of no other."""
    file = str(part.get("file") or "")
    if not re.fullmatch(r"[a-z0-9-]{1,60}\.png", file):
        return '<p class="none">this picture cannot be read</p>'
    label = f"<span>{escape(str(part['label']))}</span>" if part.get("label") else ""
    return f"<div>{label}{image_tag(run, f'{PICTURES}/{file}', str(part.get('alt') or ''))}</div>"


def _drawn_curves(chart: Mapping[str, Any]) -> str:
    if not chart:
        return ""
    series: dict[str, list[Point]] = {}
    for name, points in mapping(chart.get("series")).items():
        pairs = points if isinstance(points, list) else []
        series[str(name)] = [
            (float(pair[0]), float(pair[1]))
            for pair in pairs
            if isinstance(pair, list) and len(pair) == 2 and all(is_number(value) for value in pair)
        ]
    border, title, x = chart.get("border"), str(chart.get("title") or ""), str(chart.get("x") or "")
    at = float(border) if is_number(border) else None
    return f"<div>{curve_svg(series, title, x, chart.get('log') is True, ends=False, border=at)}</div>"
