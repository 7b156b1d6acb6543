"""Rules that look at the data and at samples of the model: what is wrong with the images, and what G lost of them."""

from __future__ import annotations

from collections.abc import Iterator

from organza.health import advice
from organza.health.curves import IMPROVES, gains
from organza.health.evidence import Case, at_the_ends, distinct_share, high_frequencies, spread_of_values
from organza.health.finding import Finding, Rule, advised

FEW_IMAGES = 1_000
REPEATED = 0.9  # least share of different samples
DIM = 64  # least distance of the darkest and the brightest value, of 255
COLLAPSED, NARROW = 0.15, 0.4  # diversity of samples over that of reals: full, partial collapse
LOST_MODES = 0.9  # least share of the modes of a mixture
MODES = {"ring": 8, "grid": 25}
STOOD_STILL = 4  # scores of which the last did not get better, before a collapse is told of a run that trains
CLASS_COLLAPSED = 0.25  # diversity of a class over the median class
SATURATED = 0.15  # more values at the ends of the range than reals have
CHECKERED = 4.0  # power at half the sampling rate over that of reals


def of_data(case: Case) -> Iterator[Finding]:
    """What `organza data check` would say: dark, repeated or too few."""
    if case.store is None:
        return
    count = len(case.store)
    if case.is_image:
        low, high = spread_of_values(case.real)
        if high - low < DIM:
            yield advised(
                case, "data range", "problem",
                f"all values of the data lie between {low:.0f} and {high:.0f} of 0 to 255",
                "the picture of reals", "sure", "images that were divided by 255 and then stored as whole numbers",
            )  # fmt: skip
    if (distinct := case.distinct) < REPEATED:
        yield advised(
            case, "duplicates", "warning",
            f"only {distinct:.0%} of the samples are different ones", "organza data check",
            "sure", "copies in the folder, frames of a video, or augmentation that was written to disk",
        )  # fmt: skip
    if case.is_image and count * distinct < FEW_IMAGES and not case.config.augment.policy:
        yield advised(
            case, "little data", "warning",
            f"{count * distinct:.0f} different images, and no augmentation", "the header",
            "sure", "D learns so few by heart, and G then copies them or falls apart",
            advice.against_memory(case),
        )  # fmt: skip


def _collapse(case: Case) -> Iterator[Finding]:
    """From samples; while a run trains, from what the scores say of theirs, and once these have stood still."""
    whole, improving = case.gan is not None and case.store is not None, [gain > IMPROVES for _, gain, _ in gains(case)]
    if case.run.status == "failed" or not (whole or (_are_many(case) and not any(improving))):
        return
    modes, total = case.end("score/modes"), MODES.get(case.config.data.source)
    share = case.diversity if whole else case.end("score/variety")
    if modes is not None and total is not None and modes < LOST_MODES * total:
        share, told = modes / total, f"samples show {modes:.0f} of the {total} modes of the data"
    elif share is not None and share < (COLLAPSED if any(improving) else NARROW):
        told = f"two samples are {share:.2f} times as far apart as two of the data, in {_features(case)}"
        told += f"; {case.coverage:.0%} of the data have a sample near them" if whole else ""
    else:
        return
    full = share < COLLAPSED
    yield advised(
        case, "mode collapse", "problem" if full else "warning",
        f"{'all samples look alike' if full else 'a part of the data is missing'}: {told}",
        "the grids of samples", "likely" if full else "possible", _why_collapsed(case),
        advice.against_collapse(case),
    )  # fmt: skip


def _are_many(case: Case) -> bool:
    """Whether there are scores enough to see that none gets better."""
    return any(len(case.values(key)) >= STOOD_STILL for key in ("score/variety", "score/modes"))


def _unique(case: Case) -> Iterator[Finding]:
    if (case.gan is None and case.drawn is None) or case.run.status == "failed":
        return
    if (share := distinct_share(case.fake)) < REPEATED:
        yield advised(
            case, "few unique samples", "problem",
            f"of {len(case.fake)} samples only {round(share * len(case.fake))} are different, value by value",
            "the grids of samples", "likely", "a G that no longer listens to its noise", advice.against_collapse(case),
        )  # fmt: skip


def _class_collapse(case: Case) -> Iterator[Finding]:
    if case.run.status == "failed":
        return
    poor = {name: value for name, value in case.class_diversity().items() if value < CLASS_COLLAPSED}
    if poor:
        names = ", ".join(f"'{name}' ({value:.2f})" for name, value in poor.items())
        yield advised(
            case, "class collapse", "warning", f"samples of {names} vary little, beside 1 for the median class",
            "the grid of samples, by class", "likely", "few or equal training images of this class",
        )  # fmt: skip


def _pixels(case: Case) -> Iterator[Finding]:
    if case.gan is None or case.store is None or not case.is_image or case.run.status == "failed":
        return
    more = at_the_ends(case.fake) - at_the_ends(case.real)
    if more > SATURATED:
        yield advised(
            case, "saturation", "warning", f"{more:.0%} more values than in the data are black or white",
            "the grid of samples", "likely", "G's last layer drives its tanh to the ends; a rate that is too high",
            advice.slower(case, "generator", by=4),
        )  # fmt: skip
    ratio = high_frequencies(case.fake) / max(high_frequencies(case.real), 1e-6)
    if ratio > CHECKERED and "upsample" in case.config.generator.model.options:
        yield advised(
            case, "checkerboard", "warning", f"samples have {ratio:.1f} times the power of reals at the finest stripes",
            "the right end of the picture of the spectrum", "possible",
            "transposed convolutions whose kernels overlap unevenly, or a young G",
            {"generator.model.upsample": "nearest"},
        )  # fmt: skip


def _features(case: Case) -> str:
    if case.store is None:
        return "the features of the score"
    return f"the features of the network {case.network}" if case.is_image else "the features of their coordinates"


def _why_collapsed(case: Case) -> str:
    told = "G found samples that D of the moment takes for real, and stays there"
    return f"{told}; G takes {case.config.generator.turns} turns a step" if case.config.generator.turns > 1 else told


OF_SAMPLES: tuple[Rule, ...] = (of_data, _collapse, _unique, _class_collapse, _pixels)
