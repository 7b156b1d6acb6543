"""AnimeGAN learns what the photograph shows before it draws."""

import torch
from engine_helpers import translation_trainer

from organza.training.schedule import zero_until

ALL = ("content", "style", "colour", "variation")


def test_content_comes_first_and_alone():
    trainer = translation_trainer("animegan")
    start = [p.detach().clone() for p in trainer.game.discriminator.parameters()]
    for images, asked in ((0, ALL[:1]), (zero_until(trainer.config.discriminator.optimizer.lr), ALL)):
        trainer.window.clear()
        trainer.images = images
        trainer.step()
        owed = {name for name in trainer.window if name.startswith("penalty/generator/")}
        assert owed == {f"penalty/generator/drawing-{name}" for name in asked}
        assert ("loss/generator" in trainer.window) == (images > 0)
        now = list(trainer.game.discriminator.parameters())
        assert all(torch.equal(a, b) for a, b in zip(start, now, strict=True)) == (images == 0)
    content, *_ = trainer.config.generator.penalties
    assert content.weight == 1, "Adam gets used to the size of gradients, which therefore stays"
