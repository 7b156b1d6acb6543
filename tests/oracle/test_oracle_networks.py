"""The feature networks against other libraries, with equal random weights in both."""

from pathlib import Path

import pytest
import torch
from torch import nn

from organza.metrics import lpips as ours_lpips
from organza.metrics.networks import dilated, dinov2, inception, resize, vgg
from organza.metrics.weights import Loaded, read_tensors

IGNORED = "ignore::Warning"  # of other libraries


def shake(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random numbers in everything, the statistics of batch norm included."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.dim() > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
        elif "running_var" in name or "gamma" in name or ("weight" in name and tensor.dim() == 1):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.is_floating_point():
            tensor.uniform_(-0.2, 0.2, generator=generator)
    return network.eval().requires_grad_(False)


@pytest.mark.filterwarnings(IGNORED)
def test_inception_has_the_parameters_of_torchvision_and_its_plain_blocks_agree():
    models = pytest.importorskip("torchvision.models")
    ours = shake(inception.Inception())
    theirs = models.inception_v3(weights=None, init_weights=False, aux_logits=True).eval()
    shapes = {n: t.shape for n, t in theirs.state_dict().items() if not n.startswith(("AuxLogits.", "fc."))}
    assert {n: t.shape for n, t in ours.state_dict().items() if not n.startswith("fc.")} == shapes
    assert ours.fc.weight.shape == (1008, 2048)
    theirs.load_state_dict(
        ours.state_dict() | {n: t for n, t in theirs.state_dict().items() if "fc." in n}, strict=False
    )
    theirs.requires_grad_(False)
    sizes = {
        "Conv2d_1a_3x3": (3, 35), "Conv2d_2a_3x3": (32, 33), "Conv2d_2b_3x3": (32, 31), "Conv2d_3b_1x1": (64, 16),
        "Conv2d_4a_3x3": (80, 16), "Mixed_6a": (288, 15), "Mixed_7a": (768, 9),
    }  # fmt: skip
    for name, (channels, side) in sizes.items():
        x = torch.randn(2, channels, side, side)
        torch.testing.assert_close(getattr(ours, name)(x), getattr(theirs, name)(x), atol=1e-4, rtol=1e-3)
    for name, channels in {"Mixed_5b": 192, "Mixed_6b": 768, "Mixed_7b": 1280, "Mixed_7c": 2048}.items():
        x = torch.randn(1, channels, 7, 7)
        one, two = getattr(ours, name)(x), getattr(theirs, name)(x)
        pooled = getattr(ours, name).branch_pool.conv.out_channels
        torch.testing.assert_close(one[:, :-pooled], two[:, :-pooled], atol=1e-4, rtol=1e-3)
        inside = (slice(None), slice(-pooled, None), slice(1, -1), slice(1, -1))
        same = torch.allclose(one[inside], two[inside], atol=1e-4, rtol=1e-3)
        assert same == (name != "Mixed_7c")  # which pools by maximum
        assert not torch.allclose(one[:, -pooled:], two[:, -pooled:], atol=1e-3)  # the border


@pytest.mark.filterwarnings(IGNORED)
def test_legacy_inception_is_that_of_torch_fidelity(tmp_path):
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    ours = shake(inception.Inception())
    path = tmp_path / "weights.pth"
    torch.save(ours.state_dict(), path)
    names = ["2048", "logits_unbiased"]
    theirs = module.FeatureExtractorInceptionV3("inception-v3-compat", names, feature_extractor_weights_path=str(path))
    images = torch.randint(0, 256, (2, 3, 40, 32), generator=torch.Generator().manual_seed(0)).byte()
    features, logits = theirs(images)
    found = ours(resize.legacy(images))
    assert found.std() > 0.01
    torch.testing.assert_close(found, features, atol=1e-4 * float(features.abs().max()), rtol=1e-3)
    torch.testing.assert_close(ours.logits(found), logits, atol=1e-4 * float(logits.abs().max()), rtol=1e-3)


@pytest.mark.filterwarnings(IGNORED)
def test_vgg16_and_alexnet_are_those_of_torchvision():
    models = pytest.importorskip("torchvision.models")
    theirs = models.vgg16(weights=None, init_weights=False).eval().requires_grad_(False)
    with torch.device("meta"):
        ours = vgg.Vgg16()
    kept = {n: t for n, t in theirs.state_dict().items() if not n.startswith(vgg.Vgg16.unused)}
    ours.load_state_dict(kept, assign=True)
    x = torch.randn(1, 3, 64, 64)
    wanted = theirs.classifier[:5](theirs.avgpool(theirs.features(x)).flatten(1))
    torch.testing.assert_close(ours.eval()(x), wanted, atol=1e-6, rtol=1e-4)
    alex = models.alexnet(weights=None)
    state = {n: t.shape for n, t in alex.state_dict().items() if n.startswith("features.")}
    assert {n: t.shape for n, t in vgg.AlexNet().state_dict().items()} == state


@pytest.mark.filterwarnings(IGNORED)
@pytest.mark.parametrize("trunk", ["alex", "vgg"])
def test_lpips_with_the_published_heads_is_that_of_its_authors(trunk):
    theirs_lpips = pytest.importorskip("lpips")
    theirs = theirs_lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False).eval()
    path = Path(theirs_lpips.__file__).parent / "weights" / "v0.1" / f"{trunk}.pth"
    heads = ours_lpips.read_heads(trunk, Loaded(path, "", read_tensors(path)))
    network = vgg.AlexNet() if trunk == "alex" else vgg.Vgg16(hidden=4)
    convolutions = [m for m in theirs.net.modules() if isinstance(m, nn.Conv2d)]
    for mine, other in zip((m for m in network.features if isinstance(m, nn.Conv2d)), convolutions, strict=True):
        mine.load_state_dict(other.state_dict())
    ours = ours_lpips.Lpips(trunk, network, heads)
    one, two = (torch.rand(3, 3, 64, 72, generator=torch.Generator().manual_seed(s)) * 2 - 1 for s in (0, 1))
    with torch.no_grad():
        wanted = theirs(one, two).flatten()
    found = ours(one, two)
    assert found.min() > 1e-4
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-4)


