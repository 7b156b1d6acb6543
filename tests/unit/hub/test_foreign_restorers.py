"""State dicts of ESRGAN, SRGAN and Real-ESRGAN in their layouts, as users have them."""

import re

import pytest
import torch

import organza
from organza.config import Model
from organza.models import translator
from organza.training.checkpoint import DamagedError

SOURCE = (3, 16, 16)
OLD = {"conv_first": "model.0", "conv_body": "model.1.sub.2", "conv_up1": "model.3", "conv_up2": "model.6",
       "conv_hr": "model.8", "conv_last": "model.10"}  # fmt: skip
MIDDLE = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2", "conv_hr": "HRconv"}


def network(name, scale, **options):
    torch.manual_seed(1)
    made = translator(Model(name=name, options=options), SOURCE, (3, 16 * scale, 16 * scale))
    for p in made.parameters():
        torch.nn.init.normal_(p, 0, 0.2)
    return made.eval()


def dense(scale=4):
    return network("esrgan", scale, width=4, blocks=2, growth=3)


def old(name):
    layer, _, kind = name.rpartition(".")
    inner = re.sub(r"body\.(\d)\.rdb(\d)\.(conv\d)", r"model.1.sub.\1.RDB\2.\3.0", layer)
    return f"{OLD.get(layer, inner)}.{kind}"


def middle(name):
    layer, _, kind = name.rpartition(".")
    inner = re.sub(r"body\.(\d)\.rdb", r"RRDB_trunk.\1.RDB", layer)
    return f"{MIDDLE.get(layer, inner)}.{kind}"


def saved(path, value):
    torch.save(value, path)
    return path


def same(path, made):
    found, x = organza.load(path), torch.rand(1, 3, 8, 12) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(found.translate(x), made(x), rtol=0, atol=1e-5)
    return found


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("rename", [str, middle, old])
def test_the_three_layouts_of_esrgan(tmp_path, scale, rename):
    made = dense(scale)
    state = {rename(name): tensor for name, tensor in made.state_dict().items()}
    found = same(saved(tmp_path / "net.pth", state), made)
    assert (found.scale, found.recipe, found.licence) == (scale, "esrgan", "unknown")
    assert found.model.options == {"width": 4, "blocks": 2, "growth": 3}


def test_the_average_is_preferred(tmp_path):
    made, other = dense(), {k: torch.zeros_like(v) for k, v in dense().state_dict().items()}
    same(saved(tmp_path / "a.pth", {"params": other, "params_ema": made.state_dict()}), made)
    same(saved(tmp_path / "b.pth", {"params": made.state_dict()}), made)
    wrapped = {f"module.{name}": tensor for name, tensor in made.state_dict().items()}
    same(saved(tmp_path / "c.pth", wrapped), made)


@pytest.mark.parametrize(("name", "scale", "options"), [
    ("srgan", 2, {"width": 4, "blocks": 3}), ("srgan", 3, {"width": 4, "blocks": 3}),
    ("srgan", 4, {"width": 4, "blocks": 1}), ("srvgg", 1, {"width": 5, "depth": 3}),
    ("srvgg", 4, {"width": 5, "depth": 0}), ("srvgg", 2, {"width": 4, "depth": 2}),
])  # fmt: skip
def test_srgan_and_the_compact_network(tmp_path, name, scale, options):
    made = network(name, scale, **options)
    found = same(saved(tmp_path / "net.pth", {"params": made.state_dict()}), made)
    assert (found.recipe, found.scale) == (name, scale)
    assert options.items() <= found.model.options.items()


@pytest.mark.parametrize(("change", "words"), [
    (lambda s: s.pop("conv_hr.weight"), "lacks"), (lambda s: s.pop("conv_up2.weight"), "another scale"),
    (lambda s: s.update({"conv_first.weight": torch.zeros(4, 5, 3, 3)}), "another scale"),
    (lambda s: s.update({"conv_hr.weight": torch.zeros(4, 4, 1, 1)}), "other shapes"),
    (lambda s: s.update({"body.90000.rdb1.conv1.weight": torch.zeros(1)}), "not built"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, change, words):
    state = dict(dense().state_dict())
    change(state)
    with pytest.raises(DamagedError, match=words):
        organza.load(saved(tmp_path / "net.pth", state))


def test_a_leftover_is_told_and_left_out(tmp_path):
    from organza.hub.foreign import read

    made = dense()
    found = read(saved(tmp_path / "net.pth", {**made.state_dict(), "extra": torch.zeros(2)}))
    assert found.generator.unknown == ("extra",)
    assert found.generator.tensors.keys() == made.state_dict().keys()
