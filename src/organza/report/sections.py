"""The parts of a run's page as HTML; every word that comes from a file is escaped here."""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from organza.report.curves import Point, curve_svg, short
from organza.report.folder import Folder, Tick, mapping

SIGNS = {"running": "●", "finished": "✓", "stopped": "❚❚", "failed": "✕", "unknown": "?"}
# start of a logged key -> title of its chart, and whether its axis is logarithmic
CHARTS = {
    "score/": ("", False),
    "mode/": ("Share of the samples in each mode", False),
    "loss/": ("Loss of each player", False),
    "D(": ("Discriminator's answer", False),
    "logits/": ("Discriminator's logits", False),
    "accuracy/": ("How often D is right", False),
    "gradient/": ("Gradient norm", True),
    "update/": ("Last update over the weights", True),
    "penalty/": ("Penalty, before its weight", True),
    "images_per_second": ("Images per second", False),
}


def header(run: Folder) -> str:
    """Wordmark, status, what was trained on what, the command, and the key figures."""
    recipe = str(run.config.get("recipe") or "A run")
    data = str(run.data.get("name") or mapping(run.config.get("data")).get("source") or "")
    title = f"{escape(recipe)} <span>on {escape(data)}</span>" if data else escape(recipe)
    badge = f'<span class="badge {run.status}"><i aria-hidden="true">{SIGNS[run.status]}</i>{run.status}</span>'
    command = f"<pre>{_tokens(run.command)}</pre>" if run.command else ""
    about = " · ".join(escape(part) for part in (*_data_words(run), *_machine_words(run)))
    return (
        f'<header><div class="top"><span class="brand">or<b>GAN</b>za</span>{badge}</div><h1>{title}</h1>'
        f'<p class="about">{about}</p>{command}{_stats(run)}</header>'
    )


def notes(run: Folder) -> str:
    """What the run had to say, and a hidden sentence that the page shows when a running run falls silent."""
    stale = ""
    if run.status == "running":
        words = f"The run may have been killed; it goes on with <code>{escape(resume_command(run))}</code>"
        stale = f'<div class="notes" id="stale" hidden><b></b> {words}</div>'
    if not run.notes:
        return stale
    items = "".join(f"<li>{escape(note)}</li>" for note in run.notes)
    return f'{stale}<section class="notes" aria-label="Notes"><ul>{items}</ul></section>'


def result(run: Folder) -> str:
    """The real grid beside the generated one, with a slider over time."""
    real = '<p class="none">no picture of the data yet</p>'
    if run.real:
        real = image_tag(run, run.real, "Real samples from the training data")
    ticks = [tick for tick in run.ticks if tick.raw or tick.ema]
    fake = _generated(run, ticks) if ticks else '<figcaption>Generated</figcaption><p class="none">no samples yet</p>'
    data = f' data-ticks="{escape(json.dumps([_tick(t) for t in ticks]))}"' if ticks else ""
    return (
        f'<section><h2>Result</h2><div class="pair"><figure class="card"><figcaption>Real</figcaption>{real}</figure>'
        f'<figure class="card fake"{data}>{fake}</figure></div></section>'
    )


def evaluation(run: Folder) -> str:
    """The scores of `organza evaluate`, with intervals and floors; nothing where it has not been asked."""
    scores = run.evaluation.get("scores")
    rows = "".join(_judged(mapping(score)) for score in scores) if isinstance(scores, list) else ""
    if not rows:
        return ""
    names = ("score", "value", "95 % interval", "real against real", "N", "protocol")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    table = f'<table class="text"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<section><h2>Evaluation</h2><div class="card scroll">{table}</div></section>'


