import re

import pytest
import torch

from organza.config import override
from organza.data import ImageStore
from organza.recipes import RECIPES
from organza.training.assemble import resolve
from organza.training.memory import _costs, advice, memory_explained
from organza.training.plan import peak_memory

CPU = torch.device("cpu")
STORE = ImageStore("noise", torch.zeros(8, 1, 16, 16, dtype=torch.uint8))


def config(**changes):
    tiny = {"generator.model.width": 4, "discriminator.model.width": 4}
    return resolve(override(RECIPES["dcgan"]((1, 16, 16), "laptop"), tiny | changes))


def test_the_estimate_grows_in_a_line_with_the_batch():
    fixed, each = _costs(config(), STORE)
    assert fixed + 64 * each == pytest.approx(peak_memory(config(batch=64), STORE), rel=0.1)


def test_what_would_fit_fits(monkeypatch):
    fixed, each = _costs(config(), STORE)
    monkeypatch.setattr("organza.training.memory.available_memory", lambda: int((fixed + 10 * each) / 0.7))
    told = advice(config(batch=64), STORE, CPU)
    assert "batch 64 needs about" in told
    parts, batch = re.findall(r"--accumulate (\d+) --share_fakes false .* or --batch (\d+)", told)[0]
    assert (int(parts), int(batch)) == (8, 8)
    monkeypatch.setattr("organza.training.memory.available_memory", lambda: int(fixed))
    assert "--generator.model.width" in advice(config(batch=64), STORE, CPU)


def test_every_way_to_run_out_of_memory_is_explained():
    problems = (
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
    )
    for problem in problems:
        with pytest.raises(MemoryError, match="out of memory on cpu: a step"), memory_explained(config(), STORE, CPU):
            raise problem
    with pytest.raises(RuntimeError, match="another"), memory_explained(config(), STORE, CPU):
        raise RuntimeError("another")
