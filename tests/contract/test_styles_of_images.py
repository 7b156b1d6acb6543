"""Results in the style of an image: MUNIT, StarGAN v2, and SPADE with an encoder that training teaches."""

import copy

import numpy as np
import pytest
import torch
from engine_helpers import pictures_of, translation_config, translation_store, translation_trainer
from PIL import Image
from torch.nn import functional as F

from organza.cli import main
from organza.data.still import Still
from organza.games import GAMES
from organza.hub import load_translator
from organza.hub.stills import style_of_still, translate_still
from organza.hub.translator import Translator, save
from organza.penalties.translation import divergence
from organza.training.assemble import shown_shape, source_shape

SPADE = {
    "generator.model.vae": True, "generator.model.z_dim": 6, "generator.model.encoder_width": 4,
    "generator.penalties": "judged-alike,perceptual,codes", "generator.penalties.codes.weight": 0.05,
}  # fmt: skip
STYLED = [("munit", {}), ("stargan-v2", {}), ("spade", SPADE)]


def translator_of(recipe, changes):
    torch.manual_seed(0)
    trainer = translation_trainer(recipe, changes)
    config, store = trainer.config, trainer.store
    for parameter in trainer.average.parameters():  # far enough from where they start to show every style
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    shapes = source_shape(config, store), shown_shape(config, store)
    return Translator(
        trainer.average.eval(), config.generator.model, *shapes, store.classes, recipe, {}, degrade=config.data.degrade,
        both_ways=GAMES[config.game].both_ways,
    )  # fmt: skip


@pytest.mark.parametrize(("recipe", "changes"), STYLED)
def test_an_image_says_how_results_look(recipe, changes, tmp_path):
    found, side = translator_of(recipe, changes), pictures_of(recipe)[1]
    images = torch.randint(0, 256, (2, found.source[0], side, side), dtype=torch.uint8)
    dark, light = torch.full((3, 2 * side, side), 10, dtype=torch.uint8), torch.full((3, side, side), 240).byte()
    how = {"label": "b"} if found.classes else {}
    one, again, two = (found.translate(images, style=style, **how) for style in (dark, dark, light))
    assert torch.equal(one, again)
    assert one.shape == (2, 3, side, side)
    assert (one.int() - two.int()).abs().max() >= 1
    save(found, tmp_path / "model", "card")
    moved = load_translator(str(tmp_path / "model")).translate(images, style=dark, **how)
    assert (moved.int() - one.int()).abs().max() <= 1
    for wrong in (dark[:1], dark[None]):
        with pytest.raises(ValueError, match=r"a style is an image \[3, H, W\]"):
            found.translate(images, style=wrong, **how)
    like = F.interpolate(dark[None] / 127.5 - 1, (side, side), mode="bilinear", antialias=True)
    labels = torch.tensor([1]) if found.classes else None
    with torch.no_grad():
        style = found.generator.style_of(like, labels).expand(2, -1)
        by_hand = found.generator.in_style(images / 127.5 - 1, style, labels)
    assert (found.translate(images / 127.5 - 1, style=dark, **how) - by_hand).abs().max() < 1e-5


def test_the_way_back_reads_styles_of_the_first_kind():
    found = translator_of("munit", {})
    images = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
    forth, back = (found.translate(images, style=images[0], reverse=reverse) for reverse in (False, True))
    network, x = found.generator, images / 127.5 - 1
    with torch.no_grad():
        expected = network.a.decode(network.b.enc_content(x), network.a.enc_style(x))
    assert (found.translate(x, style=images[0], reverse=True) - expected).abs().max() < 1e-5
    assert not torch.equal(forth, back)


