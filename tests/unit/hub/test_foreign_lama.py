"""Weights of LaMa: its authors' checkpoint and the program that others ship, against the formula in float64."""

import copy
import sys
import types
import warnings
import zipfile

import numpy as np
import pytest
import torch
from foreign_files import lama_generator
from foreign_formulas import doubles, near
from foreign_formulas import lama_generator as formula
from PIL import Image
from torch import nn

import organza
from organza.cli import inpaint
from organza.hub.convert import convert, listing, report
from organza.hub.filling import must_fill
from organza.hub.foreign import read
from organza.layers.holes import with_hole
from organza.training.checkpoint import DamagedError


class Callback:
    """As training code keeps them beside its weights."""


def checkpoint(path, tensors, prefix="generator."):
    """As Lightning writes it: everything that was trained in one dict, and beside it what resumes the training."""
    others = {"discriminator.model0.0.weight": torch.zeros(2, 3, 4, 4), "loss_resnet_pl.weight": torch.zeros(3)}
    state = {prefix + name: value for name, value in tensors.items()} | others
    about = {"epoch": 3, "global_step": 9, "pytorch-lightning_version": "1.2.9", "optimizer_states": [{"state": {}}]}
    Callback.__module__, module = "lightning_callbacks", types.ModuleType("lightning_callbacks")
    module.Callback = Callback
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "lightning_callbacks", module)
        torch.save(about | {"callbacks": {Callback: {"best": 1.0}}, "state_dict": state}, path)
    return path


class Holder(nn.Module):
    """A module with these tensors under their names."""

    def __init__(self, tensors):
        super().__init__()
        for name, value in tensors.items():
            *places, last = name.split(".")
            module = self
            for place in places:
                if place not in module._modules:
                    module.add_module(place, nn.Module())
                module = module._modules[place]
            module.register_buffer(last, value)

    def forward(self, x):
        return x


def program(path, tensors, prefix="model."):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(Holder({prefix + name: value for name, value in tensors.items()})).save(str(path))
    return path


def pictures(height=32, width=48):
    source = torch.Generator().manual_seed(5)
    inside = torch.zeros(2, 1, height, width, dtype=torch.bool)
    inside[0, :, 5:15, 6:20], inside[1, :, :, 30:] = True, True
    return torch.rand(2, 3, height, width, generator=source).double(), inside


def same(path, tensors, blocks):
    """The file fills as the formula does."""
    found = organza.load(path)
    picture, inside = pictures()
    must_fill(found)
    made = copy.deepcopy(found.generator).double()(with_hole(picture * 2 - 1, inside))
    wanted = formula(doubles(tensors), picture, inside.double(), blocks)
    assert (wanted - picture)[inside.expand_as(picture)].std() > 0.05
    near((made + 1) / 2, wanted, 1e-9)
    return found


@pytest.mark.parametrize(("blocks", "kind"), [(6, "LaMa of 6"), (9, "LaMa-Fourier of 9"), (18, "Big LaMa of 18")])
def test_the_checkpoint_tells_its_blocks(tmp_path, blocks, kind):
    tensors = lama_generator(blocks=blocks)
    assert blocks != 18 or len(tensors) == 989
    path = checkpoint(tmp_path / "best.ckpt", tensors)
    found = same(path, tensors, blocks)
    assert found.model.options == {"width": 4, "blocks": blocks, "share": 0.75}
    assert (found.recipe, found.source, found.shape) == ("lama", (4, 256, 256), (3, 256, 256))
    told = read(path)
    assert told.kind == f"{kind} blocks, fills holes"
    assert (told.generator.missing, told.generator.unknown) == ((), ())
    assert told.notes == ("2 tensors beside the generator's, as of its discriminator and losses, were left out",)


def test_another_share_of_global_channels_and_a_bare_state_dict(tmp_path):
    tensors = lama_generator(width=2, blocks=1, wide=6)
    torch.save(tensors, tmp_path / "lama.pth")
    assert same(tmp_path / "lama.pth", tensors, 1).model.options["share"] == 6 / 16


