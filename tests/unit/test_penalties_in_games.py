"""Penalties of MUNIT, UNIT, StarGAN, StarGAN v2 and AnimeGAN as the engine asks for them, in numbers."""

from dataclasses import replace

import pytest
import torch
from engine_helpers import translation_trainer
from torch.nn import functional as F

from organza.augment.edges import edge_smooth
from organza.games.latent import DuePenalty, Moment
from organza.penalties import PENALTIES, animegan
from organza.penalties import munit as munit_terms
from organza.penalties.evidence import Evidence


def seen_by(trainer, turn="generator", names=()) -> Evidence:
    """What the penalties of a turn get to see."""
    batch, game = trainer.batches.next(), trainer.game
    fake = game.generate(batch)
    moment = Moment(due=[DuePenalty(name, PENALTIES[name], 1.0) for name in names])
    logits, features = game.judge(fake, batch, moment)
    real_logits, real_features = game.judge(batch.real, batch, moment)
    return game._evidence(
        batch, moment, turn, real=batch.real, fake=fake, real_logits=real_logits, fake_logits=logits,
        real_features=real_features, fake_features=features,
    )  # fmt: skip


def value(name, seen):
    found = PENALTIES[name].per_sample(seen)
    assert found.shape == (len(seen.real),)
    assert found.dtype == torch.float32
    return found


def absolute(x, y):
    return (x - y).abs().flatten(1).mean(1)


def test_munit():
    seen = seen_by(translation_trainer("munit"), names=("image", "cycle"))
    network, (a, b), (to_b, to_a) = seen.generator, seen.source.split(3, 1), seen.z.chunk(2, 1)
    ab, ba = seen.fake.split(3, 1)
    (ca, sa), (cb, sb) = network.encode(a, "a"), network.encode(b, "b")
    (cab, sab), (cba, sba) = network.encode(ab, "b"), network.encode(ba, "a")
    wanted = {
        "image": absolute(network.decode(ca, sa, "a"), a) + absolute(network.decode(cb, sb, "b"), b),
        "style": absolute(sab, to_b) + absolute(sba, to_a),
        "content": absolute(cab, ca) + absolute(cba, cb),
        "cycle": absolute(network.decode(cab, sa, "a"), a) + absolute(network.decode(cba, sb, "b"), b),
    }
    for name, expected in wanted.items():
        torch.testing.assert_close(value(name, seen), expected)
        assert expected.min() > 1e-3


def test_terms_are_computed_once_and_only_those_that_are_due(monkeypatch):
    calls = []
    whole = munit_terms.munit
    monkeypatch.setattr("organza.penalties.domains.munit", lambda *a, **k: calls.append(k) or whole(*a, **k))
    seen = seen_by(translation_trainer("munit"), names=("image", "style", "content"))
    for name in ("image", "style", "content"):
        value(name, seen)
    assert calls == [{"cycle": False}]
    value("image", replace(seen, shared={}, due=frozenset({"cycle"})))
    assert calls[1:] == [{"cycle": True}]


def test_unit():
    seen = seen_by(translation_trainer("unit"))
    network, (a, b), (on_a, on_b) = seen.generator, seen.source.split(3, 1), seen.z.chunk(2, 1)
    ha, hb = network.encode(a, "a"), network.encode(b, "b")
    hab, hba = (network.encode(x, domain) for x, domain in zip(seen.fake.split(3, 1), "ba", strict=True))
    same = [network.decode(h + n.view_as(h), d) for h, n, d in ((ha, on_a, "a"), (hb, on_b, "b"))]
    torch.testing.assert_close(value("image", seen), absolute(same[0], a) + absolute(same[1], b))
    torch.testing.assert_close(value("codes", seen), sum(h.square().flatten(1).mean(1) for h in (ha, hb)))
    torch.testing.assert_close(value("codes-of-results", seen), sum(h.square().flatten(1).mean(1) for h in (hab, hba)))
    still = [network.decode(hab, "a"), network.decode(hba, "b")]
    without = absolute(still[0], a) + absolute(still[1], b)
    back = value("cycle", seen)
    assert not torch.allclose(back, without, atol=1e-4)  # noise is on these codes, too
    assert torch.equal(value("cycle", replace(seen, shared={})), back)  # and always the same
    torch.testing.assert_close(back, without, rtol=0.5, atol=0.2)


