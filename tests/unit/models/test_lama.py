import pytest
import torch
from hole_helpers import count, holed
from torch import nn
from torch.nn import functional as F

from organza.config import ConfigError
from organza.layers.fourier import FFC, FourierUnit, NormedFFC
from organza.layers.holes import parted, pasted
from organza.models.lama import Discriminator, Generator


@pytest.mark.parametrize(("blocks", "numbers"), [(18, 50_975_875), (9, 27_048_835), (6, 19_073_155)])
def test_official_parameter_counts(blocks, numbers):
    with torch.device("meta"):
        network = Generator((4, 256, 256), (3, 256, 256), blocks=blocks)
    assert count(network) == numbers
    assert (network.multiple, network.z_dim, network.classes) == (8, 0, 0)


def test_official_keys():
    with torch.device("meta"):
        big, small = (Generator((4, 256, 256), (3, 256, 256), blocks=n).state_dict() for n in (18, 9))
    assert len(big) == 989
    block = {key.removeprefix("model.5.conv1.") for key in big if key.startswith("model.5.conv1.")}
    assert {"ffc.convl2l.weight", "ffc.convl2g.weight", "ffc.convg2l.weight", "ffc.convg2g.conv1.0.weight",
            "ffc.convg2g.fu.conv_layer.weight", "ffc.convg2g.fu.bn.weight", "ffc.convg2g.conv2.weight",
            "bn_l.running_var", "bn_g.running_var"} <= block  # fmt: skip
    biases = {key for key in block if key.endswith("bias")}
    assert biases == {"bn_l.bias", "bn_g.bias", "ffc.convg2g.conv1.1.bias", "ffc.convg2g.fu.bn.bias"}
    for state, first in ((big, 24), (small, 15)):
        for number in range(3):
            assert state[f"model.{first + 3 * number}.weight"].shape[:2] == (512 >> number, 256 >> number)
            assert f"model.{first + 3 * number}.bias" in state
            assert f"model.{first + 1 + 3 * number}.running_mean" in state
        assert state[f"model.{first + 10}.weight"].shape == (3, 64, 7, 7)
    assert big["model.4.ffc.convl2g.weight"].shape == (384, 256, 3, 3)
    assert big["model.1.ffc.convl2l.weight"].shape == (64, 4, 7, 7)


def test_the_official_discriminator():
    with torch.device("meta"):
        network = Discriminator((3, 256, 256))
    with torch.no_grad():
        assert Discriminator((3, 256, 256), width=1)(torch.zeros(1, 3, 256, 256)).shape == (1, 19 * 19)
    assert count(network) == 6_962_369
    assert network.places == (19, 19)
    assert network.parts == (361,)


def test_the_spectrum_is_mixed_as_written():
    torch.manual_seed(0)
    unit, x = FourierUnit(2).double().eval(), torch.randn(1, 2, 6, 5).double()
    nn.init.normal_(unit.conv_layer.weight)
    spectrum = torch.zeros(2, 6, 3, dtype=torch.complex128)
    rows, columns = torch.arange(6.0).double(), torch.arange(5.0).double()
    for v in range(6):
        for u in range(3):
            wave = torch.exp(-2j * torch.pi * (v * rows[:, None] / 6 + u * columns[None] / 5))
            spectrum[:, v, u] = (x[0] * wave).sum((1, 2)) / 30**0.5
    parts = torch.stack([spectrum[0].real, spectrum[0].imag, spectrum[1].real, spectrum[1].imag])
    mixed = F.relu(torch.einsum("kc,chw->khw", unit.conv_layer.weight[:, :, 0, 0], parts) / (1 + 1e-5) ** 0.5)
    found = torch.complex(mixed[0::2], mixed[1::2])
    torch.testing.assert_close(unit(x)[0], torch.fft.irfft2(found, s=(6, 5), norm="ortho"))


def test_without_a_spectral_part_the_global_branch_has_only_local_features():
    torch.manual_seed(0)
    layer = FFC((3, 4), (3, 4), 3, padding=1).double()
    nn.init.zeros_(layer.convg2g.conv2.weight)
    x = torch.randn(2, 3, 6, 8).double(), torch.randn(2, 4, 6, 8).double()
    local, whole = layer(x)
    wide = F.pad(x[0], (1, 1, 1, 1), mode="reflect")
    torch.testing.assert_close(whole, F.conv2d(wide, layer.convl2g.weight))
    other = F.conv2d(F.pad(x[1], (1, 1, 1, 1), mode="reflect"), layer.convg2l.weight)
    torch.testing.assert_close(local, F.conv2d(wide, layer.convl2l.weight) + other)


