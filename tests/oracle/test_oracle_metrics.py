"""Against the field's own libraries, where they are installed: torch-fidelity 0.4, torchmetrics 1.9 and prdc 0.2."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "unit" / "metrics"))

from metric_helpers import golden, golden64

from organza.metrics import (
    density_coverage,
    frechet_distance,
    inception_score,
    kernel_distance,
    memorisation_distance,
    ms_ssim,
    precision_recall,
)

pytestmark = pytest.mark.filterwarnings("ignore")


def tensors():
    return tuple(torch.from_numpy(x) for x in golden())


def test_frechet_of_torch_fidelity():
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    real, fake = (fid.fid_features_to_statistics(x) for x in tensors())
    theirs = fid.fid_statistics_to_metric(fake, real, False)["frechet_inception_distance"]
    assert frechet_distance(real=golden()[0], fake=golden()[1]) == pytest.approx(float(theirs), rel=2e-6)


def test_frechet_of_torchmetrics():
    module = pytest.importorskip("torchmetrics.image.fid")
    stats = [(x.mean(0), torch.cov(x.T)) for x in (y.double() for y in tensors())]
    theirs = module._compute_fid(*stats[0], *stats[1])
    assert frechet_distance(real=golden()[0], fake=golden()[1]) == pytest.approx(float(theirs), abs=1e-9)


def test_kernel_of_torch_fidelity():
    kid = pytest.importorskip("torch_fidelity.metric_kid")
    options = {"kid_subsets": 20, "kid_subset_size": 500, "kid_degree": 3, "kid_gamma": None, "kid_coef0": 1.0}
    real, fake = tensors()
    theirs = kid.kid_features_to_metric(fake, real, rng_seed=2020, verbose=False, **options)
    ours = kernel_distance(real=real, fake=fake, subsets=20, subset_size=500)
    assert ours.mean == pytest.approx(float(theirs["kernel_inception_distance_mean"]), abs=1e-6)
    assert ours.std == pytest.approx(float(theirs["kernel_inception_distance_std"]), abs=1e-6)


def test_kernel_of_torchmetrics():
    module = pytest.importorskip("torchmetrics.image.kid")
    real, fake = (torch.from_numpy(x)[:700] for x in golden64())
    theirs = module.poly_mmd(real, fake, 3, None, 1.0)
    assert kernel_distance(real=real, fake=fake) == pytest.approx(float(theirs), abs=1e-9)


def test_inception_score_of_torch_fidelity():
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = tensors()[1][:, :10] * 8 - 8
    theirs = isc.isc_features_to_metric(logits, splits=10, shuffle=True, rng_seed=2020)
    ours = inception_score(logits)
    assert ours.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    assert ours.std == pytest.approx(theirs["inception_score_std"], rel=1e-9)


def test_precision_and_recall_of_torch_fidelity():
    prc = pytest.importorskip("torch_fidelity.metric_prc")
    real, fake = tensors()
    theirs = prc.prc_features_to_metric(fake, real, prc_neighborhood=3, prc_batch_size=500, verbose=False)
    ours = precision_recall(real=real, fake=fake)
    assert ours.precision == pytest.approx(float(theirs["precision"]), abs=1e-7)  # theirs is float32
    assert ours.recall == pytest.approx(float(theirs["recall"]), abs=1e-7)


@pytest.mark.parametrize("k", [3, 5])
def test_density_and_coverage_of_prdc(k):
    prdc = pytest.importorskip("prdc")
    real, fake = (x[:800] for x in golden())
    theirs = prdc.compute_prdc(real_features=real, fake_features=fake, nearest_k=k)
    pr, dc = precision_recall(real=real, fake=fake, k=k), density_coverage(real=real, fake=fake, k=k)
    ours = {"density": dc.density, "coverage": dc.coverage}
    assert ours == {name: pytest.approx(float(theirs[name]), abs=1e-9) for name in ours}
    assert pr.precision == pytest.approx(theirs["precision"], abs=2 / 800)  # theirs is strict
    assert pr.recall == pytest.approx(theirs["recall"], abs=2 / 800)


def test_similarity_of_torchmetrics():
    """Of grey images: theirs averages colours at every scale, and has a mirrored border in the last scale."""
    module = pytest.importorskip("torchmetrics.functional.image")
    random = torch.Generator().manual_seed(0)
    x = torch.rand(1, 1, 180, 180, generator=random)
    y = (x + 0.2 * torch.randn(x.shape, generator=random)).clamp(0, 1)
    compare = module.multiscale_structural_similarity_index_measure
    theirs = compare(x, y, data_range=1.0, kernel_size=11, sigma=1.5)
    assert float(ms_ssim(x, y).mean()) == pytest.approx(float(theirs), abs=1e-3)


@pytest.mark.parametrize("noise", [0.05, 3.0])
def test_memorisation_of_torchmetrics(noise):
    """Its class looks for the nearest fake of each real; the paper, and we, for the nearest real of each fake."""
    module = pytest.importorskip("torchmetrics.image.mifid")
    real = tensors()[0][:900].double()
    fake = real[:700] + noise * torch.randn(700, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    stats = [(x.mean(0), torch.cov(x.T), x) for x in (fake, real)]
    theirs = module._mifid_compute(*stats[0], *stats[1])
    ours = memorisation_distance(real=real, fake=fake)
    assert (ours.cosine_distance < 0.1) == (noise == 0.05)
    assert ours.value == pytest.approx(float(theirs), rel=1e-9)