def test_a_style_is_seen_as_training_sees_pictures():
    """Over white where it is transparent; floats of any kind alike; other numbers are refused."""
    found = translator_of("munit", {})
    generator = np.random.RandomState(0)
    colours = generator.randint(0, 256, (3, 16, 16), np.uint8)
    alpha = np.where(np.arange(16) < 8, 0, 255).astype(np.uint8) * np.ones((1, 16, 1), np.uint8)
    hidden, white = (np.where(alpha == 0, value, colours).astype(np.uint8) for value in (0, 255))
    one, two = style_of_still(found, Still(hidden, alpha)), style_of_still(found, Still(white))
    assert torch.equal(one, two)
    assert one.shape == (3, 16, 16)
    images = torch.randint(0, 256, (1, 3, 16, 16), dtype=torch.uint8)
    wanted = found.translate(images, style=torch.from_numpy(white)).int()
    for style in (two, two.double(), torch.from_numpy(white.astype(np.uint16) * 257)):
        assert (found.translate(images, style=style).int() - wanted).abs().max() <= 1
    with pytest.raises(ValueError, match=r"uint8, uint16 or floats in \[-1, 1\], not \(3, 16, 16\) torch.int64"):
        found.translate(images, style=two.long())
    grey = Still(colours[:1])
    assert len(translate_still(found, grey).pixels) == 1
    assert len(translate_still(found, grey, style=two).pixels) == 3


def test_what_makes_one_size_alone_gets_it():
    found, said = translator_of("spade", SPADE), []
    maps = torch.rand(1, found.source[0], 48, 80)
    style = torch.rand(3, 20, 20) * 2 - 1
    made = found.translate(maps, style=style, note=said.append)
    assert said == ["48x80 pixels are resized to 32x32, the only size that it makes"]
    rows, columns = torch.arange(32) * 48 // 32, torch.arange(32) * 80 // 32
    assert torch.equal(made, found.translate(maps[:, :, rows][..., columns], style=style))


def test_others_read_none():
    found = translator_of("pix2pix", {})
    images = torch.zeros(1, found.source[0], 16, 16, dtype=torch.uint8)
    with pytest.raises(ValueError, match="'pix2pix' reads no styles from images; leave out style"):
        found.translate(images, style=images[0])


def test_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(translator_of("munit", {}), tmp_path / "model", "card")
    for name, colour in (("photo", (90, 160, 30)), ("night", (5, 5, 60)), ("day", (250, 240, 200))):
        Image.new("RGB", (20, 17), colour).save(f"{name}.png")
    for style in ("night", "day"):
        main(["translate", "photo.png", "--model", "model", "--out", style, "--style", f"{style}.png", "--no-page"])
    night, day = (Image.open(next((tmp_path / style).glob("*.png"))) for style in ("night", "day"))
    assert night.size == day.size == (20, 17)
    assert night.tobytes() != day.tobytes()
    with pytest.raises(SystemExit):
        main(["translate", "photo.png", "--model", "model", "--out", "none", "--style", "missing.png"])


def test_an_encoder_of_styles_learns_from_targets():
    trainer = translation_trainer("spade", SPADE)
    game, before = trainer.game, copy.deepcopy(trainer.game.generator.encoder.state_dict())
    trainer.step()
    after = game.generator.encoder.state_dict()
    moved = [key for key in before if not torch.equal(before[key], after[key])]
    assert {"fc_mu.weight", "fc_var.weight"} <= set(moved)
    assert trainer.window["penalty/generator/codes"][0] > 0


def test_codes_of_styles_are_drawn_around_the_middle():
    """With no variance left the result is that of the middle; the penalty is the divergence of both numbers."""
    network = translation_trainer("spade", SPADE).game.generator.eval()
    channels = source_shape(translation_config("spade", SPADE), translation_store("spade"))[0]
    maps, like, z = torch.rand(3, channels, 32, 32), torch.rand(3, 3, 32, 32), torch.randn(3, 6)
    with torch.no_grad():
        mean, log_variance = network.encoder(like)
        drawn = network(maps, mean + (log_variance / 2).exp() * z)
        torch.testing.assert_close(network(maps, z, like=like), drawn)
        torch.testing.assert_close(network.in_style(maps, network.style_of(like)), network(maps, mean))
    normal = torch.distributions.Normal
    exact = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(divergence(mean, log_variance), exact)


def test_what_an_encoder_needs():
    with pytest.raises(ValueError, match=r"add --generator\.model\.vae true"):
        translation_trainer("spade", SPADE | {"generator.model.vae": False})
    with pytest.raises(ValueError, match="encoder_width is -1; it takes whole numbers from 0 on"):
        translation_trainer("spade", SPADE | {"generator.model.encoder_width": -1})
    with pytest.raises(ValueError, match=r"type --generator\.model\.vae true --generator\.model\.encoder_width 64"):
        translation_trainer("spade", {"generator.penalties": "codes"}).step()
