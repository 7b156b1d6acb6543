"""How different samples are from each other: mean distance of pairs, and structural similarity at several scales.

MS-SSIM: Wang, Simoncelli & Bovik (2003), eq. 7; as a score of a GAN's diversity, over random pairs of one class:
Odena, Olah & Shlens, arXiv:1610.09585, section 4.2. Compare with the same figure of the reals, not with 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.metrics.checks import Features, as_features, must_be_finite, must_be_from
from organza.metrics.pairs import Points, centre_of, scan, squared_distances

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, fine to coarse
WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]


def mean_pairwise_distance(features: Features, *, progress: Progress = SILENT) -> float:
    """Mean Euclidean distance of two different samples of features [N, D].

    Raises ConfigError for fewer than 2 samples and values that are not finite.
    """
    values = as_features("features", features, 2)
    points = Points(values, centre_of(values))
    total = torch.zeros((), dtype=torch.float64, device=values.device)

    def add(rows: slice, columns: slice, products: Tensor) -> None:
        """Each pair once: those of a block on the diagonal stand there twice."""
        squares = squared_distances(points, points, rows, columns, products)
        if rows == columns:
            squares.fill_diagonal_(0)
        distances = squares.clamp_(min=0).sqrt_().sum(dtype=torch.float64)
        total.add_(distances / 2 if rows == columns else distances)

    scan(points, points, [add], "distances of pairs", progress)
    return float(total) / (len(values) * (len(values) - 1) / 2)


def ms_ssim(one: Tensor, two: Tensor) -> Tensor:
    """Similarity float32 [N] of images [N, C, H, W], uint8 or floats in [0, 1]; 1 for equal ones, 0 for unlike ones.

    Five scales from 176 pixels on; smaller images have as many as an 11 x 11 window allows, with the first weights
    scaled to the sum 1 (published figures are of five). Colours are judged one by one; the result is their mean.
    Raises ConfigError for other images and sides below 11.
    """
    one, two = _images("one", one), _images("two", two)
    if one.shape != two.shape:
        raise ConfigError(f"images of {tuple(one.shape)} and {tuple(two.shape)} are not compared; give equal shapes")
    scales = min(len(WEIGHTS), int(math.log2(min(one.shape[2:]) / WINDOW)) + 1)
    weights = [weight / sum(WEIGHTS[:scales]) for weight in WEIGHTS[:scales]]
    result = torch.ones(one.shape[:2], device=one.device)
    for scale, weight in enumerate(weights):
        luminance, contrast = _ssim_parts(one, two)
        last = scale == scales - 1
        result = (
            result * ((luminance * contrast).mean((2, 3)) if last else contrast.mean((2, 3))).clamp(min=0) ** weight
        )
        if not last:
            one, two = F.avg_pool2d(one, 2), F.avg_pool2d(two, 2)
    return result.mean(1)


def ssim(one: Tensor, two: Tensor) -> Tensor:
    """Similarity float32 [N] at the one scale of the images: Wang et al. (2004, doi:10.1109/TIP.2003.819861), eq. 13.

    Images as for `ms_ssim`; an 11 x 11 window of deviation 1.5 where it fits whole; the mean over places and channels.
    """
    one, two = _images("one", one), _images("two", two)
    if one.shape != two.shape:
        raise ConfigError(f"images of {tuple(one.shape)} and {tuple(two.shape)} are not compared; give equal shapes")
    luminance, contrast = _ssim_parts(one, two)
    return (luminance * contrast).mean((1, 2, 3))


def _images(name: str, given: Tensor) -> Tensor:
    if given.dim() != 4 or min(given.shape[2:]) < WINDOW:
        raise ConfigError(
            f"{name} has the shape {tuple(given.shape)}; give images [N, C, H, W], sides of {WINDOW} or more"
        )
    if given.dtype == torch.uint8:
        return given.float() / 255
    images = given.float()
    must_be_finite(name, images)
    if images.numel() and (images.min() < 0 or images.max() > 1):
        raise ConfigError(f"{name} has values from {images.min():.3g} to {images.max():.3g}; give uint8, or [0, 1]")
    return images


def _ssim_parts(one: Tensor, two: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance, and contrast with structure, at each place [N, C, H, W]."""
    channels = one.shape[1]
    places = torch.arange(WINDOW, dtype=torch.float32, device=one.device) - WINDOW // 2
    line = torch.exp(-places.square() / (2 * SIGMA**2))
    line = (line / line.sum()).expand(channels, 1, 1, WINDOW)

    def blur(images: Tensor) -> Tensor:
        """The window's weighted mean at every place where it fits."""
        return F.conv2d(F.conv2d(images, line, groups=channels), line.transpose(2, 3), groups=channels)

    mean_one, mean_two = blur(one), blur(two)
    var_one, var_two = blur(one * one) - mean_one**2, blur(two * two) - mean_two**2
    both = blur(one * two) - mean_one * mean_two
    luminance = (2 * mean_one * mean_two + C1) / (mean_one**2 + mean_two**2 + C1)
    return luminance, (2 * both + C2) / (var_one + var_two + C2)


def ms_ssim_diversity(images: Tensor, pairs: int = 1000, seed: int = 0, *, progress: Progress = SILENT) -> float:
    """Mean similarity of random pairs of images [N, C, H, W]; near 1 where samples repeat, lower is more diverse.

    Raises ConfigError for fewer than 2 images and as `ms_ssim` does.
    """
    return float(pair_similarities(images, pairs, seed, progress=progress).mean())


def pair_similarities(images: Tensor, pairs: int = 1000, seed: int = 0, *, progress: Progress = SILENT) -> Tensor:
    """`ms_ssim` of each random pair of images [N, C, H, W], float64 [pairs]; raises as `ms_ssim_diversity` does."""
    one, two = random_pairs(len(images), pairs, seed)
    found, at_once = [], 64
    for some, others in zip(one.split(at_once), two.split(at_once), strict=True):
        found.append(ms_ssim(images[some.to(images.device)], images[others.to(images.device)]).double())
        progress.step("similarity of pairs", min(at_once * len(found), pairs), pairs)
    return torch.cat(found)


def random_pairs(count: int, pairs: int, seed: int) -> tuple[Tensor, Tensor]:
    """Seeded rows of pairs of different samples, each int64 [pairs]; raises ConfigError for fewer than 2 samples."""
    must_be_from("the number of samples", count, 2)
    must_be_from("pairs", pairs, 1)
    random = torch.Generator().manual_seed(seed)
    one = torch.randint(count, (pairs,), generator=random)
    return one, (one + torch.randint(1, count, (pairs,), generator=random)) % count
