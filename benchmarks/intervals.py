"""How often intervals of 95 % of the scores by neighbours hold their expectation, on Gaussians.

    python benchmarks/intervals.py            # 400 draws of 300 and 300 samples: half a minute
    python benchmarks/intervals.py --samples 1000 --dim 32 --draws 120

Reals are standard normal, fakes have another `spread`. `held` is the share of draws whose interval holds the mean over
all draws, `false` that of paired tests of two equal models, on the same reals, that call one of them better.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from common import keep_row

from organza.metrics import compare, feature_influences, interval

NAME, KEYS, SEED = "intervals", ("score", "samples", "dim", "spread"), 0
SCORES = ("precision", "recall", "density", "coverage")
SPREADS = (1.2, 1.0, 0.7)


def main() -> None:
    """Draw, judge, keep a row for each score and spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--dim", type=int, default=8)
    parser.add_argument("--draws", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    random, shape = np.random.default_rng(SEED), (options.samples, options.dim)
    for spread in SPREADS:
        found = []
        for _ in range(options.draws):
            real = random.standard_normal(shape)
            fakes = [spread * random.standard_normal(shape) for _ in range(2)]
            found.append([feature_influences(real=real, fake=fake) for fake in fakes])
        for score in SCORES:
            mean = np.mean([one[score].value for one, _ in found])
            bounds = [interval(one[score], replicates=200) for one, _ in found]
            held = np.mean([one.low <= mean <= one.high for one in bounds])
            false = np.mean([compare(one[score], two[score], replicates=200).decided for one, two in found])
            row = {"score": score, "samples": options.samples, "dim": options.dim, "spread": spread}
            row |= {"draws": options.draws, "mean": round(float(mean), 4), "held": round(float(held), 4)}
            row["false"] = round(float(false), 4)
            print(row, flush=True)
            keep_row(NAME, row, KEYS, SEED)


if __name__ == "__main__":
    main()
