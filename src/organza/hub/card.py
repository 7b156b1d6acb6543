"""The model card: what a GAN was trained on, how, how well, for what, and under which licences."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any

import organza
from organza.report.sections import duration

# what the named data sets are, and who is in them
_DIGITS = (
    "MNIST (LeCun, Cortes, Burges), made from NIST's Special Databases 1 and 3",
    "No pictures of people. The digits are the handwriting of US Census Bureau employees and of high-school students; "
    "the data does not name them.",
)
_DRAWN = ("drawn by Organza from a formula", "None: the data is computed.")
KNOWN_DATA = {
    "mnist": _DIGITS,
    "stacked-mnist": _DIGITS,
    "emoji": ("emoji of the Noto or Twemoji sets", "Drawings only; some show stylised people and no real person."),
    "ring": _DRAWN,
    "grid": _DRAWN,
    "spiral": _DRAWN,
}
INTENDED = (
    "Learning, teaching and research on generative models, and pictures in the style of the training data where its "
    "licence allows. Every output should be presented as generated."
)
OUT_OF_SCOPE = """Not to be used for, whoever asks:

- **non-consensual likeness**: pictures of a real person, sexual or not, without that person's consent;
- **impersonation**: passing as someone else, face swaps included;
- **deception**: presenting outputs as photographs, documents, medical or scientific records, or evidence;
- **biometric use**: identifying, verifying or classifying people, or training systems that do."""
LIMITS = """- The outputs copy the biases and gaps of the training data; nothing else was taught.
- A GAN can leave out whole kinds of samples (mode collapse), and a good average score does not show it.
- Unless a check is reported above, it was **not measured** how close outputs come to training samples. A GAN that saw
  few samples for long repeats some of them: compare outputs with their nearest training samples before publishing."""
MARKING = """Organza writes into every PNG that it samples an XMP mark with the IPTC digital source type
`trainedAlgorithmicMedia`, the recipe, the hash of the weights and the seed (`organza.report.provenance` reads it).
The mark holds no path and no user name. Screenshots and most uploads remove it, so its absence proves nothing."""
MISSING = "**Not stated.** Whoever publishes this model must fill this in first."
_SPDX = {
    "cc0-1.0": r"cc0",
    "mit": r"^mit\b",
    "apache-2.0": r"apache.?2",
    "cc-by-4.0": r"cc.by.4\.0",
    "cc-by-sa-3.0": r"cc.by.sa.3\.0",
    "cc-by-sa-4.0": r"cc.by.sa.4\.0",
    "cc-by-nc-4.0": r"cc.by.nc.4\.0",
    "other": r"",
}
"""Of the hub's names for licences, the loosest first, how they are written."""
_NONE = "without a licence"  # of a source: nobody may pass it on


def model_card(info: Mapping[str, Any], *, draft: bool = False) -> str:
    """A card in Markdown with YAML front matter, as `README.md` of a model folder.

    `info` has `recipe`, `licence` (of the weights), `images`, `seconds`, `hardware`, `parameters` ({player: count}),
    `data` ({name, source, licence, people, count, shape, classes, fingerprint}; source and people are known for the
    embedded data) and `scores` ({name: {value, n, protocol, low, high}}, the last two optional); `organza` (the version
    that trained), `conditional`, `energy`, `intended_use` and `limits` replace what is said without them; `origin`
    tells where weights come from that Organza did not train, `started_from` the weights that a training began with, and
    `source_licence` is the licence of either; `scale` is
    that of a translator, `repository` is its name on the hub, and `grid` says that samples/grid.png lies beside the
    card. Raises ValueError for a required part that is empty, for a score without N and protocol, and for a path of a
    machine. A `draft`, which a training writes by itself, says in those places what must be filled in, and still needs
    `recipe`, `data.name` and no paths.
    """
    facts = _Facts(info, draft)
    sections = {
        "What it is": _what(facts),
        "How to use": _use(facts),
        "Training data": _data(facts),
        "Training procedure": _procedure(facts),
        "Evaluation": _evaluation(facts),
        "Intended use": facts.text("intended_use", INTENDED),
        "Out of scope": OUT_OF_SCOPE,
        "Limits and memorisation": facts.text("limits", LIMITS),
        "How outputs are marked": MARKING,
        "Licences": _licences(facts),
    }
    body = "\n\n".join(f"## {title}\n\n{words}" for title, words in sections.items())
    card = f"{_front_matter(facts)}\n# {facts.get('recipe')} on {facts.data_name}\n\n{body}\n"
    if path := re.search(r"(?<![\w/:.<])(?:~?/[\w.@-]+/[\w.@-]+|\b[A-Za-z]:\\+\w+)", card):
        raise ValueError(f"the model card would publish a path of this machine: '{path[0]}'; take it out")
    return card