@pytest.mark.parametrize("prefix", ["model.", "model.generator."])
def test_the_numbers_of_a_program_are_read_and_its_code_is_not(tmp_path, prefix):
    tensors = lama_generator()
    path = program(tmp_path / "big-lama.pt", tensors, prefix)
    with zipfile.ZipFile(path) as archive:
        codes = [name for name in archive.namelist() if "/code/" in name]
    assert codes
    same(path, tensors, 2)
    lines = dict(listing(path))
    assert "TorchScript, its code not read" in lines["file"]
    assert any(f"{len(tensors)} tensors" in words for words in lines.values()), lines
    edited = tmp_path / "edited.pt"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(edited, "w") as other:
        for name in archive.namelist():
            other.writestr(name, b"never read" if name in codes else archive.read(name))
    same(edited, tensors, 2)


def test_another_program_is_told_what_it_is(tmp_path):
    path = program(tmp_path / "other.pt", {"a.weight": torch.zeros(2, 2)}, "")
    with pytest.raises(DamagedError, match=r"none of the GANs that are read .*an object __torch__.*Holder"):
        organza.load(path)


@pytest.mark.parametrize(("change", "words"), [
    (lambda t: t.pop("model.6.conv2.ffc.convg2g.conv2.weight"), "lacks 1 tensors: model.6.conv2.*nearest is lama"),
    (lambda t: t.pop("model.18.weight"), "it lacks 'model.18.weight'"),
    (lambda t: t.update({"model.5.conv1.ffc.convg2g.lfu.conv_layer.weight": torch.zeros(8, 8, 1, 1)}), "local Fourier"),
    (lambda t: t.update({"model.2.ffc.convl2l.weight": torch.zeros(8, 4, 5, 5)}), r"other shapes, such as model.2"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, change, words):
    tensors = lama_generator()
    change(tensors)
    with pytest.raises(DamagedError, match=words):
        organza.load(checkpoint(tmp_path / "best.ckpt", tensors))


def test_a_stray_tensor_is_reported(tmp_path):
    tensors = lama_generator() | {"model.99.weight": torch.zeros(2)}
    lines = dict(report(read(checkpoint(tmp_path / "best.ckpt", tensors))))
    assert lines["unused"] == "model.99.weight"


def test_a_renamed_one_is_told_what_it_is_nearest_to(tmp_path):
    tensors = lama_generator(blocks=18)
    tensors["model.1.ffc.l2l.weight"] = tensors.pop("model.1.ffc.convl2l.weight")
    torch.save(tensors, tmp_path / "net.pth")
    with pytest.raises(DamagedError, match=r"none of the GANs .*nearest is lama, where 988 of its 989 tensors"):
        organza.load(tmp_path / "net.pth")


def test_inpaint_takes_the_file_and_the_converted_folder(tmp_path):
    path = checkpoint(tmp_path / "best.ckpt", lama_generator(blocks=1))
    pixels = np.random.RandomState(0).randint(0, 256, (37, 45, 3)).astype(np.uint8)
    mask = np.zeros((37, 45), np.uint8)
    mask[10:20, 12:30] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert dict(report(convert(path, tmp_path / "model")))["found"].startswith("LaMa of 1 blocks")
    assert "organza inpaint PICTURES" in (tmp_path / "model" / "README.md").read_text()
    results = []
    for number, model in enumerate((path, tmp_path / "model")):
        out = tmp_path / f"out{number}"
        words = f"{tmp_path}/photo.png --model {model} --mask {tmp_path}/mask.png --out {out} --grow 0 --feather 0"
        inpaint.main(words.split())
        (written,) = out.glob("*.png")
        results.append(np.asarray(Image.open(written)))
    assert np.array_equal(*results)
    changed = (results[0] != pixels).any(2)
    assert changed[mask > 0].mean() > 0.9
    assert not changed[mask == 0].any()
