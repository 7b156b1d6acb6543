import pytest
import torch
from editing_helpers import tiny

from organza.config import ConfigError
from organza.latent.perceptual import open_distance, pyramid, through_lpips
from organza.metrics.lpips import CHANNELS, Lpips
from organza.metrics.networks.vgg import Vgg16


def pictures(count=2, channels=3, side=64):
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_lpips_is_the_sum_that_lpips_is():
    torch.manual_seed(0)
    lpips = Lpips("vgg", Vgg16(hidden=1), [torch.rand(c) for c in CHANNELS["vgg"]])
    one, two = pictures()[:1], pictures()[1:]
    found = through_lpips(lpips)(one, two)
    assert found == pytest.approx(lpips(one, two), rel=1e-4)
    assert float(found) > 1e-3
    small = torch.zeros(1, 1, 20, 12, requires_grad=True)  # enlarged, grey, and dark: slopes stay finite
    (slope,) = torch.autograd.grad(through_lpips(lpips)(small, torch.ones(1, 1, 20, 12)).sum(), small)
    assert slope.isfinite().all()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_embedded_network_sees_more_the_more_differs(channels):
    distance = open_distance("general", (channels, 32, 32))
    one = pictures(1, channels, 32)
    noise = torch.randn(one.shape, generator=torch.Generator().manual_seed(1))
    far = [float(distance(one, one + strength * noise)) for strength in (0, 0.05, 0.5)]
    assert far[0] == 0
    assert 0 < far[1] < far[2] / 2
    still = one.clone().requires_grad_()
    (slope,) = torch.autograd.grad(distance(still, one).sum(), still)
    assert slope.isfinite().all()


def test_pixels_are_the_mean_of_the_scales():
    one, two = torch.zeros(1, 3, 16, 16), torch.full((1, 3, 16, 16), 0.5)
    assert float(open_distance("pixels", (3, 16, 16))(one, two)) == pytest.approx(0.25)
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    assert len(pyramid(one)) == 3  # 16, 8, 4
    assert float(open_distance("pixels", (1, 16, 16))(board.expand(1, 1, 16, 16), one[:, :1])) == pytest.approx(1 / 3)
    assert float(open_distance("auto", (2,))(torch.zeros(1, 2), torch.tensor([[1.0, 2.0]]))) == pytest.approx(2.5)


def test_what_cannot_be_seen_is_refused(listener):
    with pytest.raises(ConfigError, match="did you mean 'general'"):
        open_distance("genral", (3, 16, 16))
    with pytest.raises(ConfigError, match="sees images of 1, 3 or 4 channels"):
        open_distance("general", (5, 16, 16))
    assert open_distance("auto", (5, 16, 16), progress=listener).name == "pixels"
    assert listener.notes == []


def test_without_weights_the_embedded_network_judges_and_says_so(listener, monkeypatch, tmp_path):
    for name in ("ORGANZA_WEIGHTS", "TORCH_HOME", "XDG_CACHE_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    assert open_distance("auto", tiny("dcgan").shape, progress=listener).name == "general"
    assert "no weights of LPIPS" in listener.notes[0]
    with pytest.raises(ConfigError, match="weights"):
        open_distance("lpips-vgg", (3, 16, 16))
