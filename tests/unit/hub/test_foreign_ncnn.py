"""Restoration networks in ncnn's form: read to the byte, or refused."""

import json

import ncnn_files as files
import pytest
import torch

import organza
from organza.config import ConfigError
from organza.hub import Translator, load_gan
from organza.hub.convert import convert, listing
from organza.training.checkpoint import DamagedError


def loaded(model, tmp_path, name="net.bin"):
    return organza.load(model.write(tmp_path / name))


def test_a_compact_network_comes_with_its_numbers(tmp_path):
    model = files.compact()
    found = loaded(model, tmp_path)
    assert isinstance(found, Translator)
    assert (found.recipe, found.scale, found.source, found.shape) == ("srvgg", 4, (3, 64, 64), (3, 256, 256))
    assert found.model.options == {"width": 4, "depth": 2, "shuffle": 4}
    state = list(found.generator.state_dict().values())
    assert len(state) == len(model.values) == 11
    assert all(torch.equal(a, torch.from_numpy(b)) for a, b in zip(state, model.values, strict=True))
    assert not any(p.requires_grad for p in found.generator.parameters())
    assert len(found.sha256) == 64
    assert "BSD" in found.licence


@pytest.mark.parametrize("active", [files.LEAKY, ""])
@pytest.mark.parametrize("tag", [files.HALF, files.SINGLE])
def test_a_dense_network_comes_with_its_numbers(tmp_path, active, tag):
    model = files.dense(active=active, tag=tag)
    found = loaded(model, tmp_path)
    assert found.model.options == {"width": 4, "blocks": 2, "growth": 3}
    state = list(found.generator.state_dict().values())
    assert all(torch.equal(a, torch.from_numpy(b)) for a, b in zip(state, model.values, strict=True))
    assert len(state) == 72


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_a_network_that_makes_its_result_smaller_is_read(tmp_path, scale):
    found = loaded(files.compact(scale=scale), tmp_path)
    assert (found.scale, found.model.options["shuffle"]) == (scale, 4)
    assert found.translate(torch.zeros(1, 3, 20, 17, dtype=torch.uint8)).shape == (1, 3, 20 * scale, 17 * scale)


def test_either_file_may_be_named(tmp_path):
    one = loaded(files.compact(), tmp_path)
    two = organza.load(tmp_path / "net.param")
    assert one.sha256 == two.sha256
    (tmp_path / "net.bin").unlink()
    with pytest.raises(FileNotFoundError, match=r"net\.bin is missing"):
        organza.load(tmp_path / "net.param")


def test_the_weights_follow_the_wiring_and_not_the_order(tmp_path):
    """Two branches of the first layer's result; ncnn writes them in any order."""
    model = files.compact()
    place = next(i for i, layer in enumerate(model.layers) if layer[0] == "Interp")
    model.layers.insert(1, model.layers.pop(place))
    found = loaded(model, tmp_path)
    assert torch.equal(found.generator.body[0].weight, torch.from_numpy(model.values[0]))


def broken(change):
    def make(tmp_path):
        path = files.compact().write(tmp_path / "net.bin")
        change(path, path.with_suffix(".param"))
        return path

    return make


def text(old, new):
    def change(_, param):
        assert old in param.read_text()
        param.write_text(param.read_text().replace(old, new, 1))

    return broken(change)


