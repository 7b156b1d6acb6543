"""Tiles: what they cover, that they do not show, and what happens when memory runs out."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from organza.config import ConfigError, Model
from organza.hub import Translator
from organza.hub.tiling import Runner, mirrored, spans, tiled
from organza.hub.translator import OF_TILES
from organza.models import TRANSLATORS, translator
from organza.models.both_ways import two_way

CPU = torch.device("cpu")


def noise(*shape, dtype=torch.uint8):
    torch.manual_seed(0)
    top = {torch.uint8: 256, torch.uint16: 65536}.get(dtype)
    return torch.randint(0, top, shape).to(dtype) if top else torch.rand(shape) * 2 - 1


def restorer(depth=16, scale=2):
    torch.manual_seed(0)
    network = translator(
        Model(name="srvgg", options={"width": 8, "depth": depth}), (3, 8, 8), (3, 8 * scale, 8 * scale)
    )
    return Translator(network.eval().requires_grad_(False), Model(name="srvgg"), (3, 8, 8), (3, 8 * scale, 8 * scale))


def far(result, other):
    return int((result.int() - other.int()).abs().max())


@pytest.mark.parametrize(("length", "tile", "overlap", "multiple"), [
    (100, 32, 8, 1), (101, 32, 8, 4), (7, 32, 8, 4), (1, 256, 24, 1), (33, 32, 0, 2), (1000, 64, 24, 8), (5, 1, 3, 1),
    (257, 256, 24, 1), (65, 64, 100, 16),
])  # fmt: skip
def test_cores_cover_a_side_once(length, tile, overlap, multiple):
    found = spans(length, tile, overlap, multiple)
    assert [found[0].core[0], found[-1].core[1]] == [0, length]
    for before, after in itertools.pairwise(found):
        assert before.core[1] == after.core[0]
        assert before.core[1] - after.reach[0] == before.reach[1] - after.core[0] >= 0  # ramps of equal length
    for span in found:
        assert span.seen[0] % multiple == span.seen[1] % multiple == 0
        assert span.core[1] - span.core[0] <= tile + multiple
        assert span.seen[0] <= span.reach[0] <= span.core[0] < span.core[1] <= span.reach[1]
        assert span.reach[0] + span.reach[1] <= 2 * span.core[1]  # ramps do not meet
        assert span.seen[1] >= min(span.core[1] + overlap, length)
        assert span.seen[1] - span.seen[0] >= 8


def test_reflection_goes_on_without_end():
    assert mirrored(0, 9, 3).tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0]
    assert mirrored(2, 6, 1).tolist() == [0] * 4


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
@pytest.mark.parametrize(("tile", "overlap"), [(None, None), (16, 0), (9, 4), (7, 24), (1, 3)])
def test_the_identity_is_the_picture_in_every_type(dtype, tile, overlap):
    x = noise(2, 3, 37, 21, dtype=dtype)
    made = tiled(lambda part: part, x, tile=tile, overlap=overlap)
    assert made.dtype == dtype
    assert torch.allclose(made.double(), x.double(), rtol=0, atol=1e-6 if dtype == torch.float32 else 0)


@pytest.mark.parametrize("scale", [0.5, 1, 2, 3])
def test_a_scale_is_kept_for_any_sides(scale):
    def resized(part):
        assert part.shape[2] % 4 == part.shape[3] % 4 == 0
        return F.interpolate(part, scale_factor=scale, mode="nearest")

    x = noise(1, 3, 29, 50, dtype=torch.float32)
    whole = tiled(resized, x, scale=scale, multiple=4)
    parts = tiled(resized, x, scale=scale, multiple=4, tile=12, overlap=4)
    assert whole.shape == (1, 3, -(-29 * scale // 1), 50 * scale)
    assert torch.allclose(whole, parts, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("overlap", "most"), [(24, 1), (18, 1)])
def test_tiles_do_not_show_where_they_overlap_by_what_the_network_sees(overlap, most):
    """SRVGGNetCompact of 16 layers sees 18 pixels on each side."""
    found, x = restorer(), noise(1, 3, 90, 70)
    whole = found.translate(x, tile=90)
    assert far(found.translate(x, tile=40, overlap=overlap), whole) <= most
    assert far(found.translate(x, tile=40, overlap=0), whole) > 1  # so that the test can fail


def test_a_ramp_leaves_no_edge():
    """Two tiles of different tone: from one to the other in steps, not at once."""
    tone = iter((-1.0, 1.0))
    made = tiled(lambda part: torch.full_like(part, next(tone)), noise(1, 1, 16, 64), tile=32, overlap=24)
    row = made[0, 0, 0].int()
    assert (row[:26] == 0).all()
    assert (row[38:] == 255).all()
    steps = row[26:38].diff()
    assert ((steps > 15) & (steps < 28)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2), (15, 17)])
def test_the_smallest_pictures_pass(shape):
    found = restorer(2, scale=4)
    assert found.translate(noise(1, 3, *shape)).shape == (1, 3, 4 * shape[0], 4 * shape[1])


def test_one_pixel_stays_one_colour_of_the_identity():
    x = torch.tensor([10, 200, 60], dtype=torch.uint8).view(1, 3, 1, 1)
    assert torch.equal(tiled(lambda part: part, x, multiple=32), x)


class Hungry:
    """Runs out of memory above a size, in the words of one device or another."""

    def __init__(self, largest, problem):
        self.largest, self.problem, self.tried = largest, problem, []

    def __call__(self, x):
        self.tried.append(x.shape[2])
        if x.shape[2] > self.largest:
            raise self.problem
        return x


@pytest.mark.parametrize("problem", [
    MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
])  # fmt: skip
def test_less_memory_makes_smaller_tiles(problem):
    hungry, notes, x = Hungry(100, problem), [], noise(1, 3, 200, 150)
    assert torch.equal(tiled(hungry, x, overlap=8, note=notes.append), x)
    assert hungry.tried[:2] == [200, 108]
    assert max(hungry.tried[2:]) <= 66
    assert notes == [f"out of memory: going on with tiles of {side} pixels" for side in (100, 50)]


def test_too_little_memory_says_so():
    with pytest.raises(MemoryError, match=r"tiles of 50 pixels"):
        tiled(Hungry(10, MemoryError()), noise(1, 3, 200, 150))


def test_other_errors_are_not_swallowed():
    with pytest.raises(RuntimeError, match="size mismatch"):
        tiled(Hungry(10, RuntimeError("size mismatch")), noise(1, 3, 200, 150))


def test_every_tile_is_told_of():
    heard = []
    tiled(lambda part: part, noise(1, 3, 40, 60), tile=20, overlap=4, told=lambda *pair: heard.append(pair))
    assert heard == [(i, 6) for i in range(1, 7)]


def test_half_precision_goes_on_in_float32(monkeypatch):
    monkeypatch.setattr("organza.hub.tiling.computes_in_bfloat16", lambda device: True)
    notes, kinds = [], []

    def network(x):
        on = torch.is_autocast_enabled("cpu")
        kinds.append(on)
        return x * float("inf") if on else x

    run = Runner(network, CPU, half=True, note=notes.append)
    x = noise(1, 3, 8, 8, dtype=torch.float32).abs() + 0.1
    assert torch.equal(run(x), x)
    assert torch.equal(run(x), x)
    assert kinds == [True, False, False]
    assert len(notes) == 1
    assert "bfloat16 is not enough" in notes[0]


def test_half_precision_is_close(monkeypatch):
    monkeypatch.setattr("organza.hub.tiling.computes_in_bfloat16", lambda device: True)
    found, x = restorer(2), noise(1, 3, 24, 24)
    assert 0 < far(found.translate(x, half=True), found.translate(x)) <= 6


def test_what_is_not_finite_is_no_picture():
    with pytest.raises(ValueError, match="not finite"):
        Runner(lambda x: x / 0, CPU)(torch.ones(1, 3, 8, 8))


@pytest.mark.parametrize(("how", "words"), [({"tile": -1}, "tile is -1"), ({"overlap": -1}, "overlap is -1")])
def test_settings_that_are_none_are_refused(how, words):
    with pytest.raises(ConfigError, match=words):
        tiled(lambda part: part, noise(1, 3, 8, 8), **how)
    with pytest.raises(ConfigError, match="int64"):
        tiled(lambda part: part, torch.zeros(1, 3, 8, 8, dtype=torch.int64))


def test_half_is_refused_where_it_would_be_slow(monkeypatch):
    monkeypatch.setattr("organza.hub.tiling.computes_in_bfloat16", lambda device: False)
    with pytest.raises(ConfigError, match="leave it out"):
        Runner(lambda x: x, CPU, half=True)


def test_memory_is_that_of_a_tile_and_not_of_the_picture():
    """The largest tile that the network sees, whatever the picture."""
    seen, x = [], np.zeros((1, 3, 300, 500), np.uint8)
    tiled(lambda part: seen.append(part.numel()) or part, torch.from_numpy(x), tile=64, overlap=16)
    assert max(seen) <= 3 * 96 * 96


SMALL = [
    ("pix2pix", {"width": 2, "downs": 4, "norm": "instance", "dropout": 0.0}, 3, 0), ("pix2pix", {"width": 2}, 3, 0),
    ("cyclegan", {"width": 2, "blocks": 1}, 3, 0), ("cyclegan", {"width": 2, "blocks": 1, "antialias": True}, 3, 0),
    ("pix2pixhd", {"width": 2, "downs": 4, "blocks": 1}, 3, 0), ("spade", {"width": 2, "hidden": 2}, 4, 0),
    ("pix2pixhd", {"width": 2, "downs": 4, "blocks": 1, "local": True}, 3, 0), ("unit", {"width": 2}, 3, 0),
    ("munit", {"width": 2, "mlp_width": 2}, 3, 0), ("stargan", {"width": 2, "blocks": 1}, 3, 2),
    ("stargan-v2", {"width": 2, "max_width": 4, "mapping_width": 2}, 3, 2), ("animegan", {"width": 2}, 3, 0),
    ("esrgan", {"width": 2, "blocks": 1, "growth": 2}, 3, 0), ("srvgg", {"width": 2, "depth": 1}, 3, 0),
    ("srgan", {"width": 2, "blocks": 1}, 3, 0), ("lama", {"width": 4, "blocks": 1}, 4, 0),
    ("deepfill", {"width": 8}, 4, 0), ("colorize", {"width": 2, "downs": 4}, 1, 0),
]  # fmt: skip


def test_every_translator_is_among_the_small_ones():
    assert {name for name, *_ in SMALL} == set(TRANSLATORS)


@pytest.mark.parametrize(("name", "options", "channels", "classes"), SMALL)
def test_the_smallest_pictures_pass_every_translator(name, options, channels, classes):
    """At the narrowest place norms need more than one pixel, and mirrors more than they add."""
    model, scale = Model(name=name, options=options), 2 if name in ("esrgan", "srvgg", "srgan") else 1
    source, shape, both = (channels, 64, 64), (3, 64 * scale, 64 * scale), name in ("munit", "unit")
    network = (two_way(model, source, shape) if both else translator(model, source, shape, classes)).eval()
    found = Translator(network, model, source, shape, ("a", "b")[:classes], name, both_ways=both)
    for sides in ((1, 1), (1, 40), (9, 9), (17, 33)):
        for tile in (None, 8):
            made = found.translate(noise(1, channels, *sides), label="a" if classes else None, tile=tile, overlap=0)
            assert made.shape == (1, 3, scale * sides[0], scale * sides[1])


def test_a_picture_of_the_size_of_the_training_is_not_enlarged():
    """A U-Net of pix2pix has one pixel at its narrowest place there."""
    model = Model(name="pix2pix", options={"width": 2, "downs": 5, "norm": "batch"})
    found = Translator(translator(model, (3, 32, 32), (3, 32, 32)).eval(), model, (3, 32, 32), (3, 32, 32))
    seen, x = [], noise(1, 3, 32, 32)
    found.generator.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[2:])))
    found.translate(x)
    found.translate(x[:, :, :5])
    assert seen == [(32, 32), (32, 32)]


@pytest.mark.parametrize(("name", "options", "heard"), [
    ("cyclegan", {"width": 2, "blocks": 1}, 1), ("animegan", {"width": 2}, 1), ("deepfill", {"width": 8}, 1),
    ("lama", {"width": 4, "blocks": 1}, 1), ("pix2pix", {"width": 2, "downs": 3, "norm": "batch"}, 0),
])  # fmt: skip
def test_tiles_of_what_looks_at_the_whole_picture_are_told(name, options, heard):
    model, source = Model(name=name, options=options), (4 if name in ("lama", "deepfill") else 3, 32, 32)
    found = Translator(translator(model, source, (3, 32, 32)).eval(), model, source, (3, 32, 32), recipe=name)
    notes, x = [], noise(1, source[0], 64, 64)
    found.translate(x, note=notes.append)
    assert notes == []
    found.translate(x, tile=32, overlap=0, note=notes.append)
    assert notes == [OF_TILES] * heard


@pytest.mark.parametrize(("free", "tiles"), [(1e12, 1), (300e6, 4)])
def test_a_cpu_starts_with_the_tile_that_its_memory_holds(monkeypatch, free, tiles):
    """Where the system ends a process that takes too much, nothing is raised and no tile would be halved."""
    monkeypatch.setattr("organza.hub.tiling.available_memory", lambda: free)
    seen, heard, notes = [], [], []

    def network(x):
        seen.append(tuple(x.shape[2:]))
        return (x.repeat(1, 8, 1, 1) + 1).mean(1, keepdim=True) - 1

    x = torch.zeros(1, 1, 1200, 1800, dtype=torch.uint8)
    tiled(Runner(network, CPU), x, told=lambda *pair: heard.append(pair), note=notes.append)
    assert len(heard) == tiles
    assert notes == ([] if tiles == 1 else ["300 MB of memory are free: going through in tiles of 900 pixels"])
    assert len(seen) > tiles, "the sides were tried without numbers first"


def test_small_pictures_do_not_ask_for_memory(monkeypatch):
    monkeypatch.setattr("organza.hub.tiling.available_memory", lambda: 0)
    assert tiled(Runner(lambda x: x, CPU), noise(1, 3, 40, 40)).shape == (1, 3, 40, 40)