class _Facts:
    """Look-ups by dotted name that fail, or say what is missing, where there is nothing."""

    def __init__(self, info: Mapping[str, Any], draft: bool) -> None:
        self.info, self.draft = info, draft
        self.data_name = _inline(re.split(r"[/\\]", self.get("data.name", needed=True).removeprefix("hf:"))[-1])
        self.get("recipe", needed=True)

    def value(self, name: str) -> Any:
        found: Any = self.info
        for key in name.split("."):
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def get(self, name: str, default: str = "", needed: bool = False) -> str:
        """One line of safe Markdown."""
        value = self.value(name)
        words = "" if value is None else _inline(value)
        if words or default:
            return words or default
        if self.draft and not needed:
            return MISSING
        raise ValueError(f"the model card has no '{name}'; give it, because a published model needs it")

    def text(self, name: str, default: str) -> str:
        """Several lines of the author's own Markdown."""
        value = self.value(name)
        return str(value).strip() or default if value is not None else default

    def known(self, part: int) -> str:
        """The source (0) or the people (1) of a data set that Organza brings."""
        name = str(self.value("data.catalogue"))
        return KNOWN_DATA.get(name, ("", ""))[part]


def _front_matter(facts: _Facts) -> str:
    spdx, licence = _licence(str(facts.value("licence") or ""), str(facts.value("source_licence") or ""))
    named = [f"license_name: {json.dumps(_inline(licence) or 'not stated')}"] if spdx == "other" else []
    data = str(facts.value("data.name"))
    fields = [
        f"license: {spdx}",
        *named,
        "library_name: organza",
        f"tags: [gan, {json.dumps(facts.get('recipe'))}]",
        f"pipeline_tag: {_task(facts)}",
        f"datasets: [{json.dumps(data[3:] if data.startswith('hf:') else facts.data_name)}]",
        *_results(facts),
    ]
    return "---\n" + "\n".join(fields) + "\n---\n"


def _licence(stated: str, source: str) -> tuple[str, str]:
    """The hub's name of a licence, and its words; `other`, with both, where that of the source is stricter."""
    spdx, order = _spdx(stated), list(_SPDX)
    known = "cc-by-nc-4.0" if re.search(r"non.?commercial", source, re.IGNORECASE) else _spdx(source)
    stricter = _NONE in source or (known != "other" and order.index(known) > order.index(spdx))
    if spdx == "other" or not stricter:
        return spdx, stated
    return "other", f"{stated}, as stated; of the file that the weights come from: {source}"


def _spdx(licence: str) -> str:
    """The hub's name of a licence in words."""
    return next(key for key, pattern in _SPDX.items() if re.search(pattern, licence, re.IGNORECASE))


def _task(facts: _Facts) -> str:
    return "unconditional-image-generation" if facts.value("scale") is None else "image-to-image"


def _results(facts: _Facts) -> list[str]:
    """The scores as the hub reads them; each is named with its N and protocol, without which it says nothing."""
    of_data: dict[str, list[str]] = {}  # what samples were compared with need not be what was trained on
    for name, score in (facts.value("scores") or {}).items():
        if _is_told(score):
            of_data.setdefault(str(score.get("real") or facts.data_name), []).append(_result(str(name), score))
    if not of_data:
        return []
    title = json.dumps(f"{facts.get('recipe')} on {facts.data_name}")
    lines = ["model-index:", f"  - name: {title}", "    results:"]
    for data, rows in of_data.items():
        kind, name = (json.dumps(_inline(word)) for word in (data.split(" ")[0], data))
        lines += [f"      - task: {{type: {_task(facts)}}}", f"        dataset: {{type: {kind}, name: {name}}}"]
        lines += ["        metrics:", *rows]
    return lines


def _result(name: str, score: Mapping[str, Any]) -> str:
    title = json.dumps(_inline(f"{name}, N {score['n']:,}, {score['protocol']}"))
    return f"          - {{type: {json.dumps(name)}, value: {float(score['value'])!r}, name: {title}}}"


def _is_told(score: Any) -> bool:
    return isinstance(score, Mapping) and bool(score.get("n")) and bool(str(score.get("protocol") or "").strip())


def _what(facts: _Facts) -> str:
    shape, classes = facts.value("data.shape"), facts.value("data.classes")
    size = "×".join(str(side) for side in shape) if isinstance(shape, (list, tuple)) else ""
    count = len(classes) if isinstance(classes, (list, tuple)) else int(classes or 0)
    kind = f" that makes samples of {size} (channels, height, width)" if size.count("×") == 2 else ""
    labels = f" Samples may be asked for by class ({count} classes)." if facts.value("conditional") else ""
    if (scale := facts.value("scale")) is not None:
        larger = f": results are {scale:g} times as tall and wide" if scale != 1 else ""
        told = facts.value("origin") or (
            f"Trained with the recipe `{facts.get('recipe')}` of Organza "
            f"{facts.get('organza', organza.__version__)} on {facts.data_name}; the weights are the average (EMA) over "
            "the training."
        )
        told = _inline(told) if facts.value("origin") else told
        return f"The generator of a generative adversarial network that changes pictures{larger}. {told}{labels}"
    if origin := facts.value("origin"):
        return f"The generator of a generative adversarial network{kind}. {_inline(origin)}{labels}"
    return (
        f"The generator of a generative adversarial network{kind}, trained with the recipe `{facts.get('recipe')}` of "
        f"Organza {facts.get('organza', organza.__version__)} on {facts.data_name}. The weights are the average (EMA) "
        "over the training."
        f"{labels}"
    )