def _judged(score: Mapping[str, Any]) -> str:
    bounds = [score.get("low"), score.get("high")]
    sure = " to ".join(value_text(bound) for bound in bounds) if None not in bounds else ""
    arrow = {"1": " ↓", "-1": " ↑"}.get(str(score.get("better")), "")
    floor = "" if score.get("floor") is None else value_text(score["floor"])
    against = f"; against {score['real']}" if score.get("real") else ""
    cut = "" if score.get("truncation") is None else f"; truncation {value_text(score['truncation'])}"
    told = f"{score.get('protocol', '')}{against}{cut}"
    cells = (value_text(score.get("value")), sure, floor, value_text(score.get("n_fake")), told)
    name = f'<th scope="row">{escape(str(score.get("name", "")))}{arrow}</th>'
    return f"<tr>{name}{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def diagnosis(run: Folder) -> str:
    """The findings of `organza doctor RUN`; nothing where it has not been asked."""
    findings = run.diagnosis.get("findings")
    if not isinstance(findings, list):
        return ""
    rows = "".join(_found(mapping(finding)) for finding in findings)
    body = f'<table class="text"><tbody>{rows}</tbody></table>' if rows else "<p>Nothing wrong was found.</p>"
    then = run.diagnosis.get("images")
    of = f"<span> of the run at {then:,} images</span>" if isinstance(then, int) and then < run.images else ""
    return f'<section><h2>Diagnosis{of}</h2><div class="card scroll">{body}</div></section>'


def _found(finding: Mapping[str, Any]) -> str:
    def word(key: str) -> str:
        return escape(str(finding.get(key) or ""))

    why = f"<br>{word('confidence')}; see {word('shown')}; because: {word('causes')}" if finding.get("causes") else ""
    advice = f"<pre>{word('advice')}</pre>" if finding.get("advice") else ""
    return f'<tr><th scope="row">{word("name")}</th><td>{word("status")}</td><td>{word("told")}{why}{advice}</td></tr>'


def codes(run: Folder) -> str:
    """What each code of an InfoGAN does; nothing for a run without codes."""
    last = next((tick for tick in reversed(run.ticks) if tick.codes), None)
    if last is None:
        return ""
    about = "Two rows for each code, of two noises; the code's values go from left to right, all else stays."
    picture = image_tag(run, last.codes or "", "Samples whose codes go through their values")
    caption = f"<figcaption>{about}<span>{escape(_tick(last)['label'] or '')}</span></figcaption>"
    return f'<section><h2>Codes</h2><figure class="card">{caption}{picture}</figure></section>'


def curves(run: Folder) -> str:
    """One chart for each family of logged keys; a score has its own."""
    groups: dict[str, dict[str, list[Point]]] = {}
    for key, points in run.series.items():
        start = next((s for s in CHARTS if key.startswith(s)), key.split("/")[0] + "/" * ("/" in key))
        if start == "lr/" and len({y for _, y in points}) == 1:
            continue  # a constant learning rate stands in the configuration
        groups.setdefault(key if start == "score/" else start, {})[_label(key)] = points
    order = [*CHARTS, *groups]
    starts = sorted(groups, key=lambda g: order.index("score/") if g.startswith("score/") else order.index(g))
    charts = "".join(f'<div class="card">{_chart(start, groups[start])}</div>' for start in starts)
    empty = '<p class="none card">The first values come with the first line of the log.</p>'
    return "<section><h2>Curves</h2>" + (f'<div class="curves">{charts}</div>' if charts else empty) + "</section>"


def numbers(run: Folder) -> str:
    """Scores as the summary has them, then the last, least and greatest of each logged key."""
    parts = []
    if scores := mapping(run.summary.get("scores")):
        rows = "".join(_row(name, value_text(value)) for name, value in scores.items())
        parts.append(f'<div class="card scroll scores"><table class="text"><tbody>{rows}</tbody></table></div>')
    if run.series:
        head = "<th></th><th>last</th><th>least</th><th>greatest</th><th>at image</th>"
        rows = "".join(_number_row(key, points) for key, points in sorted(run.series.items()))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        parts.append(f'<div class="card scroll" tabindex="0" role="region" aria-label="Numbers">{table}</div>')
    return f"<section><h2>Numbers</h2>{''.join(parts)}</section>" if parts else ""


