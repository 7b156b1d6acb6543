"""Seconds and memory of metrics on features: Organza against scipy, torch-fidelity and torchmetrics, in turn.

    pip install torch-fidelity torchmetrics torchvision prdc scipy
    python benchmarks/metrics_speed.py            # d = 2048, N = 10 000: some ten minutes on two cores
    python benchmarks/metrics_speed.py --dim 256 --samples 1000 --rounds 1 --dry

(a) `trace`: tr (S_r S_f)^(1/2) of two covariances of full rank.
(b) `fid kid pr`: features to FID, KID, precision and recall; torchmetrics has no P/R, which prdc computes for it.
(c) `fid kid`: FID and KID alone, as torchmetrics has them.
Every form of a round runs in a process of its own, one after the other. KID is that of 100 subsets of 1 000, but for
`organza, all pairs` that of all samples. `results/metrics_speed.csv` keeps the median seconds (by the clock and of the
processor), how often they are those of Organza's first form, and the peak memory above the features and the libraries,
which every form has warmed up on small features.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import keep_row

SEED = 0
SUBSETS = 100


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
    """One pass over pairs; the KID of all samples, density and coverage come with it."""
    from organza.metrics import feature_scores

    found = feature_scores(real=real, fake=fake, subsets=SUBSETS, subset_size=_size(real))
    assert found.kernel_subsets is not None
    return {"fid": found.frechet_distance, "kid": found.kernel_subsets.mean, "precision": found.precision,
        "recall": found.recall}  # fmt: skip


def scores_of_all_pairs(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """The same without subsets, as `organza evaluate` does by default."""
    from organza.metrics import feature_scores

    found = feature_scores(real=real, fake=fake)
    return {"fid": found.frechet_distance, "kid": found.kernel_distance, "precision": found.precision,
        "recall": found.recall}  # fmt: skip


def distances_of_organza(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """FID and KID alone, by the functions for each."""
    from organza.metrics import frechet_distance, kernel_distance

    distance = frechet_distance(real=real, fake=fake)
    kernel = kernel_distance(real=real, fake=fake, subsets=SUBSETS, subset_size=_size(real))
    return {"fid": distance, "kid": kernel.mean}


def _size(real: torch.Tensor) -> int:
    return min(1000, len(real))


def scores_of_torch_fidelity(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """Its own functions on features, with their defaults."""
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    stats = [metric_fid.fid_features_to_statistics(x) for x in (fake, real)]
    found = dict(metric_fid.fid_statistics_to_metric(*stats, False))
    found |= metric_kid.kid_features_to_metric(fake, real, kid_subset_size=_size(real), verbose=False)
    found |= metric_prc.prc_features_to_metric(fake, real, verbose=False)
    return {"fid": float(found["frechet_inception_distance"]), "kid": float(found["kernel_inception_distance_mean"]),
        "precision": float(found["precision"]), "recall": float(found["recall"])}  # fmt: skip


def distances_of_torchmetrics(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """FID and KID from features by its classes, whose network is the identity."""
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    class Identity(torch.nn.Module):
        num_features = real.shape[1]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    fid = FrechetInceptionDistance(feature=Identity(), normalize=False, input_img_size=(1, 1, 1))
    kid = KernelInceptionDistance(feature=Identity(), subsets=SUBSETS, subset_size=_size(real))
    for metric in (fid, kid):
        for is_real, x in ((True, real), (False, fake)):
            for part in x.split(1000):
                metric.update(part, real=is_real)
    return {"fid": float(fid.compute()), "kid": float(kid.compute()[0])}


def scores_of_torchmetrics(real: torch.Tensor, fake: torch.Tensor) -> dict[str, float]:
    """The same, and precision and recall of prdc, which gives density and coverage too."""
    from prdc import compute_prdc

    found = compute_prdc(real_features=real.numpy(), fake_features=fake.numpy(), nearest_k=3)
    own = {name: float(found[name]) for name in ("precision", "recall")}
    return distances_of_torchmetrics(real, fake) | own


TRACES = {"organza": trace_of_organza, "eigvals": trace_of_eigvals, "scipy sqrtm": trace_of_scipy}
SCORES = {
    "organza": scores_of_organza, "organza, all pairs": scores_of_all_pairs, "torch-fidelity": scores_of_torch_fidelity,
    "torchmetrics and prdc": scores_of_torchmetrics,
}  # fmt: skip
DISTANCES = {"organza": distances_of_organza, "torchmetrics": distances_of_torchmetrics}
PARTS: dict[str, dict[str, Callable[..., Any]]] = {"trace": TRACES, "fid kid pr": SCORES, "fid kid": DISTANCES}


def memory_mb(key: str) -> float:
    """VmRSS, what this process has now, or VmHWM, the most since `forget_peak`, in MB (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Begin to look for a new one."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(part: str, form: str, samples: int, dim: int) -> dict[str, Any]:
    """Seconds, memory and values of one form, in this process."""
    make, compute = (lambda n, d: covariances(d)) if part == "trace" else features, PARTS[part][form]
    compute(*make(300, 40))  # no form pays for imports, threads and the code of its libraries
    inputs = make(samples, dim)
    gc.collect()
    forget_peak()
    before, start, used = memory_mb("VmRSS"), time.perf_counter(), time.process_time()
    value = compute(*inputs)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    return {"seconds": seconds, "cpu": used, "mb": memory_mb("VmHWM") - before, "value": value}


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
    parser.add_argument("--part", choices=tuple(PARTS))
    parser.add_argument("--form")
    parser.add_argument("--dry", action="store_true", help="print and keep no rows")
    arguments = parser.parse_args()
    if arguments.form:
        print(json.dumps(measure(arguments.part, arguments.form, arguments.samples, arguments.dim)))
        return
    for part, forms in PARTS.items():
        if arguments.part in (None, part):
            report(part, list(forms), arguments)


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
        middle = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "cpu", "mb")}
        ratios = {
            key: statistics.median(run[key] / own[key] for run, own in zip(runs, found["organza"], strict=False))
            for key in ("seconds", "cpu")
        }
        row = {
            "part": part, "form": form, "samples": arguments.samples if part != "trace" else "", "dim": arguments.dim,
            "rounds": len(runs), "seconds": f"{middle['seconds']:.2f}", "times_organza": f"{ratios['seconds']:.2f}",
            "cpu_seconds": f"{middle['cpu']:.2f}", "times_organza_cpu": f"{ratios['cpu']:.2f}",
            "peak_mb": f"{middle['mb']:.0f}", "value": json.dumps(runs[0]["value"]),
        }  # fmt: skip
        print(" | ".join(str(value) for value in row.values()), flush=True)
        if not arguments.dry:
            keep_row("metrics_speed", row, ("part", "form", "samples", "dim"), SEED)


if __name__ == "__main__":
    main()
