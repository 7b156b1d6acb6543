"""The networks with random weights, against their papers' formulas line by line."""

import hashlib
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from organza.config import ConfigError
from organza.metrics import lpips, networks
from organza.metrics.lpips import Lpips, open_lpips, read_heads
from organza.metrics.networks import dinov2, inception, resize, vgg
from organza.metrics.networks.extractor import Extractor
from organza.metrics.weights import WEIGHTS, Loaded


def images(count: int, size: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(seed)).byte()


def shake(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random numbers in everything, the statistics of batch norm included."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.dim() > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
        elif "running_var" in name or ("weight" in name and tensor.dim() == 1):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.is_floating_point():
            tensor.uniform_(-0.2, 0.2, generator=generator)
    return network.eval().requires_grad_(False)


def test_average_pools_leave_the_border_out():
    x = torch.randn(1, 2, 5, 6)
    made = inception.average(x)
    for i in range(5):
        for j in range(6):
            near = x[..., max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            torch.testing.assert_close(made[..., i, j], near.mean((2, 3)))
            assert torch.equal(inception.maximum(x)[..., i, j], near.amax((2, 3)))
    assert torch.equal(inception.average(torch.ones(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))


@pytest.mark.parametrize(
    ("block", "pool"),
    [
        (inception.InceptionA(16, 8), inception.average),
        (inception.InceptionC(8), inception.average),
        (inception.InceptionE(16, by_maximum=False), inception.average),
        (inception.InceptionE(16, by_maximum=True), inception.maximum),
    ],
)
def test_the_pooled_branch_of_every_block(block, pool):
    shake(block)
    before, width = block.branch_pool.conv.in_channels, block.branch_pool.conv.out_channels
    x = torch.randn(2, before, 5, 5)
    torch.testing.assert_close(block(x)[:, -width:], block.branch_pool(pool(x)))


def test_which_blocks_pool_how():
    with torch.device("meta"):
        network = inception.Inception()
    assert network.Mixed_7b.pool is inception.average
    assert network.Mixed_7c.pool is inception.maximum
    counted = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("fc."))
    assert counted == 21_785_568  # Inception v3 has 23 834 568 with the 2 049 000 of its 1000 classes
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 94
    assert {m.eps for m in norms} == {0.001}


def test_inception_from_a_file_gives_features_and_logits_without_bias(tmp_path, monkeypatch):
    network = shake(inception.Inception())
    state = network.state_dict() | {"AuxLogits.fc.bias": torch.zeros(3)}
    path = tmp_path / WEIGHTS["inception"].file
    torch.save({name: t for name, t in state.items() if "num_batches" not in name}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(WEIGHTS, "inception", replace(WEIGHTS["inception"], sha256=digest))
    given = images(2)
    found = {}
    for protocol, prepare in (("legacy", resize.legacy), ("clean", resize.clean)):
        extractor = networks.open_network(f"inception-{protocol}", weights=path)
        features, logits = extractor.both(given, batch=1)
        assert features.shape == (2, 2048)
        assert logits.shape == (2, 1008)
        torch.testing.assert_close(features, network(prepare(given)), atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(logits, features @ state["fc.weight"].T, atol=1e-3, rtol=1e-3)
        assert (extractor.sha256, extractor.dim, extractor.classes) == (digest, 2048, 1008)
        found[protocol] = features
    assert (found["legacy"] - found["clean"]).abs().max() > 1e-3
    with pytest.raises(ConfigError, match="cannot see alpha"):
        extractor.features(torch.cat([given, given[:, :1]], 1))


def straight_vgg(x, state):
    """VGG16 in one line after the other: its five slices, and fc2 after ReLU."""
    slices, number = [], 0
    for count in (2, 2, 3, 3, 3):
        for _ in range(count):
            x = F.conv2d(x, state[f"features.{number}.weight"], state[f"features.{number}.bias"], padding=1).clamp(
                min=0
            )
            number += 2
        slices.append(x)
        x, number = F.max_pool2d(x, 2), number + 1
    x = F.adaptive_avg_pool2d(x, (7, 7)).flatten(1)
    for name in ("classifier.0", "classifier.3"):
        x = F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"]).clamp(min=0)
    return slices, x


def test_vgg16_is_the_straight_line_formula():
    network = shake(vgg.Vgg16(hidden=20))
    x = torch.randn(2, 3, 40, 34)
    slices, features = straight_vgg(x, network.state_dict())
    torch.testing.assert_close(network(x), features, atol=1e-4, rtol=1e-3)
    assert features.min() == 0
    assert features.max() > 0.1
    for found, wanted in zip(network.slices(x), slices, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)
    extractor = Extractor("vgg16", "", 20, 0, "", network, partial(networks._plain, resize.tf1_imagenet))
    assert extractor.features(images(1)).shape == (1, 20)


def test_vgg16_has_the_published_number_of_parameters():
    with torch.device("meta"):
        network = vgg.Vgg16()
    assert sum(p.numel() for p in network.parameters()) == 138_357_544 - 4_097_000  # without the 1000 classes


def straight_lpips(one, two, slices, heads):
    """Equation 1 of the paper in float64."""
    total, pairs = 0, zip(slices(one), slices(two), heads, strict=True)
    for a, b, head in pairs:
        a, b = a.double().numpy(), b.double().numpy()
        a, b = (v / (np.sqrt((v**2).sum(1, keepdims=True)) + 1e-10) for v in (a, b))
        total = total + ((a - b) ** 2 * head.double().numpy()[None, :, None, None]).sum(1).mean((1, 2))
    return total


@pytest.mark.parametrize(("trunk", "make"), [("alex", vgg.AlexNet), ("vgg", partial(vgg.Vgg16, 4))])
def test_lpips_is_the_straight_line_formula(trunk, make):
    network, generator = shake(make()), torch.Generator().manual_seed(1)
    heads = [torch.rand(width, generator=generator) for width in lpips.CHANNELS[trunk]]
    measure = Lpips(trunk, network, heads)
    one, two = (torch.rand(2, 3, 64, 65, generator=generator) * 2 - 1 for _ in range(2))
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    seen = [(x - shift[:, None, None]) / scale[:, None, None] for x in (one, two)]
    found = measure(one, two)
    np.testing.assert_allclose(found, straight_lpips(*seen, network.slices, heads), rtol=1e-4)
    assert torch.equal(measure(one, one), torch.zeros(2))
    torch.testing.assert_close(measure(two, one), found)
    one.requires_grad_(True)
    measure(one, two).sum().backward()
    assert one.grad.abs().max() > 0
    small = measure.smallest
    assert measure(one[..., :small, :small], two[..., :small, :small]).isfinite().all()
    with pytest.raises(ConfigError, match=f"at least {small} pixels"):
        measure(one[..., : small - 1], two[..., : small - 1])
    with pytest.raises(ConfigError, match="compares two batches"):
        measure(one, two[:1])


def test_heads_of_lpips_fit_their_trunk(tmp_path):
    def loaded(widths):
        heads = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(widths)}
        return Loaded(tmp_path / "h.pth", "", heads)

    assert [len(head) for head in read_heads("vgg", loaded((64, 128, 256, 512, 512)))] == [64, 128, 256, 512, 512]
    with pytest.raises(ConfigError, match="heads for another trunk than alex"):
        read_heads("alex", loaded((64, 128, 256, 512, 512)))
    with pytest.raises(ConfigError, match="has no heads of LPIPS: 'lin4"):
        read_heads("alex", loaded((64, 192, 384, 256)))
    with pytest.raises(ConfigError, match="takes alex or vgg"):
        open_lpips("squeeze")


@pytest.fixture
def tiny(monkeypatch):
    """A DINOv2 of 24 channels, two blocks and three heads."""
    monkeypatch.setitem(dinov2.SIZES, "vits14", (24, 2, 3))
    return shake(dinov2.Dinov2("vits14"))


def straight_dinov2(x, state, positions):
    """The transformer token by token and head by head."""

    def norm(tokens, name):
        centred = tokens - tokens.mean(-1, keepdim=True)
        variance = centred.square().mean(-1, keepdim=True)
        return centred / (variance + 1e-6).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(tokens, name):
        return tokens @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    kernel, bias = state["patch_embed.proj.weight"].flatten(1), state["patch_embed.proj.bias"]
    patches = [
        kernel @ x[:, i : i + 14, j : j + 14].flatten() + bias
        for i in range(0, x.shape[1], 14)
        for j in range(0, x.shape[2], 14)
    ]
    tokens = torch.stack([state["cls_token"][0, 0], *patches]) + positions
    for block in ("blocks.0", "blocks.1"):
        q, k, v = linear(norm(tokens, f"{block}.norm1"), f"{block}.attn.qkv").chunk(3, 1)
        heads = []
        for head in range(3):
            part = slice(8 * head, 8 * head + 8)
            heads.append((q[:, part] @ k[:, part].T / 8**0.5).softmax(1) @ v[:, part])
        tokens = tokens + linear(torch.cat(heads, 1), f"{block}.attn.proj") * state[f"{block}.ls1.gamma"]
        inner = linear(norm(tokens, f"{block}.norm2"), f"{block}.mlp.fc1")
        inner = inner * 0.5 * (1 + torch.erf(inner / 2**0.5))
        tokens = tokens + linear(inner, f"{block}.mlp.fc2") * state[f"{block}.ls2.gamma"]
    return norm(tokens[0], "norm")


@pytest.mark.parametrize("sides", [(56, 28), (518, 518)])
def test_dinov2_is_the_straight_line_formula(tiny, sides):
    state = tiny.state_dict()
    x = torch.randn(1, 3, *sides, generator=torch.Generator().manual_seed(0))
    positions = tiny.positions(sides[0] // 14, sides[1] // 14)[0]
    assert len(positions) == 1 + sides[0] * sides[1] // 196
    found = tiny(x)[0]
    torch.testing.assert_close(found, straight_dinov2(x[0], state, positions), atol=1e-4, rtol=1e-3)
    assert found.std() > 0.1


def test_the_position_embedding_is_kept_at_518_and_interpolated_elsewhere(tiny):
    assert tiny.positions(37, 37) is tiny.pos_embed
    grid = torch.linspace(0, 1, 37)[:, None] + 2 * torch.linspace(0, 1, 37)[None]
    tiny.pos_embed[0, 1:] = grid.flatten()[:, None]
    smaller = tiny.positions(16, 16)[0]
    assert torch.equal(smaller[0], tiny.pos_embed[0, 0])
    found, errors = smaller[1:, 0].view(16, 16), []
    for sides in (16.1, 16):  # with the offset and without
        place = ((torch.arange(16) + 0.5) * 37 / sides - 0.5) / 36
        errors.append(float((found - place[:, None] - 2 * place[None])[1:-1, 1:-1].abs().max()))
    assert errors[0] < 0.005 < 0.01 < errors[1]  # torch's cubic, a = -0.75, is not exact on planes


def test_the_names_of_the_official_state_dict():
    for variant, published in (("vits14", 22_056_576), ("vitb14", 86_580_480), ("vitl14", 304_368_640)):
        with torch.device("meta"):
            network = dinov2.Dinov2(variant)
        assert sum(p.numel() for p in network.parameters()) == published, variant
    assert {"pos_embed", "cls_token", "mask_token", "patch_embed.proj.weight", "norm.bias"} <= set(network.state_dict())
    with torch.device("meta"):
        block = {name for name in dinov2.Block(24, 3).state_dict() if not name.endswith("bias")}
    parts = (
        "norm1.weight attn.qkv.weight attn.proj.weight ls1.gamma norm2.weight mlp.fc1.weight mlp.fc2.weight ls2.gamma"
    )
    assert block == set(parts.split())


def test_dinov2_from_a_file(tiny, tmp_path, monkeypatch):
    path = tmp_path / "tiny.pth"
    torch.save(tiny.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(WEIGHTS, "dinov2-vits14", replace(WEIGHTS["dinov2-vits14"], sha256=digest))
    extractor = networks.open_network("dinov2-vits14", weights=path)
    assert (extractor.dim, extractor.sha256, extractor.resizer) == (24, digest, "bicubic-antialias-bytes-224")
    given = images(3)
    torch.testing.assert_close(
        extractor.features(given, batch=2), tiny(resize.bytes_imagenet(given)), atol=1e-5, rtol=1e-4
    )
    with pytest.raises(ConfigError, match="has no classes"):
        extractor.logits(given)
