import pytest
import torch
from torch.nn import functional as F

from organza.config import ConfigError
from organza.models.stargan import Discriminator, Generator


def count(module):
    return sum(p.numel() for p in module.parameters())


def tiny(channels=3, classes=2, seed=0):
    torch.manual_seed(seed)
    return Generator((channels, 16, 16), (channels, 16, 16), classes, width=4, blocks=2)


def test_published_sizes():
    with torch.device("meta"):
        makers = [Generator((3, 128, 128), (3, 128, 128), c) for c in (5, 8, 12, 13)]
        judges = [Discriminator((3, s, s), c) for s, c in ((128, 5), (128, 8), (128, 13), (256, 5), (256, 12))]
    assert [count(maker) for maker in makers] == [8_430_528, 8_439_936, 8_452_480, 8_455_616]
    assert [count(judge) for judge in judges] == [44_762_048, 44_786_624, 44_827_584, 44_884_928, 45_114_304]
    assert 53.15e6 < count(makers[1]) + count(judges[0]) < 53.25e6  # "53.2M" (table 3 of the paper, from memory)


def test_names_of_published_files():
    with torch.device("meta"):
        maker, judge = Generator((3, 128, 128), (3, 128, 128), 5), Discriminator((3, 128, 128), 5)
    shapes = {name: tuple(weight.shape) for name, weight in maker.state_dict().items()}
    norms = (1, 4, 7, *(f"{i}.main.{j}" for i in range(9, 15) for j in (1, 4)), 16, 19)
    kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    convolutions = {f"main.{i}.weight" for i in (0, 3, 6, 15, 18, 21)}
    convolutions |= {f"main.{i}.main.{j}.weight" for i in range(9, 15) for j in (0, 3)}
    assert set(shapes) == convolutions | {f"main.{i}.{kind}" for i in norms for kind in kinds}
    assert shapes["main.0.weight"] == (64, 8, 7, 7)
    assert shapes["main.15.weight"] == (256, 128, 4, 4)
    named = {name: tuple(weight.shape) for name, weight in judge.state_dict().items()}
    assert set(named) == {f"main.{i}.{kind}" for i in range(0, 12, 2) for kind in ("weight", "bias")} | {
        "conv1.weight", "conv2.weight"
    }  # fmt: skip
    assert named["main.10.weight"] == (2048, 1024, 4, 4)
    assert (named["conv1.weight"], named["conv2.weight"]) == ((1, 2048, 3, 3), (5, 2048, 2, 2))


def normed(x, state, name):
    x = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    return x * state[name + ".weight"].view(1, -1, 1, 1) + state[name + ".bias"].view(1, -1, 1, 1)


def translated(x, planes, state):
    """Three convolutions down, two residual blocks, three up; norms and ReLUs between."""
    x = torch.cat([x, planes], 1)
    for i, stride, padding in ((0, 1, 3), (3, 2, 1), (6, 2, 1)):
        x = normed(
            F.conv2d(x, state[f"main.{i}.weight"], stride=stride, padding=padding), state, f"main.{i + 1}"
        ).relu()
    for i in (9, 10):
        y = normed(F.conv2d(x, state[f"main.{i}.main.0.weight"], padding=1), state, f"main.{i}.main.1").relu()
        x = x + normed(F.conv2d(y, state[f"main.{i}.main.3.weight"], padding=1), state, f"main.{i}.main.4")
    for i in (11, 14):
        y = F.conv_transpose2d(x, state[f"main.{i}.weight"], stride=2, padding=1)
        x = normed(y, state, f"main.{i + 1}").relu()
    return F.conv2d(x, state["main.17.weight"], padding=3).tanh()


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_generator_is_its_formula(mode):
    """Norms take the image's own statistics in training and in use."""
    network = getattr(tiny(), mode)().double()
    state = {name: torch.randn_like(p) for name, p in network.state_dict().items() if p.is_floating_point()}
    network.load_state_dict(state, strict=False)
    x, labels = torch.randn(2, 3, 12, 20).double(), torch.tensor([1, 0])
    planes = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double()[:, :, None, None].expand(-1, -1, 12, 20)
    torch.testing.assert_close(network(x, None, labels), translated(x, planes, state), rtol=1e-9, atol=1e-9)


