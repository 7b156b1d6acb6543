"""What penalties look through: the published layers of VGG19, or what is found; and which one a run had."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from engine_helpers import translation_trainer
from torch import nn
from torch.nn import functional as F

import organza
from organza.config import ConfigError
from organza.metrics.networks import dilated, vgg
from organza.metrics.weights import WEIGHTS, Weights, is_here, load_weights
from organza.penalties import eyes

TINY = ((4,) * 2, (5,) * 2, (6,) * 4, (7,) * 4, (8,) * 4)
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
POOLINGS = (4, 9, 18, 27, 36)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Published weights of another width, where they are looked for."""
    torch.manual_seed(0)
    monkeypatch.setattr(vgg, "WIDTHS_19", TINY)
    path = tmp_path / WEIGHTS["vgg19"].file
    state = vgg.Vgg19().state_dict()
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, path)
    about = replace(WEIGHTS["vgg19"], bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert isinstance(about, Weights)
    monkeypatch.setitem(WEIGHTS, "vgg19", about)
    monkeypatch.setenv("ORGANZA_WEIGHTS", str(tmp_path))
    eyes.open_eyes.cache_clear()
    yield state
    eyes.open_eyes.cache_clear()


def layers_of(state, images):
    """What comes out of each layer, in a straight line and float64."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x, found = ((images.double() + 1) / 2 - mean.view(-1, 1, 1)) / deviation.view(-1, 1, 1), {}
    for number in range(37):
        if number in CONVOLUTIONS:
            x = F.conv2d(x, *(state[f"features.{number}.{part}"].double() for part in ("weight", "bias")), padding=1)
        else:
            x = F.max_pool2d(x, 2) if number in POOLINGS else x.relu()
        found[number] = x
    return found


PUBLISHED = {
    "vgg19": {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1},
    "vgg19-esrgan": {34: 1},
    "vgg19-real-esrgan": {2: 0.1, 7: 0.1, 16: 1, 25: 1, 34: 1},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_layers(tiny, name):
    one, two = torch.rand(2, 2, 3, 32, 48) * 2 - 1
    seen = eyes.open_eyes(name, "cpu")
    of_one, of_two = layers_of(tiny, one), layers_of(tiny, two)
    wanted = sum(w * (of_one[at] - of_two[at]).abs().flatten(1).mean(1) for at, w in PUBLISHED[name].items())
    torch.testing.assert_close(seen.distance(one, two).double(), wanted, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(seen.features(one).double(), of_one[25], rtol=1e-4, atol=1e-6)
    assert seen.distance(one, one).tolist() == [0, 0]
    grey = one[:, :1]
    torch.testing.assert_close(seen.distance(grey, two), seen.distance(grey.expand(-1, 3, -1, -1), two))


def test_the_size_of_the_published_network():
    with torch.device("meta"):
        network = vgg.Vgg19()
    assert sum(p.numel() for p in network.parameters()) == 20_024_384
    assert tuple(n for n, layer in enumerate(network.features) if isinstance(layer, nn.Conv2d)) == CONVOLUTIONS
    assert tuple(n for n, layer in enumerate(network.features) if isinstance(layer, nn.MaxPool2d)) == POOLINGS


def straight_stages(state, x):
    """The four stages of the dilated ResNet50, written down layer by layer in float64."""

    def normed(x, name, **how):
        number = name[-1]
        bn = f"{name[: -len('conv' + number)]}bn{number}" if "conv" in name else f"{name[:-1]}1"
        y = F.conv2d(x, state[f"{name}.weight"].double(), **how)
        mean, variance, gain, bias = (
            state[f"{bn}.{part}"].double().view(-1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (y - mean) / (variance + 1e-5).sqrt() * gain + bias

    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((x.double() + 1) / 2 - mean.view(-1, 1, 1)) / deviation.view(-1, 1, 1)
    x = normed(x, "conv1", stride=2, padding=1).relu()
    x = normed(normed(x, "conv2", padding=1).relu(), "conv3", padding=1).relu()
    x, found = F.max_pool2d(x, 3, 2, 1), []
    stages = {1: ([1] * 3, 1), 2: ([1] * 4, 2), 3: ([1, *[2] * 5], 1), 4: ([2, 4, 4], 1)}
    for stage, (dilations, stride) in stages.items():
        for block, d in enumerate(dilations):
            at = f"layer{stage}.{block}"
            s = stride if block == 0 else 1
            y = normed(x, f"{at}.conv1").relu()
            y = normed(y, f"{at}.conv2", stride=s, dilation=d, padding=d).relu()
            short = normed(x, f"{at}.downsample.0", stride=s) if block == 0 else x
            x = (normed(y, f"{at}.conv3") + short).relu()
        found.append(x)
    return found


class SmallResNet(dilated.DilatedResNet50):
    """Of four channels where the published one has 64."""

    def __init__(self):
        super().__init__(4)


def test_the_stages_of_a_network_that_segments(tmp_path, monkeypatch):
    """From a file in the place where LaMa's training keeps it, which has no hash to compare."""
    torch.manual_seed(0)
    network = SmallResNet()
    for name, tensor in network.state_dict().items():
        if tensor.dim() > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
        elif tensor.is_floating_point():
            tensor.uniform_(*((0.5, 1.5) if name.endswith(("running_var", "weight")) else (-0.2, 0.2)))
    path = tmp_path / "ade20k" / "ade20k-resnet50dilated-ppm_deepsup" / "encoder_epoch_20.pth"
    path.parent.mkdir(parents=True)
    state = {name: tensor for name, tensor in network.state_dict().items() if "num_batches" not in name}
    for name in [name for name in state if name.endswith("running_mean")]:  # the sums of its synchronised batch norm
        stem = name.removesuffix("running_mean")
        state |= {f"{stem}_tmp_running_{part}": torch.ones_like(state[name]) for part in ("mean", "var")}
        state[f"{stem}_running_iter"] = torch.ones(1)
    torch.save(state, path)
    monkeypatch.setenv("ORGANZA_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(eyes, "DilatedResNet50", SmallResNet)
    eyes.open_eyes.cache_clear()
    seen = eyes.open_eyes("resnet50-ade20k", "cpu")
    one, two = torch.rand(2, 2, 3, 40, 48) * 2 - 1
    of_one, of_two = (straight_stages(network.state_dict(), x) for x in (one, two))
    assert [tuple(x.shape[1:]) for x in of_one] == [(16, 10, 12), (32, 5, 6), (64, 5, 6), (128, 5, 6)]
    each = [(a - b).square().flatten(1).mean(1) for a, b in zip(of_one, of_two, strict=True)]
    assert min(float(values.min()) for values in each) > 1e-3
    wanted = sum(each)
    torch.testing.assert_close(seen.distance(one, two).double(), wanted, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(seen.features(one).double(), of_one[1], rtol=1e-4, atol=1e-4)
    assert seen.distance(one, one).tolist() == [0, 0]
    x = one.clone().requires_grad_()
    seen.distance(two, x).sum().backward()
    assert x.grad is not None
    assert x.grad.any()
    eyes.open_eyes.cache_clear()


def test_the_size_of_the_network_that_segments():
    """That of ResNet50 without classes, 23,508,032, with three layers for its first and twice their channels behind."""
    with torch.device("meta"):
        network = dilated.DilatedResNet50()
    stem = 3 * 64 * 9 + 64 * 64 * 9 + 64 * 128 * 9 + 2 * (64 + 64 + 128)
    wider = 64 * 64 + 64 * 256
    assert sum(p.numel() for p in network.parameters()) == 23_508_032 - (3 * 64 * 49 + 128) + stem + wider == 23_631_808


def test_what_has_no_hash_is_never_fetched(monkeypatch, tmp_path):
    """Nor is any other file of a cache taken for it."""
    for name in ("ORGANZA_WEIGHTS", "TORCH_HOME", "XDG_CACHE_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    foreign = tmp_path / "hub" / "models--bert" / "blobs" / "0a1b"
    foreign.parent.mkdir(parents=True)
    foreign.write_bytes(b"another model")
    assert not is_here("resnet50-ade20k")
    with pytest.raises(ConfigError, match=r"encoder_epoch_20\.pth") as told:
        load_weights("resnet50-ade20k", download=True)
    assert "sha256 not published" in str(told.value)
    assert "download" not in str(told.value)


def test_a_run_trains_through_what_was_asked_for_and_says_so(tiny, tmp_path):
    asked = {"perceptual": "vgg19", "generator.penalties": "perceptual", "generator.penalties.perceptual.weight": 5}
    fast = {"generator.model.width": 4, "discriminator.model.width": 4, "data.resolution": 32, "images": 8, "batch": 4}
    run = organza.train("pix2pix", data="emoji-pairs", out=tmp_path / "run", changes=asked | fast)
    assert json.loads((run.path / "config.json").read_text())["perceptual"] == "vgg19"


def test_a_run_writes_down_what_it_found():
    trainer = translation_trainer("esrgan")
    assert trainer.config.perceptual == trainer.game.eyes.name == "general"
    assert translation_trainer("pix2pix").game.eyes is None


@pytest.mark.parametrize(("recipe", "changes", "words"), [
    ("esrgan", {"perceptual": "vgg18"}, "perceptual is 'vgg18'; did you mean 'vgg19'"),
    ("esrgan", {"perceptual": "vgg19"}, "vgg19-dcbb9e9d.pth"),
    ("pix2pix", {"perceptual": "vgg19"}, "none of these looks"),
])  # fmt: skip
def test_what_cannot_be_looked_through_is_refused(recipe, changes, words, monkeypatch, tmp_path):
    for name in ("ORGANZA_WEIGHTS", "TORCH_HOME", "XDG_CACHE_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(ConfigError, match=words):
        organza.train(
            recipe,
            data="emoji-pairs" if recipe == "pix2pix" else "emoji",
            out=tmp_path / "run",
            changes=changes | {"data.resolution": 32},
        )
