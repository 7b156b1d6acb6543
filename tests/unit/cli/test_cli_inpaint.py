"""`organza inpaint` and `organza colorize`: sizes, depths, masks and what stays."""

import numpy as np
import pytest
import torch
from PIL import Image

from organza.cli import colorize, inpaint
from organza.config import ConfigError, Model
from organza.data.still import Still, read_still, save_still
from organza.hub.filling import colour_still, feathered, fill_still, grown, mask_for, read_mask
from organza.hub.stills import over_white
from organza.hub.translator import Translator, save
from organza.layers.lab import lightness, rgb_to_lab
from organza.models import complete, translator

SHAPE = (3, 32, 32)


def made(name, source, **options):
    torch.manual_seed(0)
    model = complete(Model(name=name, options=options), "generator")
    network = translator(model, source, SHAPE).eval()
    return Translator(network, model, source, SHAPE, recipe=name, degrade="lightness" if source[0] == 1 else "hole")


@pytest.fixture(scope="module")
def filler():
    return made("lama", (4, 32, 32), width=4, blocks=1)


@pytest.fixture(scope="module")
def colourer():
    return made("colorize", (1, 32, 32), width=4, downs=3)


def folder(found, path):
    path.mkdir()
    save(found, path, "---\n---\n")
    return path


def pixels(dtype=np.uint8, channels=3, height=21, width=34):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (channels, height, width), dtype)


def hole(height=21, width=34):
    mask = torch.zeros(1, 1, height, width, dtype=torch.bool)
    mask[:, :, 6:12, 10:20] = True
    return mask


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_outside_the_hole_every_pixel_stays(filler, dtype, channels):
    still = Still(pixels(dtype, channels), pixels(dtype, 1), b"profile")
    found = fill_still(filler, still, hole(), grow=3, feather=2)
    assert (found.pixels.dtype, found.pixels.shape) == (dtype, still.pixels.shape)
    assert np.array_equal(found.alpha, still.alpha)
    assert found.profile == b"profile"
    changed = (found.pixels != still.pixels).any(0)
    assert not (changed & ~grown(hole(), 3)[0, 0].numpy()).any()
    assert (changed & hole()[0, 0].numpy()).sum() > 50


def test_without_feather_the_hole_is_what_the_network_makes(filler):
    still = Still(pixels())
    found = fill_still(filler, still, hole())
    x = torch.from_numpy(still.pixels)[None] / 127.5 - 1
    source = torch.cat([x * ~hole(), 2 * hole().float() - 1], 1)
    wide = torch.nn.functional.pad(source, (0, 6, 0, 3), mode="reflect")
    with torch.no_grad():
        expected = (filler.generator(wide)[0, :, :21, :34].numpy() + 1) * 127.5
    inside = hole()[0, 0].numpy()
    assert np.abs(found.pixels[:, inside] - expected[:, inside]).max() < 0.51
    hidden = still.pixels.copy()
    hidden[:, inside] = 255
    assert np.array_equal(fill_still(filler, Still(hidden), hole()).pixels, found.pixels)


