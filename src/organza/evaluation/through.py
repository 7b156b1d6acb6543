"""What the metrics look through: networks and LPIPS with their weights, opened before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from organza.config import ConfigError
from organza.data import Progress
from organza.evaluation.catalogue import METRICS, PIXELS, Asked
from organza.evaluation.evidence import Evidence
from organza.evaluation.subjects import Images
from organza.metrics.lpips import Lpips, Trunk, open_lpips
from organza.metrics.networks import Extractor, open_network, pick
from organza.metrics.weights import WEIGHTS

EMBEDDED = ("digits", "general")
FILES = {"inception-legacy": "inception", "inception-clean": "inception", "alex": "alexnet", "vgg": "vgg16"}


def network_of(asked: Asked, real: Images) -> str:
    """The name of the network that a metric looks through, PIXELS for none."""
    if not METRICS[asked.metric].looks:
        return PIXELS
    return asked.network or pick(tuple(real.samples.shape[1:]), real.origin["catalogue"])


def once(asked: Sequence[Asked], real: Images) -> list[Asked]:
    """Without what was asked for under a second name, such as fd and fd@general."""
    found: dict[tuple[str, str], Asked] = {}
    for item in asked:
        found.setdefault((item.metric, network_of(item, real)), item)
    return list(found.values())


def open_networks(
    asked: Sequence[Asked], real: Images, count: int, weights: str | Path | None, download: bool, progress: Progress
) -> dict[str, Extractor]:
    """What `count` samples and the reals are seen through, by name. Raises ConfigError, also for too few.

    `weights` goes to the networks that have none embedded.
    """
    _must_be_one_file(asked, real, weights)
    found: dict[str, Extractor] = {}
    for item in asked:
        for size, word, option in ((count, "generated", "--samples"), (len(real), "real", "--real-samples")):
            if size < METRICS[item.metric].least and not (word == "real" and METRICS[item.metric].of_model):
                raise ConfigError(
                    f"{item.name} needs at least {METRICS[item.metric].least} samples a side and has {size} {word}; "
                    f"type {option} {METRICS[item.metric].least} or more, or leave {item.name} out"
                )
        name = network_of(item, real)
        if name == PIXELS:
            found[name] = Extractor(
                PIXELS, "as they are", 0, 0, "", torch.nn.Identity(), lambda _, images: (images, None)
            )
        elif name not in found:
            own = None if name in EMBEDDED else weights
            found[name] = open_network(name, weights=own, download=download, progress=progress)
        _must_fit(item, found[name], tuple(real.samples.shape[1:]))
    return found


def _must_fit(item: Asked, network: Extractor, shape: Sequence[int]) -> None:
    """Raise ConfigError for a network without the classes, and images without the size, that a metric needs."""
    about = METRICS[item.metric]
    if about.classes and not network.classes:
        raise ConfigError(
            f"{item.name} needs a network with classes, and {network.name} has none; type {item.metric}@digits for "
            f"digits of 1x28x28, else {item.metric}@inception-legacy, or leave {item.name} out"
        )
    if min(shape[1:], default=about.side) < about.side:
        sides = "x".join(map(str, shape[1:]))
        raise ConfigError(f"{item.name} needs sides of at least {about.side} and has {sides}; leave {item.name} out")


def open_measures(
    asked: Sequence[Asked], weights: str | Path | None, download: bool, progress: Progress
) -> dict[str, Lpips]:
    """LPIPS by the trunks that are asked for; `weights` are of a trunk. Raises ConfigError as `open_lpips` does."""
    trunks: dict[Trunk, None] = dict.fromkeys(trunk for item in asked if (trunk := METRICS[item.metric].trunk))
    if through := next((item for item in asked if "@" in item.name and METRICS[item.metric].trunk), None):
        raise ConfigError(f"{through.metric} looks through LPIPS alone, not through {through.network}; leave that out")
    return {trunk: open_lpips(trunk, weights=weights, download=download, progress=progress) for trunk in trunks}


def reals_of(asked: Asked, seen: Evidence) -> int:
    """How many reals a metric takes."""
    return min(len(seen.real), seen.most) if METRICS[asked.metric].of_pairs else len(seen.real)


def formula(metric: str) -> str:
    """How the protocol of a metric begins."""
    return f"{METRICS[metric].about}: {METRICS[metric].protocol};"


def protocol(asked: Asked, seen: Evidence) -> str:
    """How a score was measured: the formula, the network, how images were brought to its size, and N."""
    sizes = f"{len(seen.fake):,} fake, {reals_of(asked, seen):,} real"
    return f"{formula(asked.metric)} {_look(METRICS[asked.metric].trunk, seen)}; {sizes}"


def _look(trunk: Trunk | None, seen: Evidence) -> str:
    """Through which weights, and how images were brought to their size."""
    if trunk is not None:
        return f"lpips-{trunk} ({'+'.join(part[:12] for part in seen.measures[trunk].sha256.split('+'))})"
    through = seen.network
    look = "the samples themselves" if through.name == PIXELS else f"{through.name} ({through.sha256[:12]})"
    return f"{look}, {through.resizer}"


def _must_be_one_file(asked: Sequence[Asked], real: Images, weights: str | Path | None) -> None:
    """Raise ConfigError for a path of weights that nothing needs, or that would have to be two files."""
    needed: dict[str, str] = {}
    for item in asked:
        name = METRICS[item.metric].trunk or network_of(item, real)
        if name not in (*EMBEDDED, PIXELS):
            needed.setdefault(FILES.get(name, name), item.name)
    names = ", ".join(item.name for item in asked)
    if weights is not None and not needed:
        raise ConfigError(f"weights is '{weights}', but {names} needs no file: leave out weights")
    if weights is not None and len(needed) > 1:
        told = ", ".join(f"{who} that of {WEIGHTS[key].file if key in WEIGHTS else key}" for key, who in needed.items())
        raise ConfigError(
            f"weights is one file, '{weights}', and several are needed: {told}; put them into one folder, set "
            "ORGANZA_WEIGHTS to it, and leave out weights"
        )
