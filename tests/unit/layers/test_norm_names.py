"""The names of spectral and weight norm in torch's two forms: both compute the same of the same tensors."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn import utils
from torch.nn.utils import parametrizations

from organza.layers.norm_names import folded, new_names, old_names, unfolded

LAYERS = {
    "conv": lambda: nn.Conv2d(3, 5, 3, padding=1), "turned": lambda: nn.ConvTranspose2d(3, 5, 4, 2, 1),
    "square": lambda: nn.ConvTranspose2d(4, 4, 3, padding=1),
    "line": lambda: nn.Conv1d(3, 4, 5, bias=False), "linear": lambda: nn.Linear(6, 4),
}  # fmt: skip
SIZES = {"conv": (2, 3, 6, 6), "turned": (2, 3, 4, 4), "square": (2, 4, 5, 5), "line": (2, 3, 9), "linear": (2, 6)}
HOOKS = {"spectral": utils.spectral_norm, "weight": utils.weight_norm}
FORMS = {"spectral": parametrizations.spectral_norm, "weight": parametrizations.weight_norm}


def pair(layer, norm):
    """The same layer in torch's old form and in its new one, trained for a few passes; other numbers in the new one."""
    torch.manual_seed(0)
    plain = LAYERS[layer]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the old form is deprecated
        old = nn.Sequential(nn.ReLU(), HOOKS[norm](copy.deepcopy(plain)))
    new = nn.Sequential(nn.ReLU(), FORMS[norm](LAYERS[layer]()))
    x = torch.randn(SIZES[layer])
    for _ in range(3):
        old(x)
    with torch.no_grad():
        for p in old.parameters():
            p.mul_(1.5)
    return old.eval(), new.eval(), x


@pytest.mark.parametrize("norm", HOOKS)
@pytest.mark.parametrize("layer", LAYERS)
def test_both_forms_compute_the_same(layer, norm):
    old, new, x = pair(layer, norm)
    state = old.state_dict()
    assert not torch.allclose(new(x), old(x), atol=1e-2)
    renamed = new_names(state)
    assert renamed.keys() == new.state_dict().keys()
    new.load_state_dict(renamed)
    assert torch.allclose(new(x), old(x), rtol=0, atol=1e-6)
    assert old_names(new.state_dict()).keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in old_names(new.state_dict()).items())


@pytest.mark.parametrize("norm", HOOKS)
@pytest.mark.parametrize("layer", LAYERS)
def test_folded_weights_need_no_norm(layer, norm):
    old, _, x = pair(layer, norm)
    plain = nn.Sequential(nn.ReLU(), LAYERS[layer]()).eval()
    turned = ["1.weight"] if isinstance(plain[1], nn.ConvTranspose2d) else []
    plain.load_state_dict(folded(old.state_dict(), turned))
    assert torch.allclose(plain(x), old(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_folded_weight_gets_its_three_tensors_back(layer):
    _, new, x = pair(layer, "spectral")
    torch.manual_seed(3)
    plain = LAYERS[layer]().eval()
    dim = 1 if isinstance(plain, nn.ConvTranspose2d) else 0
    state = {f"1.parametrizations.weight.{k}": v for k, v in unfolded(plain.weight.detach(), dim).items()}
    state |= {} if plain.bias is None else {"1.bias": plain.bias.detach()}
    new.load_state_dict(state)
    assert torch.allclose(new(x), plain(x.relu()), rtol=0, atol=1e-5)


def test_names_that_are_no_norms_stay():
    state = {"weight_u": 1, "a.weight_v": 2, "b.weight_orig": 3, "c.weight": 4, "d.parametrizations.weight.1._u": 5}
    assert new_names(state) == state
    assert old_names(state) == state
    assert new_names({"w_orig": 1, "w_u": 2, "w_v": 3, "v_g": 4, "v_v": 5}) == {
        "parametrizations.w.original": 1, "parametrizations.w.0._u": 2, "parametrizations.w.0._v": 3,
        "parametrizations.v.original0": 4, "parametrizations.v.original1": 5,
    }  # fmt: skip