def test_edges_grow_and_are_mixed():
    assert grown(hole(), 2).sum() == 10 * 14
    weight = feathered(hole(), 2)[0, 0]
    assert weight[:, :10].sum() == 0
    torch.testing.assert_close(weight[8, 10:15], torch.tensor([1 / 3, 2 / 3, 1, 1, 1]))
    assert torch.equal(feathered(hole(), 0), hole().float())
    assert feathered(torch.ones(1, 1, 5, 5, dtype=torch.bool), 3).min() == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_colours_keep_the_lightness_the_depth_and_the_transparency(colourer, dtype, channels):
    still = Still(pixels(dtype, channels) // 2 + np.iinfo(dtype).max // 4, pixels(dtype, 1))
    found = colour_still(colourer, still)
    assert (found.pixels.dtype, found.pixels.shape) == (dtype, (3, 21, 34))
    assert np.array_equal(found.alpha, still.alpha)
    before, after = (over_white(s, len(s.pixels)).double() / np.iinfo(dtype).max * 2 - 1 for s in (still, found))
    wanted = lightness(before) if channels == 1 else rgb_to_lab(before)[:, :1]
    laid = torch.from_numpy(found.pixels.astype(float))[None] / np.iinfo(dtype).max
    shown = ((laid > 0) & (laid < 1)).all(1, keepdim=True)
    apart = (rgb_to_lab(after)[:, :1] - wanted)[shown].abs()
    assert shown.float().mean() > 0.3
    assert apart.max() < (1.0 if dtype == np.uint8 else 0.02)


def behind(under, dtype, channels):
    """Opaque above; below, half and wholly transparent by turns over what is hidden."""
    most = np.iinfo(dtype).max
    alpha = np.full((1, 21, 34), most, dtype)
    alpha[:, 9:, ::2], alpha[:, 9:, 1::2] = most // 2, 0
    return Still(np.where(alpha > 0, pixels(dtype, channels), dtype(under)), alpha)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("verb", ["inpaint", "colorize"])
def test_what_is_hidden_by_transparency_is_white_to_the_networks(filler, colourer, verb, dtype, channels):
    """Over white the result is that of the picture over white; where all is opaque nothing changes."""

    def change(still):
        return fill_still(filler, still, hole()) if verb == "inpaint" else colour_still(colourer, still)

    most = np.iinfo(dtype).max
    black, white = (change(behind(under, dtype, channels)) for under in (0, most))
    given, inside = behind(0, dtype, channels), hole()[0, 0].numpy() | (verb == "colorize")
    visible = given.alpha[0] > 0
    assert np.array_equal(black.pixels[:, visible | inside], white.pixels[:, visible | inside])
    assert np.array_equal(black.alpha, given.alpha)
    flat = change(Still(over_white(given, channels)[0].numpy())).pixels.astype(int)
    apart = np.abs(over_white(black, len(flat))[0].numpy() - flat)
    reached = visible & ((black.pixels > 0) & (black.pixels < most)).all(0) & inside  # no colour is darker than black
    assert reached.sum() > 20
    assert apart[:, reached].max() <= 1
    opaque = np.full_like(given.alpha, most)
    plain = pixels(dtype, channels)
    assert np.array_equal(change(Still(plain, opaque)).pixels, change(Still(plain)).pixels)


def test_a_hole_that_nobody_sees_is_told(tmp_path, filler, capsys):
    model = folder(filler, tmp_path / "model")
    for name, veiled in (("seen", ~hole()), ("unseen", hole())):
        alpha = np.where(veiled[0].numpy(), 0, 255).astype(np.uint8)
        save_still(Still(pixels(np.uint8, 3), alpha), tmp_path / f"{name}.png")
        mask = np.where(hole()[0].numpy(), 255, 0).astype(np.uint8)
        save_still(Still(mask), tmp_path / f"{name}_mask.png")
        words = [tmp_path / f"{name}.png", "--mask", tmp_path / f"{name}_mask.png", "--model", model]
        inpaint.main([str(word) for word in [*words, "--out", tmp_path / "out", "--no-page"]])
        told = capsys.readouterr().out
        assert ("the hole lies where the picture is transparent" in told) == (name == "unseen")


def run(verb, *words, capsys):
    try:
        verb.main([str(word) for word in words])
        return 0, capsys.readouterr().out
    except SystemExit as end:
        return end.code, capsys.readouterr().out


def test_a_folder_is_filled_each_by_its_mask(tmp_path, filler, capsys):
    model = folder(filler, tmp_path / "model")
    (tmp_path / "in").mkdir()
    mask = (hole()[0, 0].numpy() * 255).astype(np.uint8)
    for name in ("a", "b", "c"):
        save_still(Still(pixels()), tmp_path / "in" / f"{name}.png")
    Image.fromarray(mask).save(tmp_path / "in" / "a_mask001.png")
    Image.fromarray(mask[:10]).save(tmp_path / "in" / "b_mask.png")
    words = [tmp_path / "in", "--mask", tmp_path / "in", "--model", model, "--out", tmp_path / "out", "--grow", 0]
    code, out = run(inpaint, *words, "--feather", 0, "--no-page", capsys=capsys)
    assert code == 1
    assert out.count("b.png: the mask has 34x10 pixels and the picture 34x21") == 2
    assert "c.png: no mask in" in out
    assert [p.name for p in sorted((tmp_path / "out").iterdir())] == ["a-filled.png"]
    expected = fill_still(filler, Still(pixels()), hole()).pixels.astype(int)
    assert np.abs(read_still(tmp_path / "out" / "a-filled.png").pixels - expected).max() <= 1
    one = [tmp_path / "in" / "a.png", "--mask", tmp_path / "in" / "a_mask001.png", "--model", model]
    assert run(inpaint, *one, "--out", tmp_path / "one", capsys=capsys)[0] == 0
    assert (tmp_path / "one" / "before-after.html").is_file()


def test_a_mask_without_a_hole_is_told(tmp_path, filler, capsys):
    model = folder(filler, tmp_path / "model")
    save_still(Still(pixels()), tmp_path / "a.png")
    Image.fromarray(hole()[0, 0].numpy().astype(np.uint8)).save(tmp_path / "ones.png")  # 0 and 1 of 255
    words = [tmp_path / "a.png", "--model", model, "--out", tmp_path / "out", "--no-page"]
    code, out = run(inpaint, *words, "--mask", tmp_path / "ones.png", capsys=capsys)
    assert code == 0
    assert "a.png: the mask has no hole" in out


def test_a_picture_is_not_taken_for_a_mask(tmp_path, filler, monkeypatch, capsys):
    """Not by its name, and not where its folder of masks is the picture's, however that is written."""
    model = folder(filler, tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    save_still(Still(pixels()), tmp_path / "girl_masked.png")
    words = ["girl_masked.png", "--mask", tmp_path, "--model", model, "--no-page"]
    code, out = run(inpaint, *words, capsys=capsys)
    assert code == 1
    assert "no mask in" in out
    with pytest.raises(ConfigError, match=r"girl_masked\.png: only masks"):
        run(inpaint, *words, "--mask", "girl_masked.png", capsys=capsys)


def test_a_picture_is_coloured(tmp_path, colourer, capsys):
    model = folder(colourer, tmp_path / "model")
    save_still(Still(pixels(np.uint16, 1)), tmp_path / "old.png")
    code, _ = run(colorize, tmp_path / "old.png", "--model", model, "--out", tmp_path / "out", capsys=capsys)
    found = read_still(tmp_path / "out" / "old-coloured.png")
    assert (code, found.pixels.dtype, found.pixels.shape) == (0, np.uint16, (3, 21, 34))


def test_masks_are_found_and_read(tmp_path):
    for name in ("a.png", "a_mask.png", "b_mask000.webp", "c.png"):
        Image.fromarray(np.full((4, 4), 200 if name == "c.png" else 100, np.uint8)).save(tmp_path / name)
    for stem, name in (("a", "a_mask.png"), ("b", "b_mask000.webp"), ("c", "c.png")):
        assert mask_for(tmp_path.parent / f"{stem}.jpg", tmp_path).name == name
    with pytest.raises(FileNotFoundError, match="it would be c_mask"):
        mask_for(tmp_path / "c.png", tmp_path)  # the picture itself is no mask
    assert read_mask(tmp_path / "c.png").all()
    assert not read_mask(tmp_path / "a.png").any()


def test_what_is_transparent_in_a_mask_is_no_hole(tmp_path):
    """A hole may be painted on a layer whose erased parts are white below."""
    veiled = np.where(hole()[0].numpy(), 255, 0).astype(np.uint8)
    save_still(Still(np.full((3, 21, 34), 255, np.uint8), veiled), tmp_path / "a.png")
    assert torch.equal(read_mask(tmp_path / "a.png"), hole())


def test_mistakes(tmp_path, filler, colourer):
    model = folder(colourer, tmp_path / "model")
    save_still(Still(pixels()), tmp_path / "a.png")
    picture = str(tmp_path / "a.png")
    for words, message in (
        ([picture], "no model"), ([picture, "--model", str(model)], "no mask"),
        ([picture, "--model", str(model), "--mask", "none.png"], "no mask none.png"),
        ([picture, "--model", str(model), "--mask", picture], "fills no holes.*inpaint or lama"),
    ):  # fmt: skip
        with pytest.raises((ConfigError, FileNotFoundError), match=message):
            inpaint.main(words)
    with pytest.raises(ConfigError, match="no colours of grey"):
        colour_still(filler, Still(pixels()))
    with pytest.raises(ConfigError, match="feather at most grow"):
        fill_still(filler, Still(pixels()), hole(), grow=1, feather=2)
    with pytest.raises(ValueError, match="34x20 pixels and the picture 34x21"):
        fill_still(filler, Still(pixels()), hole(20))