def _use(facts: _Facts) -> str:
    name = facts.value("repository")
    place, remark = (f"hf:{name}", "add @COMMIT to pin it") if name else ("FOLDER", "where this README lies")
    if facts.value("scale") is not None:
        return (
            f'```python\nimport organza\n\ntranslator = organza.load("{place}")  # {remark}\n'
            "made = translator.translate(images)  # [N, C, H, W], uint8, uint16 or floats in [-1, 1]\n```\n\n"
            f"```\norganza {facts.value('use') or 'translate PICTURES'} --model {place}\n```\n\n"
            "The weights are safetensors; loading them executes no code."
        )
    grid = "\n\n![Samples of the seeds 0 to 63](samples/grid.png)" if facts.value("grid") else ""
    return (
        f'```python\nimport organza\n\ngan = organza.load("{place}")  # {remark}\n'
        "images = gan.sample(64, seed=0)  # uint8 [64, C, H, W]; image i comes from seed 0 + i\n```\n\n"
        f"```\norganza sample {place} -n 64 --seed 0 --out samples.png\n```\n\n"
        f"The weights are safetensors; loading them executes no code.{grid}"
    )


def _data(facts: _Facts) -> str:
    count = facts.value("data.count")
    rows = {
        "Data set": facts.data_name,
        "Source": facts.get("data.source", facts.known(0)),
        "Samples": f"{count:,}" if isinstance(count, int) else facts.get("data.count"),
        "Licence": facts.get("data.licence"),
        "People in it, and their consent": facts.get("data.people", facts.known(1)),
        "Fingerprint": f"`{facts.get('data.fingerprint', 'none')}` (sha256 over samples and labels, first 16 digits)",
    }
    return _bullets(rows)


def _procedure(facts: _Facts) -> str:
    images, seconds, parameters = (facts.value(key) for key in ("images", "seconds", "parameters"))
    counts = parameters.items() if isinstance(parameters, Mapping) else ()
    sizes = ", ".join(f"{_inline(player)} {count:,}" for player, count in counts if isinstance(count, int))
    rows = {
        "Recipe": "that of whoever trained it" if facts.value("origin") else f"`{facts.get('recipe')}`",
        **({"Started from": _inline(start)} if (start := facts.value("started_from")) else {}),
        "Images seen by the discriminator": f"{images:,}" if isinstance(images, int) else facts.get("images"),
        "Time": duration(seconds) if isinstance(seconds, (int, float)) else facts.get("seconds"),
        "Hardware": facts.get("hardware"),
        "Parameters": sizes or facts.get("parameters"),
        "Energy and CO₂": facts.get("energy", "not measured"),
    }
    return _bullets(rows)


def _evaluation(facts: _Facts) -> str:
    scores = facts.value("scores")
    if not scores:
        return "No score was computed for this model."
    rows = ["| score | value | interval | N | protocol |", "|---|---|---|---|---|"]
    return "\n".join(rows + [_score(facts, str(name), score) for name, score in scores.items()])


def _score(facts: _Facts, name: str, score: Any) -> str:
    """A row; a number that does not say how it was measured is not printed."""
    score = score if isinstance(score, Mapping) else {"value": score}
    n, protocol = score.get("n"), str(score.get("protocol") or "").strip()
    if not n or not protocol:
        if facts.draft:
            return f"| {_inline(name)} | left out | | | its N and protocol were not given |"
        raise ValueError(f"the score '{name}' has no n or no protocol; a number without them says nothing")
    interval = f"{score['low']:.4g} to {score['high']:.4g}" if {"low", "high"} <= score.keys() else "not given"
    return f"| {_inline(name)} | {score['value']:.4g} | {interval} | {n:,} | {_inline(protocol)} |"


def _licences(facts: _Facts) -> str:
    rows = {"Code (Organza)": "Apache-2.0", "Weights (this model)": facts.get("licence")}
    if (source := facts.value("source_licence")) and source != facts.value("licence"):
        if facts.value("licence"):
            rows["Weights (this model)"] += ", as whoever published it states"
        what = "that training started from" if facts.value("started_from") else "the file that they come from"
        rows[f"Weights ({what})"] = _inline(source)
    rows["Data"] = facts.get("data.licence")
    return _bullets(rows) + (
        "\n\nWhether weights and outputs fall under the licence of the training data is not settled everywhere; "
        "when in doubt, keep to both."
    )


def _bullets(rows: Mapping[str, str]) -> str:
    return "\n".join(f"- **{name}**: {words}" for name, words in rows.items())


def _inline(value: Any) -> str:
    """One line in which neither HTML nor a table nor a link begins."""
    words = html.escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\[\]`|*\\])", r"\\\1", words)
