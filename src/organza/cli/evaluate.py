"""`organza evaluate MODEL|FOLDER`: scores with their intervals, floors and protocols, and the receipt; A beside B."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, arg

from organza.cli.console import Console
from organza.cli.options import Device, Truncation
from organza.cli.words import count_or_none, number, told
from organza.config import ConfigError

if TYPE_CHECKING:
    from organza.evaluation import Receipt
    from organza.metrics import Comparison

Lines = list[tuple[str, str]]
OF_RECEIPTS = ("fake", "against", "metrics")  # the options that have an effect on two receipts


@dataclass(frozen=True)
class Options:
    """Judge a run, a model, a folder, a zip or an array of images against real ones.

    METRICS are fd, kd, kd-subsets, precision-recall, density-coverage, fd-infinity, fd-per-class, sliced, mifid,
    authenticity, is, labels, pairwise, ms-ssim and modes, through a network that is embedded in Organza;
    METRIC@NETWORK takes another one. lpips and ppl look through LPIPS, whose weights are found as those of the
    following. eq-t, eq-t-frac and eq-r (equivariance, of StyleGAN3), like ppl, ask the model alone. fid, fid-clean,
    kid, inception-score, improved-precision-recall and fd-dinov2 are the published ones, whose weights Organza does
    not ship: it says which file to put where, or --download fetches it.

    With --against it is a paired test of two models by one metric; two receipts (A.json --against B.json) are shown
    side by side, where their scores compare.
    """

    fake: Annotated[
        str,
        Positional,
        arg(metavar="MODEL", help="a run, a model, network.pkl, hf:ORG/NAME, or images: folder, zip, array, name"),
    ]
    real: Annotated[str, told(metavar="DATA", help="what is real (default: the data of the run)")] = ""
    metrics: Annotated[
        tuple[str, ...], told(metavar="METRIC ...", help="(default fd kd precision-recall density-coverage)")
    ] = ()
    samples: Annotated[str, told(metavar="N", help="of a model (default 10000; published FIDs 50000)")] = ""
    real_samples: Annotated[
        str,
        told(metavar="N", help="at most so many reals (default all, 10000 for metrics of pairs)"),
    ] = ""
    seed: Annotated[str, told(metavar="S", help="of the first sample (default 1000000)")] = ""
    split: Annotated[str, told(metavar="train|test", help="of the reals (default train)")] = "train"
    truncation: Truncation = ""
    network: Annotated[str, told(metavar="NAME", help="through which to look")] = ""
    weights: Annotated[str, told(metavar="PATH", help="the file of its weights")] = ""
    download: Annotated[bool, FlagCreatePairsOff, told(help="fetch weights that are not found")] = False
    against: Annotated[str, told(metavar="MODEL", help="is the first better than this one? or two receipts")] = ""
    out: Annotated[
        str, told(metavar="PATH", help="the receipt (default MODEL/evaluation.json; with --against none)")
    ] = ""
    device: Device = "auto"


def main(argv: list[str]) -> None:
    """Parse, judge, show the table, say where the receipt is. Raises as `organza.evaluate` does."""
    options = tyro.cli(Options, args=argv, prog="organza evaluate")
    work = _work(options)
    with Console() as console:
        console.wait("loading torch")
        table, lines = work(options, console)
    if table and not console.console.quiet:
        print(table)
    console.lines(lines)


def _work(options: Options) -> Callable[[Options, Console], tuple[str, Lines]]:
    """What to do. Raises ConfigError for a receipt beside something else."""
    given = [Path(word).suffix.lower() == ".json" for word in (options.fake, options.against) if word]
    if not any(given):
        return _compared if options.against else _judged
    if given != [True, True]:
        raise ConfigError(
            "a receipt (.json) compares to another receipt alone; type: organza evaluate A.json --against B.json"
        )
    return _side_by_side


def _judged(options: Options, console: Console) -> tuple[str, Lines]:
    import organza

    path = Path(options.out).expanduser() if options.out else _place(Path(options.fake).expanduser())
    with _resumable(path):
        receipt = organza.evaluate(
            options.fake, options.real or None, _metrics(options), **_settings(options), out=path, progress=console
        )
    return _table(receipt.table()), [("through", _networks(receipt)), ("written", str(path))]


def _compared(options: Options, console: Console) -> tuple[str, Lines]:
    from organza.evaluation import is_better
    from organza.evaluation.compared import BETTER, of_one_score

    metric, *others = _metrics(options) or ["fd"]
    if others:
        raise ConfigError(f"a paired test is of one metric, not of {', '.join([metric, *others])}")
    less_is_better = BETTER[of_one_score(metric, options.network or None)[0]] > 0
    path = Path(options.out).expanduser() if options.out else None
    with _resumable(path):
        compared = is_better(
            options.fake, options.against, options.real or None, metric, **_settings(options), out=path,
            progress=console,
        )  # fmt: skip
    written = [("written", str(path))] if path else []
    return "", _verdict(options, metric, compared, less_is_better) + written


@contextmanager
def _resumable(out: Path | None) -> Iterator[None]:
    """Let an interruption say that what was computed is kept, where it is."""
    try:
        yield
    except KeyboardInterrupt:
        kept = out is not None and Path(f"{out}.parts").is_dir()
        raise KeyboardInterrupt("the same command goes on with the features that it has" if kept else "") from None


def _side_by_side(options: Options, _: Console) -> tuple[str, Lines]:
    from organza.evaluation import Receipt, side_by_side

    others = [field for field in fields(options) if field.name not in OF_RECEIPTS]
    if idle := [field.name for field in others if getattr(options, field.name) != field.default]:
        raise ConfigError(
            f"--{', --'.join(idle).replace('_', '-')} changes nothing in receipts; leave it out, or judge the models"
        )
    one, two = (Receipt.load(Path(path).expanduser()) for path in (options.fake, options.against))
    rows = side_by_side(one, two, _metrics(options))
    advice = "of models tests a difference, also where intervals overlap"
    return _table(rows), [("A", options.fake), ("B", options.against), ("--against", advice)]


def _metrics(options: Options) -> list[str]:
    """Names apart by spaces or commas."""
    return [name for word in options.metrics for name in word.split(",") if name]


def _settings(options: Options) -> dict:
    asked = {
        "samples": count_or_none(options.samples, "samples"), "seed": number(options.seed, int, "seed"),
        "real_samples": count_or_none(options.real_samples, "real-samples"), "network": options.network or None,
        "truncation": number(options.truncation, float, "truncation"), "weights": options.weights or None,
    }  # fmt: skip
    always = {"download": options.download, "device": options.device, "split": options.split}
    return {key: value for key, value in asked.items() if value is not None} | always


def _place(fake: Path) -> Path:
    """Beside what is judged, where that is a folder of Organza's; else here."""
    if (fake / "config.json").is_file():
        return fake / "evaluation.json"
    return Path(f"evaluation-{fake.stem}.json")


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as they need to be."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _networks(receipt: Receipt) -> str:
    seen = [f"{name} ({about['resizer']}, sha256 {about['sha256'][:12]})" for name, about in receipt.networks.items()]
    return ", ".join(seen) or "no network"


def _verdict(options: Options, metric: str, compared: Comparison, less_is_better: bool) -> Lines:
    a_is_less = compared.difference < 0
    better = options.fake if a_is_less == less_is_better else options.against
    told = f"{better} is better" if compared.decided else "not decided: chance alone may give such a difference"
    numbers = f"{compared.difference:.4g}, 95 % {compared.low:.4g} to {compared.high:.4g}, p = {compared.p:.3g}"
    return [("verdict", told), (f"{metric}, A - B", numbers)]