def test_stargan():
    seen = seen_by(translation_trainer("stargan"))
    judge, network = seen.discriminator, seen.generator
    of_fakes, of_reals = (judge.classes_of(f).log_softmax(1) for f in (seen.fake_features, seen.real_features))
    torch.testing.assert_close(value("classification", seen), -of_fakes.gather(1, seen.labels[:, None])[:, 0])
    torch.testing.assert_close(value("classification-of-reals", seen), -of_reals.gather(1, seen.labels[:, None])[:, 0])
    back = network(seen.fake, None, seen.source_labels)
    torch.testing.assert_close(value("cycle", seen), absolute(back, seen.source))
    assert not torch.equal(seen.labels, seen.source_labels)


def test_stargan_v2():
    seen = seen_by(translation_trainer("stargan-v2"))
    network = seen.generator
    style = network.style_from(seen.z, seen.labels)
    torch.testing.assert_close(value("style", seen), absolute(network.style_of(seen.fake, seen.labels), style))
    back = network.translate(seen.fake, network.style_of(seen.source, seen.source_labels))
    torch.testing.assert_close(value("cycle", seen), absolute(back, seen.source))
    spread = value("diversity", seen)
    assert (spread < 0).all()
    assert torch.equal(value("diversity", seen), spread)
    other = network.style_from(seen.draws.other("diversity").normal("z", network.z_dim), seen.labels)
    torch.testing.assert_close(spread, -absolute(network.translate(seen.source, other), seen.fake))
    shown = network.translate(seen.source, network.style_of(seen.real, seen.labels))
    logits = seen.judge(shown)[:, 0]
    torch.testing.assert_close(value("references", seen), F.softplus(-logits))
    torch.testing.assert_close(value("references", replace(seen, turn="discriminator")), F.softplus(logits))


def test_references_teach_the_generator_and_not_the_encoder_of_styles():
    trainer = translation_trainer("stargan-v2")
    value("references", seen_by(trainer)).sum().backward()
    taught = {name: p.grad is not None and bool(p.grad.any()) for name, p in trainer.game.generator.named_parameters()}
    assert not any(hot for name, hot in taught.items() if name.startswith("style_encoder"))
    assert any(hot for name, hot in taught.items() if name.startswith("generator."))


def test_animegan():
    seen = seen_by(translation_trainer("animegan"))
    look = seen.eyes.features
    assert seen.eyes.name == "general"
    grey = animegan.grey(seen.real)
    torch.testing.assert_close(value("drawing-content", seen), absolute(look(seen.fake), look(seen.source)))
    grams = [animegan.gram(look(x)) for x in (seen.fake, grey)]
    torch.testing.assert_close(value("drawing-style", seen), absolute(*grams))
    torch.testing.assert_close(value("drawing-colour", seen), animegan.colour(seen.fake, seen.source))
    torch.testing.assert_close(value("drawing-variation", seen), animegan.variation(seen.fake))
    torch.testing.assert_close(value("drawing-grey", seen), seen.judge(grey).square().mean(1) / 2)
    blurred = animegan.grey(edge_smooth(seen.real))
    torch.testing.assert_close(value("drawing-blurred", seen), seen.judge(blurred).square().mean(1) / 2)
    assert not torch.allclose(blurred, grey, atol=0.1)


@pytest.mark.parametrize("name", ["drawing-content", "drawing-style"])
def test_what_is_drawn_as_it_was_costs_nothing(name):
    seen = seen_by(translation_trainer("animegan"))
    same = replace(seen, fake=animegan.grey(seen.real), source=animegan.grey(seen.real))
    assert value(name, same).abs().max() == 0
    assert value(name, replace(seen, shared={})).min() > 0