def usage(run: Folder) -> str:
    """The commands that use the run and take it up again."""
    place = run_place(run)
    if str(run.config.get("game", "latent")) == "latent":
        does, command = "Sample", f"organza sample {shlex.quote(place)} -n 64 --seed 0 --out samples.png"
        code = f"import organza\n\ngan = organza.load({place!r})\nimages = gan.sample(64, seed=0)"
    else:
        use = str(run.summary.get("use", "translate PICTURES"))
        does, command = "Use", f"organza {use} --model {shlex.quote(place)}"
        code = f"import organza\n\ntranslator = organza.load({place!r})\nresults = translator.translate(images)"
    cards = [(f"{does} on the command line", f"<pre>{_tokens(command)}</pre>")]
    cards.append((f"{does} in Python", f'<pre class="code">{escape(code)}</pre>'))
    if run.status != "finished":
        cards.append(("Resume", f"<pre>{_tokens(resume_command(run))}</pre>"))
    body = "".join(f'<div class="card"><h3>{title}</h3>{words}</div>' for title, words in cards)
    return f'<section><h2>Use it</h2><div class="use">{body}</div></section>'


def details(run: Folder) -> str:
    """Data, complete configuration and environment, folded."""
    parts = [("Data", run.data), ("Configuration", run.config), ("Environment", run.env)]
    folded = "".join(_folded(name, values) for name, values in parts if values)
    return f"<section><h2>Record</h2>{folded}</section>" if folded else ""


def run_place(run: Folder) -> str:
    """The run folder as one types it: below the working directory, or in full."""
    try:
        return run.path.resolve().relative_to(Path.cwd()).as_posix()
    except (ValueError, OSError):
        return os.path.abspath(run.path)  # noqa: PTH100 -- a link stays the name that the user gave


def resume_command(run: Folder) -> str:
    """What takes the run up again; its folder knows the rest."""
    return f"organza train --out {shlex.quote(run_place(run))} --resume"


def value_text(value: Any) -> str:
    """A value of JSON for people; a mapping as `key: value` pairs, long lists cut."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    if isinstance(value, Mapping):
        pairs = (f"{key}: {value_text(item)}" for key, item in value.items() if key != "value")
        return ", ".join([*(value_text(value[key]) for key in value if key == "value"), *pairs])
    if isinstance(value, list):
        rest = f", … ({len(value)} in all)" if len(value) > 24 else ""
        return ", ".join(value_text(item) for item in value[:24]) + rest
    return str(value)


def duration(seconds: float) -> str:
    """A time for people: 42 s, 12 min 5 s, 3 h 20 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60} min"


def _tokens(command: str) -> str:
    """A command whose lines break between its words only."""
    return " ".join(f"<span>{escape(token)}</span>" for token in command.split(" "))


def _data_words(run: Folder) -> Iterable[str]:
    data = run.data
    shape, count = data.get("shape"), data.get("count")
    sides = [str(side) for side in shape] if isinstance(shape, list) else []
    if isinstance(count, int):
        kinds = {0: "samples", 1: f"points of {''.join(sides)} dimensions"}
        yield f"{count:,} {kinds.get(len(sides), 'images of ' + '×'.join(sides))}"
    if data.get("licence"):
        yield f"licence of the data: {data['licence']}"
    if data.get("fingerprint"):
        yield f"fingerprint {data['fingerprint']}"


def _machine_words(run: Folder) -> Iterable[str]:
    env = run.env
    yield from (str(env[key]) for key in ("device_name", "gpu", "cpu", "device") if isinstance(env.get(key), str))
    if env.get("cores"):
        yield f"{env['cores']} cores"
    yield from (f"{key} {env[key]}" for key in ("torch", "organza") if env.get(key))


def _stats(run: Folder) -> str:
    total = run.config.get("images")
    of = f" <small>of {short(total)}</small>" if isinstance(total, int) and total > run.images else ""
    items = [("images seen", short(run.images) + of), ("time", escape(duration(run.seconds)))]
    if run.seconds > 0 and run.images:
        items.append(("images / s", short(run.images / run.seconds)))
    items += [(str(name), _score(value)) for name, value in mapping(run.summary.get("scores")).items()]
    for player, count in mapping(run.summary.get("parameters")).items():
        if isinstance(count, int):
            items.append((f"{player}'s parameters", short(count)))
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in items)
    return f'<dl class="stats">{cells}</dl>'


