"""Seconds and memory of metrics on features: Organza against scipy, torch-fidelity and torchmetrics, in turn.

    pip install torch-fidelity torchmetrics torchvision scipy
    python benchmarks/metrics_speed.py            # d = 2048, N = 10 000: some ten minutes on two cores
    python benchmarks/metrics_speed.py --dim 256 --samples 1000 --rounds 1 --dry

(a) `trace`: tr (S_r S_f)^(1/2) of two covariances of full rank. (b) `scores`: features to FID, KID, precision and
recall. Every form of a round runs in a process of its own, one after the other; `results/metrics_speed.csv` keeps the
median seconds and the peak memory above that of the process with its libraries and the features. The forms of (b) do
not ask the same of KID: torch-fidelity and torchmetrics take 100 subsets of 1 000, Organza all samples, and
`organza subsets` 100 x 1 000, too. torchmetrics has no precision and recall: its time is that of FID and KID alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from common import keep_row

SEED = 0


def features(samples: int, dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Non-negative float32 features of real and fake [N, D] with a spectrum, as those of a network."""
    random = np.random.RandomState(SEED)
    mixing = (random.randn(dim, dim) * np.linspace(1.5, 0.1, dim)[:, None] / dim**0.5).astype(np.float32)
    sides = [np.abs(random.randn(samples, dim).astype(np.float32) @ mixing * scale) for scale in (1.0, 1.05)]
    return torch.from_numpy(sides[0]), torch.from_numpy(sides[1])


