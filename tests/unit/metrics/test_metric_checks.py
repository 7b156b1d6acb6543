import subprocess
import sys

import numpy as np
import pytest
import torch
from metric_helpers import some

import organza.metrics as metrics
from organza.config import ConfigError

OF_TWO = {
    "frechet_distance": 2, "kernel_distance": 2, "precision_recall": 4, "density_coverage": 6, "feature_scores": 6,
    "feature_influences": 6, "authenticity": 2, "memorisation_distance": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", OF_TWO)
def test_wrong_input_says_what_is_allowed(name):
    function, least, good = getattr(metrics, name), OF_TWO[name], some(20, 3)
    bad = good.copy()
    bad[7, 1] = np.nan
    for wrong, message in ((bad, "NaN or infinite"), (good[:, 0], r"shape \(20,\)"), (good.tolist(), "is a list")):
        with pytest.raises(ConfigError, match=f"fake.*{message}"):
            function(real=good, fake=wrong)
        with pytest.raises(ConfigError, match=f"real.*{message}"):
            function(real=wrong, fake=good)
    with pytest.raises(ConfigError, match="real has 3 features a sample and fake has 2"):
        function(real=good, fake=good[:, :2])
    with pytest.raises(ConfigError, match=f"{least - 1}.*at least {least}"):
        function(real=good[: least - 1], fake=good)
    assert function(real=good[:least], fake=good + 0.1) is not None  # and with the least it works


def test_infinity_and_no_columns_are_refused():
    with pytest.raises(ConfigError, match="infinite"):
        metrics.frechet_distance(real=some(4, 2), fake=np.full((4, 2), np.inf))
    with pytest.raises(ConfigError, match=r"\(4, 0\)"):
        metrics.frechet_distance(real=some(4, 0), fake=some(4, 0))
    with pytest.raises(ConfigError, match="complex"):
        metrics.frechet_distance(real=some(4, 2), fake=some(4, 2) * 1j)


@pytest.mark.filterwarnings("error")
def test_what_is_no_number_is_refused():
    good = some(4, 2)
    for wrong, message in (
        (good.astype(object), "type object.*astype"), (good.astype(str), "type <U32"),
        (np.ma.masked_array(good, good > 0), "masked"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=f"real has.*{message}"):
            metrics.frechet_distance(real=wrong, fake=good)


@pytest.mark.filterwarnings("error")
def test_every_type_of_number():
    real, fake = some(30, 3) * 10, some(40, 3, 1) * 10 + 3
    exact = metrics.frechet_distance(real=real, fake=fake)
    for one, two, error in (
        (torch.from_numpy(real), fake, 0.0),
        (real.astype(np.float32), fake.astype(np.float32), 1e-6),
        (torch.from_numpy(real).half(), torch.from_numpy(fake).half(), 1e-2),
        (torch.from_numpy(real).requires_grad_(), fake, 0.0),
    ):
        assert metrics.frechet_distance(real=one, fake=two) == pytest.approx(exact, rel=error, abs=1e-12)
    read_only = real.copy()
    read_only.flags.writeable = False
    for one in (real[::-1][::-1], real.astype(">f8"), real.astype(np.longdouble), read_only, np.ma.masked_array(real)):
        assert metrics.frechet_distance(real=one, fake=np.asfortranarray(fake)) == exact
    assert metrics.frechet_distance(real=real[::-1], fake=fake) == pytest.approx(exact)
    whole = metrics.frechet_distance(real=real.round().astype(np.int64), fake=fake.round().astype(np.int16))
    assert whole == metrics.frechet_distance(real=real.round(), fake=fake.round())


def test_settings_out_of_range():
    x = some(30, 3)
    for call in (
        lambda: metrics.precision_recall(real=x, fake=x, k=0),
        lambda: metrics.kernel_distance(real=x, fake=x, subsets=0),
        lambda: metrics.kernel_distance(real=x, fake=x, subsets=2, subset_size=31),
        lambda: metrics.nearest(real=x, fake=x, k=31),
        lambda: metrics.inception_score(x, splits=31),
        lambda: metrics.inception_score(x[:, :1]),
        lambda: metrics.sliced_distance(real=x, fake=x, directions=0),
        lambda: metrics.frechet_infinity(real=x, fake=x[:19]),
        lambda: metrics.frechet_infinity(real=x, fake=x, points=2),
        lambda: metrics.bootstrap(metrics.frechet_distance, real=x, fake=x, replicates=1),
        lambda: metrics.interval(metrics.frechet_influence(real=x, fake=x), level=1.0),
        lambda: metrics.noise_floor(metrics.frechet_distance, real=x[:3]),
        lambda: metrics.feature_scores(real=x, fake=x, k_density=0),
        lambda: metrics.mean_pairwise_distance(x[:1]),
        lambda: metrics.ms_ssim_diversity(torch.zeros(1, 1, 16, 16)),
    ):
        with pytest.raises(ConfigError, match=r"\d"):
            call()


def test_the_package_does_not_import_them():
    code = "import sys, organza; print('torch' in sys.modules, 'organza.metrics' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["False", "False"]