def test_classes_are_attributes_of_which_one_is_set():
    network, x = tiny(classes=3), torch.randn(2, 3, 16, 16)
    one_hot = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    assert torch.equal(network(x, None, torch.tensor([2, 0])), network(x, None, one_hot))
    two = torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    other = network(x, None, two)
    assert not torch.equal(other[0], network(x, None, one_hot)[0])
    assert torch.equal(other[1], network(x, None, one_hot)[1])


@pytest.mark.parametrize(("channels", "out"), [(1, 1), (4, 3)])
def test_sizes_and_channels(channels, out):
    network = Generator((channels, 32, 32), (out, 32, 32), 2, width=4, blocks=1)
    found = network(torch.randn(2, channels, 8, 12), None, torch.tensor([0, 1]))
    assert found.shape == (2, out, 8, 12)
    assert found.abs().max() <= 1


def test_the_discriminator_is_its_formula():
    torch.manual_seed(0)
    network = Discriminator((3, 28, 44), 5, width=4, layers=3).double()
    state, x = network.state_dict(), torch.randn(2, 3, 28, 44).double()
    seen = [x]
    for i in (0, 2, 4):
        y = F.conv2d(seen[-1], state[f"main.{i}.weight"], state[f"main.{i}.bias"], 2, 1)
        seen.append(torch.where(y > 0, y, 0.01 * y))
    features = network.features(x)
    for found, expected in zip(features, seen[1:], strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    places = F.conv2d(seen[-1], state["conv1.weight"], padding=1).flatten(1)
    assert network.parts == (3 * 5,) == (places.shape[1],)
    torch.testing.assert_close(network(x), places, rtol=1e-9, atol=1e-12)
    classes = torch.einsum("bchw,kchw->bk", seen[-1], state["conv2.weight"])
    torch.testing.assert_close(network.classes_of(features), classes, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("side", "layers"), [(128, 6), (64, 6), (63, 5), (28, 4), (4, 2)])
def test_as_many_layers_as_fit(side, layers):
    network = Discriminator((1, side, side), 2, width=2)
    assert len(network.features(torch.zeros(1, 1, side, side))) == layers


def test_gradients_reach_all_parameters():
    maker, judge = tiny(), Discriminator((3, 16, 16), 2, width=4)
    features = judge.features(maker(torch.randn(2, 3, 16, 16), None, torch.tensor([0, 1])))
    (judge.logits(features).square().mean() + judge.classes_of(features).square().mean()).backward()
    named = [*maker.named_parameters(), *judge.named_parameters()]
    assert [name for name, p in named if p.grad is None or not p.grad.any()] == []


def test_without_classes_there_is_no_head():
    assert "conv2.weight" not in Discriminator((1, 16, 16), width=2).state_dict()


def test_refusals():
    with pytest.raises(ConfigError, match=r"StarGAN translates between classes.*folder of their own"):
        Generator((3, 64, 64), (3, 64, 64))
    with pytest.raises(ConfigError, match=r"28x28 can be halved 1 to 4 times, not 6.*layers 4"):
        Discriminator((3, 28, 28), 2, layers=6)
    with pytest.raises(ConfigError, match=r"1x64 can be halved"):
        Discriminator((3, 1, 64), 2)
    network, x = tiny(), torch.zeros(1, 3, 16, 16)
    with pytest.raises(ValueError, match=r"labels are missing: give int64 \[B\] below 2, or attributes \[B, 2\]"):
        network(x)
    with pytest.raises(ValueError, match=r"torch.float32 and shape \(1, 3\) are neither"):
        network(x, None, torch.zeros(1, 3))
    with pytest.raises(ValueError, match=r"16x18.*multiples of 4.*16x20"):
        network(torch.zeros(1, 3, 16, 18), None, torch.tensor([0]))