@pytest.mark.filterwarnings(IGNORED)
@pytest.mark.parametrize("size", [224, 518])
def test_dinov2_is_that_of_timm(size):
    timm = pytest.importorskip("timm")
    width, blocks, heads = 48, 2, 3
    kept = dict(dinov2.SIZES)
    try:
        dinov2.SIZES["vits14"] = (width, blocks, heads)
        ours = shake(dinov2.Dinov2("vits14"))
    finally:
        dinov2.SIZES.update(kept)
    theirs = timm.create_model(
        "vit_small_patch14_dinov2", pretrained=False, img_size=size, embed_dim=width, depth=blocks, num_heads=heads,
    ).eval()  # fmt: skip
    positions = ours.positions(size // 14, size // 14)  # timm interpolates in another way
    state = {n: t for n, t in ours.state_dict().items() if n != "mask_token"} | {"pos_embed": positions}
    theirs.load_state_dict(state)
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = theirs.forward_features(x)[:, 0]
    torch.testing.assert_close(ours(x), wanted, atol=1e-4, rtol=1e-3)


@pytest.mark.filterwarnings(IGNORED)
@pytest.mark.parametrize(("variant", "name"), [("vits14", "small"), ("vitb14", "base"), ("vitl14", "large")])
def test_dinov2_has_the_parameters_of_timm(variant, name):
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        ours = dinov2.Dinov2(variant)
        theirs = timm.create_model(f"vit_{name}_patch14_dinov2", pretrained=False)
    shapes = {n: t.shape for n, t in ours.state_dict().items() if n != "mask_token"}
    assert shapes == {n: t.shape for n, t in theirs.state_dict().items()}


@pytest.mark.filterwarnings(IGNORED)
def test_the_dilated_stages_are_those_of_torchvision():
    """Whose first stage takes half the channels: its first block is put in as ours."""
    models = pytest.importorskip("torchvision.models")
    theirs = models.resnet50(weights=None, replace_stride_with_dilation=[False, True, True]).eval()
    ours = shake(dilated.DilatedResNet50())
    wanted = {n: t for n, t in ours.state_dict().items() if n.startswith("layer")}
    theirs.layer1[0].conv1 = nn.Conv2d(128, 64, 1, bias=False)
    theirs.layer1[0].downsample[0] = nn.Conv2d(128, 256, 1, bias=False)
    missing, unknown = theirs.load_state_dict(wanted, strict=False)
    assert not unknown
    assert {name.split(".")[0] for name in missing} == {"conv1", "bn1", "fc"}
    x = torch.randn(1, 128, 17, 20)
    for name in ("layer1", "layer2", "layer3", "layer4"):
        one, x = getattr(ours, name)(x), getattr(theirs, name)(x)
        torch.testing.assert_close(one, x, atol=1e-4 * float(x.detach().abs().max()), rtol=1e-3)
    assert x.shape == (1, 2048, 9, 10)
