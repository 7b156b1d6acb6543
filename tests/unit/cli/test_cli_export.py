import sys
from pathlib import Path

import pytest
import torch

from organza.config import Model
from organza.hub import GAN, Translator, save
from organza.hub.translator import save as save_translator
from organza.models import build, complete, translator


@pytest.fixture
def folder() -> str:
    torch.manual_seed(0)
    model = complete(Model(name="mlp", options={"width": 4, "depth": 1, "z_dim": 3}), "generator")
    save(GAN(build(model, "generator", (1, 8, 8), 0), model, (1, 8, 8), (), "gan"), Path("runs/one/model"), "# card\n")
    return "runs/one"


def test_onnx_beside_the_run(organza, folder):
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="the extra export is not installed")
    said = organza("export", folder)
    assert said.code == 0, said.err
    for words in ("runs/one/gan.onnx", "inputs", "z", "batches 1, 3 and 5 differ from PyTorch by"):
        assert words in said.out
    assert Path("runs/one/gan.onnx").stat().st_size > 1000


def test_the_end_of_the_file_is_the_format(organza, folder):
    assert organza("export", folder, "--out", "one.pt2").code == 0
    assert "replaced" in organza("export", folder, "--out", "one.pt2", "--pixels").out
    with torch.no_grad():
        assert torch.export.load("one.pt2").module()(torch.zeros(2, 3)).dtype == torch.uint8


def test_a_translator(organza):
    torch.manual_seed(0)
    model, shape = Model(name="srvgg", options={"width": 4, "depth": 1}), (3, 16, 16)
    found = Translator(translator(model, shape, (3, 32, 32)).eval(), model, shape, (3, 32, 32), recipe="real-esrgan")
    save_translator(found, Path("runs/two/model"), "# card\n")
    said = organza("export", "runs/two", "--format", "torch")
    assert said.code == 0, said.err
    assert "runs/two/real-esrgan.pt2" in said.out
    assert torch.export.load("runs/two/real-esrgan.pt2").module()(torch.zeros(2, 3, 20, 12)).shape == (2, 3, 40, 24)
    said = organza("export", "runs/two", "--out", "back.pt2", "--reverse")
    assert (said.code, "has learned one way only; leave out reverse" in said.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--format", "onxx"], "it takes onnx or torch"),
        (["--out", "one.bin"], "ends in .onnx or .pt2"),
        (["--out", "one.pt2", "--format", "onnx"], "leave one out"),
    ],
)
def test_mistakes(organza, words, told):
    said = organza("export", "runs/one", *words)
    assert said.code == 2
    assert told in said.err


def test_a_run_that_is_not_there_and_a_missing_extra(organza, folder, monkeypatch):
    said = organza("export", "runs/two")
    assert (said.code, "type: organza export runs/one" in said.err) == (2, True)
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    said = organza("export", folder)
    assert (said.code, 'pip install "organza[export]"' in said.err) == (2, True)
    assert not list(Path(folder).glob("*.onnx"))