def test_one_pixel_moves_every_place():
    """Which no other translator of this depth can: the reason for the spectrum."""
    torch.manual_seed(0)
    network = NormedFFC((2, 2), (2, 2), 3, padding=1).double().eval()
    nn.init.constant_(network.bn_g.bias, 1000.0)  # nothing is cut
    nn.init.constant_(network.ffc.convg2g.conv1[1].bias, 10.0)
    nn.init.constant_(network.ffc.convg2g.fu.bn.bias, 10.0)
    x = torch.zeros(1, 2, 16, 16).double(), torch.zeros(1, 2, 16, 16).double()
    moved = x[1].clone()
    moved[0, 0, 8, 8] = 1.0
    assert (network((x[0], moved))[1] - network(x)[1]).abs().gt(1e-12).all()


def test_generator_is_the_formula():
    torch.manual_seed(0)
    network = Generator((4, 32, 24), (3, 32, 24), width=2, blocks=0).double().eval()
    s, source = network.state_dict(), holed().double()
    mask = (source[:, 3:] > 0).double()
    x = torch.cat([(source[:, :3] + 1) / 2 * (1 - mask), mask], 1)
    scale = (1 + 1e-5) ** -0.5
    x = F.relu(F.conv2d(F.pad(x, (3, 3, 3, 3), mode="reflect"), s["model.1.ffc.convl2l.weight"]) * scale)
    for number in (2, 3):
        wide = F.pad(x, (1, 1, 1, 1), mode="reflect")
        x = F.relu(F.conv2d(wide, s[f"model.{number}.ffc.convl2l.weight"], stride=2) * scale)
    wide = F.pad(x, (1, 1, 1, 1), mode="reflect")
    kernels = torch.cat([s["model.4.ffc.convl2l.weight"], s["model.4.ffc.convl2g.weight"]])
    x = F.relu(F.conv2d(wide, kernels, stride=2) * scale)
    for number in (6, 9, 12):
        w, b = s[f"model.{number}.weight"], s[f"model.{number}.bias"]
        x = F.relu(F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1) * scale)
    x = F.conv2d(F.pad(x, (3, 3, 3, 3), mode="reflect"), s["model.16.weight"], s["model.16.bias"]).sigmoid()
    torch.testing.assert_close(network(source), torch.where(mask > 0, 2 * x - 1, source[:, :3]))


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 32, 24), (1, 16, 16), (4, 48, 32)])
def test_shapes_range_pasting_and_gradients(channels, height, width):
    torch.manual_seed(0)
    source = holed(channels, height, width)
    network = Generator((channels + 1, height, width), (channels, height, width), width=4, blocks=1)
    judge = Discriminator((channels, height, width), width=2, layers=2)
    made = network(source)
    assert made.shape == (2, channels, height, width)
    assert -1 <= made.min() < made.max() <= 1
    judge(made).square().sum().backward()
    for part in (network, judge):
        for name, p in part.named_parameters():
            assert p.grad is not None, name
    picture, mask = parted(source)
    used = network.eval()(source)
    assert torch.equal(used * (1 - mask), picture * (1 - mask))
    assert torch.equal(pasted(source, used), used)
    assert not torch.equal(used, picture)
    assert network(torch.cat([source, source], 2)).shape == (2, channels, 2 * height, width)


def test_refusals():
    with pytest.raises(ConfigError, match=r"--data\.degrade hole"):
        Generator((3, 32, 32), (3, 32, 32))
    with pytest.raises(ConfigError, match="multiples of 8"):
        Generator((4, 36, 32), (3, 36, 32))
    with pytest.raises(ConfigError, match=r"at least 16"):
        Generator((4, 8, 8), (3, 8, 8))
    with pytest.raises(ConfigError, match="share is 1"):
        Generator((4, 32, 32), (3, 32, 32), share=1.0)
    with pytest.raises(ConfigError, match="no labels"):
        Generator((4, 32, 32), (3, 32, 32), 2)
    with pytest.raises(ConfigError, match=r"layers is 4.*layers 3"):
        Discriminator((3, 8, 8))
    with pytest.raises(ValueError, match="multiples of 8; pad them to 40x32"):
        Generator((4, 32, 32), (3, 32, 32), width=4, blocks=0)(torch.zeros(1, 4, 33, 32))
