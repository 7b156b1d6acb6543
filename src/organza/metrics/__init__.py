"""How good samples are: numbers with their protocol, on plain features [N, D] (NumPy arrays or tensors).

    from organza.metrics import feature_influences, frechet_distance, interval
    frechet_distance(real=real, fake=fake)
    interval(feature_influences(real=real, fake=fake)["recall"])

Real and fake are always named; networks that make features are in `organza.metrics.networks`.
"""

from organza.metrics.diversity import mean_pairwise_distance, ms_ssim, ms_ssim_diversity
from organza.metrics.frechet import frechet_distance, frechet_infinity, frechet_influence
from organza.metrics.inception_score import inception_score
from organza.metrics.influence import Influence
from organza.metrics.kernel import kernel_distance, kernel_influence
from organza.metrics.memory import authenticity, memorisation_distance, memorisation_influence, nearest
from organza.metrics.neighbours import density_coverage, neighbourhood, precision_recall, realism
from organza.metrics.prd import precision_recall_curve
from organza.metrics.scores import FeatureScores, feature_influences, feature_scores, pair_influences
from organza.metrics.sliced import monge_distance, sliced_distance
from organza.metrics.spectrum import radial_spectrum
from organza.metrics.stats import FeatureStats
from organza.metrics.uncertainty import Comparison, Interval, bootstrap, compare, interval, noise_floor, paired_test

__all__ = [
    "Comparison",
    "FeatureScores",
    "FeatureStats",
    "Influence",
    "Interval",
    "authenticity",
    "bootstrap",
    "compare",
    "density_coverage",
    "feature_influences",
    "feature_scores",
    "frechet_distance",
    "frechet_infinity",
    "frechet_influence",
    "inception_score",
    "interval",
    "kernel_distance",
    "kernel_influence",
    "mean_pairwise_distance",
    "memorisation_distance",
    "memorisation_influence",
    "monge_distance",
    "ms_ssim",
    "ms_ssim_diversity",
    "nearest",
    "neighbourhood",
    "noise_floor",
    "pair_influences",
    "paired_test",
    "precision_recall",
    "precision_recall_curve",
    "radial_spectrum",
    "realism",
    "sliced_distance",
]