def _score(value: Any) -> str:
    if isinstance(value, Mapping):
        value = value.get("value")
    return short(value) if isinstance(value, (int, float)) else escape(value_text(value))


def _generated(run: Folder, ticks: list[Tick]) -> str:
    last = ticks[-1]
    words = f"{_tick(last)['label']}, {'averaged weights (EMA)' if last.ema else 'raw weights'}"
    image = image_tag(run, last.ema or last.raw or "", f"Generated samples, {words}")
    caption = f'<figcaption>Generated<span aria-live="polite">{escape(words)}</span></figcaption>'
    return f'{caption}{image}<div class="controls" hidden>{_slider(len(ticks))}{_WEIGHTS}</div>'


_WEIGHTS = (
    '<fieldset><legend class="hidden">Weights</legend>'
    '<label><input type="radio" name="weights" value="ema" checked>averaged (EMA)</label>'
    '<label><input type="radio" name="weights" value="raw">raw</label></fieldset>'
)


def _slider(count: int) -> str:
    """Of the moments; with a single one it is there for the page's script, but not shown."""
    last = count - 1
    return (
        f'<button type="button"{" hidden" * (last == 0)}>▶ Play</button>'
        f'<label class="time"{" hidden" * (last == 0)}><span class="hidden">Moment of the training</span>'
        f'<input type="range" min="0" max="{last}" value="{last}" step="1"></label>'
    )


def _tick(tick: Tick) -> dict[str, str | None]:
    label = f"{short(tick.images)} images" if tick.images else "untrained"
    return {"label": label, "raw": _url(tick.raw), "ema": _url(tick.ema)}


def image_tag(run: Folder, name: str, alt: str) -> str:
    """An image of the run folder with its size; a sentence where it cannot be read."""
    try:
        with Image.open(run.path / name) as image:
            width, height = image.size
    except (OSError, ValueError):
        return '<p class="none">this picture cannot be read</p>'
    small = ' class="small"' if max(width, height) < 400 else ""
    return f'<img{small} src="{escape(_url(name) or "")}" width="{width}" height="{height}" alt="{escape(alt)}">'


def _url(name: str | None) -> str | None:
    return quote(name) if name else None


def _label(key: str) -> str:
    """A logged key in a legend: what stands behind its family."""
    return (key.split("/", 1)[-1] or key).replace("_", " ")


def _chart(start: str, series: Mapping[str, list[Point]]) -> str:
    title, log = CHARTS.get(start, (start.strip("/").replace("_", " "), False))
    positive = all(y > 0 for points in series.values() for _, y in points if math.isfinite(y))
    title = start.removeprefix("score/") if start.startswith("score/") else title
    return curve_svg(series, title, "images seen by the discriminator", log and positive)


def _number_row(key: str, points: list[Point]) -> str:
    values = [y for _, y in points if math.isfinite(y)] or [math.nan]
    cells = (short(points[-1][1]), short(min(values)), short(max(values)), f"{points[-1][0]:,.0f}")
    return f'<tr><th scope="row">{escape(key)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _row(name: str, words: str) -> str:
    return f'<tr><th scope="row">{escape(name)}</th><td>{escape(words)}</td></tr>'


def _folded(name: str, values: Mapping[str, Any]) -> str:
    rows = "".join(_row(key, words) for key, words in _flat(values))
    table = f'<div class="scroll"><table class="text"><tbody>{rows}</tbody></table></div>'
    return f"<details><summary>{name} <span>{len(values)} fields</span></summary>{table}</details>"


def _flat(values: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    """Dotted fields; the items of a list of mappings are addressed by their name or number."""
    items: Iterable[tuple[str, Any]] = ()
    if isinstance(values, Mapping) and values:
        items = ((str(key), item) for key, item in values.items())
    elif isinstance(values, list) and values and all(isinstance(item, Mapping) for item in values):
        items = ((str(item.get("name", i)), item) for i, item in enumerate(values))
    else:
        yield prefix, value_text(values)
    for key, item in items:
        yield from _flat(item, f"{prefix}.{key}" if prefix else key)