@pytest.mark.parametrize(("make", "words"), [
    (broken(lambda b, p: b.write_bytes(b.read_bytes()[:-4])), "too early"),
    (broken(lambda b, p: b.write_bytes(b.read_bytes() + b"\0" * 4)), "bytes; this graph needs"),
    (broken(lambda b, p: b.write_bytes(b"\x38\x4b\x0d\x00" + b.read_bytes()[4:])), "tag 0xd4b38"),
    (broken(lambda b, p: b.write_bytes(b"")), "too early"),
    (broken(lambda b, p: p.write_text("7767517\n")), "does not begin"),
    (broken(lambda b, p: p.write_text(p.read_text() + "Softmax a 1 1 b c\n")), "another number of lines"),
    (broken(lambda b, p: p.write_text("7767517\n" + "x" * 4_000_001)), "4,000,009 bytes"),
    (text("PReLU", "Softmax"), "operation Softmax"), (text("6=108", "6=109"), "none of"),
    (text("6=108", "6=1000000000000"), r"channels|out of bounds|none of"), (text("0=4", "0=1e300"), "out of bounds"),
    (text("0=4 1=3", "0=-4 1=3"), "damaged Convolution"), (text("0=4 1=3", "0=4 1=5"), "1=5"),
    (text("4=1 5=1", "4=1 5=1 3=2"), "3=2"), (text("0=4 1=3", "0=nan 1=3"), "out of bounds"),
    (text("0=4 1=3", "0=4=4 1=3"), "damaged"), (text("1=3", "-23301=5,3"), "damaged"),
    (text("0=1 1=4", "0=2 1=4"), "Interp"), (text("1=4.000000e+00", "1=3.000000e+00"), "Interp"),
    (text("BinaryOp", "Eltwise"), "Eltwise"), (text(" data_split_0", " data_split_1"), r"input|results|result"),
    (text("1 1 data_split", "9 9 data_split"), "lacks an input"),
    (text("1 1 data_split", "1 999999 data_split"), "damaged"),
])  # fmt: skip
def test_what_is_no_such_network_is_refused(tmp_path, make, words):
    path = make(tmp_path)
    with pytest.raises(DamagedError, match=words) as caught:
        organza.load(path)
    assert "net.bin" in str(caught.value)


def test_wires_that_cross_are_refused(tmp_path):
    model = files.dense()
    place, (kind, name, inputs, outputs, settings) = next(
        (i, layer) for i, layer in enumerate(model.layers) if layer[0] == "Concat" and len(layer[2]) == 3
    )
    model.layers[place] = (kind, name, [inputs[0], inputs[2], inputs[1]], outputs, settings)
    with pytest.raises(DamagedError, match=r"wired otherwise|in place of"):
        loaded(model, tmp_path)


def test_operations_that_lead_nowhere_are_refused(tmp_path):
    model = files.compact()
    model.layers.insert(2, ("PixelShuffle", "spare", ["data"], ["spare"], "0=1"))
    with pytest.raises(DamagedError):
        loaded(model, tmp_path)


def test_a_bin_alone_is_a_pickle_as_before(tmp_path):
    path = files.compact().write(tmp_path / "net.bin")
    path.with_suffix(".param").unlink()
    with pytest.raises(DamagedError, match=r"cannot be read|refused"):
        organza.load(path)


def test_it_is_converted_to_a_folder(tmp_path):
    path = files.compact(scale=2).write(tmp_path / "net.bin")
    found = convert(path, tmp_path / "made", licence="BSD-3-Clause")
    one, two, x = (
        organza.load(path),
        organza.load(tmp_path / "made"),
        torch.arange(300, dtype=torch.uint8).view(1, 3, 10, 10),
    )
    assert found.source == (3, 64, 64)
    assert torch.equal(one.translate(x), two.translate(x))
    assert (two.licence, two.scale) == ("BSD-3-Clause", 2)
    assert json.loads((tmp_path / "made" / "config.json").read_text())["kind"] == "translator"
    card = (tmp_path / "made" / "README.md").read_text()
    assert "organza upscale" in card
    assert "image-to-image" in card
    assert "gan.sample" not in card
    assert ("found", "SRVGGNetCompact x2 in ncnn's form: pictures of 3 channels, 2 times as large") in listing(path)


def test_a_restorer_is_no_gan(tmp_path):
    path = files.compact().write(tmp_path / "net.bin")
    with pytest.raises(ConfigError, match="organza"):
        load_gan(path)
