import math

import pytest
import torch
from torch.nn import functional as F

from organza.layers.patches import PatchSampler, patch_nce, some_places

CUT = (3, 128, 256, 256, 256)


def test_official_parameter_count_and_keys():
    with torch.device("meta"):
        network = PatchSampler(CUT)
    assert sum(p.numel() for p in network.parameters()) == 560_384
    assert set(network.state_dict()) == {
        f"mlp_{i}.{j}.{what}" for i in range(5) for j in (0, 2) for what in ("weight", "bias")
    }
    assert network.get_submodule("mlp_1.0").weight.shape == (256, 128)


def test_places_differ_and_are_those_of_the_numbers():
    uniform = torch.rand(3, 50, generator=torch.Generator().manual_seed(0))
    places = some_places(uniform, 20)
    assert places.dtype == torch.int64
    assert all(len(set(row.tolist())) == 20 for row in places)
    assert torch.equal(places, some_places(uniform, 20))
    assert not torch.equal(places[0].sort().values, places[1].sort().values)
    assert some_places(uniform, 200).sort(1).values.tolist() == [list(range(50))] * 3


def test_every_place_is_drawn_equally_often():
    uniform = torch.rand(4000, 12, generator=torch.Generator().manual_seed(0))
    counts = some_places(uniform, 3).flatten().bincount(minlength=12)
    assert ((counts - 1000).abs() < 5 * math.sqrt(4000 * 0.25 * 0.75)).all()


def test_sampler_is_the_formula():
    torch.manual_seed(0)
    network = PatchSampler((3, 5), units=7)
    for p in network.parameters():
        torch.nn.init.normal_(p)
    features = [torch.randn(2, 3, 6, 4), torch.randn(2, 5, 3, 2)]
    places = [some_places(torch.rand(2, 24), 9), some_places(torch.rand(1, 6), 9)]
    found = network(features, places)
    assert [tuple(f.shape) for f in found] == [(2, 9, 7), (2, 6, 7)]
    for number, (x, at) in enumerate(zip(features, places, strict=True)):
        mlp = network.get_submodule(f"mlp_{number}")
        for sample in range(2):
            row = at[sample if len(at) > 1 else 0]
            vectors = torch.stack([x[sample, :, p // x.shape[3], p % x.shape[3]] for p in row.tolist()])
            hidden = (vectors @ mlp[0].weight.T + mlp[0].bias).clamp(min=0) @ mlp[2].weight.T + mlp[2].bias
            torch.testing.assert_close(found[number][sample], hidden / hidden.norm(dim=1, keepdim=True))
    sum(f[..., 0].sum() for f in found).backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_a_vector_of_zeros_has_a_gradient():
    network = PatchSampler((3,), units=4)
    x = torch.zeros(1, 3, 2, 2, requires_grad=True)
    network([x], [torch.arange(4)[None]])[0].sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize(("places", "similarity"), [(256, 0.0), (256, 0.9), (64, 0.5), (2, -1.0)])
def test_identical_features_cost_what_arithmetic_says(places, similarity):
    """Unit vectors with the same product between any two of them, by their Gram matrix."""
    gram = torch.full((places, places), similarity, dtype=torch.float64).fill_diagonal_(1)
    values, vectors = torch.linalg.eigh(gram)
    q = (vectors * values.clamp(min=0).sqrt())[None].float()
    expected = math.log(1 + (places - 1) * math.exp((similarity - 1) / 0.07))
    assert patch_nce(q, q).item() == pytest.approx(expected, abs=2e-5)
    assert patch_nce(q, q, tau=1.0).item() == pytest.approx(
        math.log(1 + (places - 1) * math.exp(similarity - 1)), rel=1e-5
    )


def test_loss_is_the_official_form():
    torch.manual_seed(0)
    q, k = (F.normalize(torch.randn(2, 9, 5), dim=2) for _ in range(2))
    for sample in range(2):
        products = q[sample] @ k[sample].T
        positive = products.diagonal()[:, None]
        logits = torch.cat([positive, products.clone().fill_diagonal_(-10)], 1) / 0.07
        expected = F.cross_entropy(logits, torch.zeros(9, dtype=torch.int64))
        torch.testing.assert_close(patch_nce(q, k)[sample], expected)


def test_the_source_learns_nothing():
    torch.manual_seed(0)
    q, k = (F.normalize(torch.randn(1, 4, 3), dim=2).requires_grad_() for _ in range(2))
    patch_nce(q, k).sum().backward()
    assert q.grad.any()
    assert k.grad is None