def covariances(dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two of full rank, float64 [D, D]."""
    real, fake = features(2 * dim, dim)
    return torch.cov(real.double().T), torch.cov(fake.double().T)


def trace_of_scipy(real: torch.Tensor, fake: torch.Tensor) -> float:
    """By the root of the matrix, as pytorch-fid and clean-fid."""
    from scipy.linalg import sqrtm

    return float(np.trace(sqrtm(real.numpy() @ fake.numpy())).real)


def trace_of_eigvals(real: torch.Tensor, fake: torch.Tensor) -> float:
    """By the eigenvalues of the product, as torch-fidelity and torchmetrics."""
    return float(torch.linalg.eigvals(real @ fake).sqrt().real.sum())


def trace_of_organza(real: torch.Tensor, fake: torch.Tensor) -> float:
    """By Cholesky and the eigenvalues of a symmetric matrix."""
    from organza.metrics.frechet import _factor, _sandwich

    return float(torch.linalg.eigvalsh(_sandwich(_factor(real), fake)).clamp(min=0).sqrt().sum())


def scores_of_organza(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """All samples, one pass over pairs; density and coverage come with it."""
    from organza.metrics import feature_scores

    found = feature_scores(real=real, fake=fake)
    return {"fid": found.frechet_distance, "kid": found.kernel_distance, "precision": found.precision,
        "recall": found.recall}  # fmt: skip


def scores_of_organza_subsets(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """The same question that torch-fidelity answers."""
    from organza.metrics import frechet_distance, kernel_distance, precision_recall

    neighbours = precision_recall(real=real, fake=fake)
    kernel = kernel_distance(real=real, fake=fake, subsets=100, subset_size=min(1000, len(real)))
    return {"fid": frechet_distance(real=real, fake=fake), "kid": kernel.mean, "precision": neighbours.precision,
        "recall": neighbours.recall}  # fmt: skip


def scores_of_torch_fidelity(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """Its own functions on features, with their defaults."""
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    stats = [metric_fid.fid_features_to_statistics(x) for x in (fake, real)]
    found = dict(metric_fid.fid_statistics_to_metric(*stats, False))
    size = min(1000, len(real))
    found |= metric_kid.kid_features_to_metric(fake, real, kid_subset_size=size, verbose=False)
    found |= metric_prc.prc_features_to_metric(fake, real, verbose=False)
    return {"fid": float(found["frechet_inception_distance"]), "kid": float(found["kernel_inception_distance_mean"]),
        "precision": float(found["precision"]), "recall": float(found["recall"])}  # fmt: skip


def scores_of_torchmetrics(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """FID and KID from features by its classes, whose network is the identity."""
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    class Identity(torch.nn.Module):
        num_features = real.shape[1]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    fid = FrechetInceptionDistance(feature=Identity(), normalize=False, input_img_size=(1, 1, 1))
    kid = KernelInceptionDistance(feature=Identity(), subset_size=min(1000, len(real)))
    for metric in (fid, kid):
        for is_real, x in ((True, real), (False, fake)):
            for part in x.split(1000):
                metric.update(part, real=is_real)
    return {"fid": float(fid.compute()), "kid": float(kid.compute()[0])}


TRACES = {"organza": trace_of_organza, "eigvals": trace_of_eigvals, "scipy sqrtm": trace_of_scipy}
SCORES = {
    "organza": scores_of_organza, "organza subsets": scores_of_organza_subsets,
    "torch-fidelity": scores_of_torch_fidelity, "torchmetrics": scores_of_torchmetrics,
}  # fmt: skip
NEEDS = {"torch-fidelity": "torch_fidelity.metric_fid", "torchmetrics": "torchmetrics.image.kid"}


def peak_mb() -> float:
    """The most memory that this process has had, in MB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(part: str, form: str, samples: int, dim: int) -> dict[str, Any]:
    """Seconds, memory and values of one form, in this process."""
    import importlib

    for module in ("organza.metrics", "scipy.linalg", NEEDS.get(form, "organza.metrics")):
        importlib.import_module(module)  # no form pays for an import
    inputs = covariances(dim) if part == "trace" else features(samples, dim)
    forms: dict[str, Callable[..., Any]] = TRACES if part == "trace" else SCORES  # type: ignore[assignment]
    before, start = peak_mb(), time.perf_counter()
    value = forms[form](*inputs)
    return {"seconds": time.perf_counter() - start, "mb": peak_mb() - before, "value": value}


def in_own_process(part: str, form: str, arguments: argparse.Namespace) -> dict[str, Any] | None:
    """The same in a fresh process; None where a library is missing."""
    command = [sys.executable, __file__, "--part", part, "--form", form, "--samples", str(arguments.samples), "--dim",
        str(arguments.dim)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{part}, {form}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure all in turn and keep one row for each form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=("trace", "scores"))
    parser.add_argument("--form")
    parser.add_argument("--dry", action="store_true", help="print and keep no rows")
    arguments = parser.parse_args()
    if arguments.form:
        print(json.dumps(measure(arguments.part, arguments.form, arguments.samples, arguments.dim)))
        return
    for part, forms in (("trace", list(TRACES)), ("scores", list(SCORES))):
        if arguments.part in (None, part):
            report(part, forms, arguments)


def report(part: str, forms: list[str], arguments: argparse.Namespace) -> None:
    """Rounds of all forms of one part, and their rows."""
    found: dict[str, list[dict[str, Any]]] = {form: [] for form in forms}
    for _ in range(arguments.rounds):
        for form in forms:
            if (one := in_own_process(part, form, arguments)) is not None:
                found[form].append(one)
    for form, runs in found.items():
        if not runs:
            continue
        ratios = [other["seconds"] / own["seconds"] for other, own in zip(runs, found["organza"], strict=False)]
        row = {
            "part": part, "form": form, "samples": arguments.samples if part == "scores" else "", "dim": arguments.dim,
            "rounds": len(runs), "seconds": f"{statistics.median(run['seconds'] for run in runs):.3f}",
            "times_organza": f"{statistics.median(ratios):.2f}" if ratios else "",
            "peak_mb": f"{max(run['mb'] for run in runs):.0f}", "value": json.dumps(runs[0]["value"]),
        }  # fmt: skip
        print(" | ".join(str(value) for value in row.values()))
        if not arguments.dry:
            keep_row("metrics_speed", row, ("part", "form", "samples", "dim"), SEED)


if __name__ == "__main__":
    main()
