"""Games of translation: what their batches hold, what D is shown, and what G owes, written out anew."""

from dataclasses import replace

import pytest
import torch
from engine_helpers import CPU

from organza.config import Config, Data, Model, Penalty, Player, Replay
from organza.data.store import ImageStore
from organza.games import GAMES
from organza.layers.patches import patch_nce
from organza.losses import LOSSES
from organza.models.both_ways import BothJudges, BothWays, swapped
from organza.training.assemble import build_game, resolve, results_shape, source_shape
from organza.training.batches import Batches, middle, windows
from organza.training.trainer import Trainer

SIDE = 16


def pictures(count, channels=3, side=SIDE, seed=0):
    return torch.randint(0, 256, (count, channels, side, side), generator=torch.Generator().manual_seed(seed)).byte()


def pairs(count=24, of_a=3, labels=False):
    store = ImageStore("pairs", pictures(count), sources=pictures(count, of_a, seed=1), paired=True)
    return replace(store, labels=torch.arange(count) % 3, classes=("a", "b", "c")) if labels else store


def config(game="paired", penalties=(), **changes):
    maker = {"width": 8, "norm": "instance"} | ({} if game == "paired" else {"blocks": 1})
    name = "pix2pix" if game == "paired" else "cyclegan"
    settings = {
        "recipe": "test", "game": game, "batch": 4, "images": 8, "loss": "least-squares", "share_fakes": True,
        "generator": Player(model=Model(name=name, options=maker), penalties=penalties),
        "discriminator": Player(model=Model(name=name, options={"width": 8, "layers": 1, "norm": "none"})),
        "data": Data(source="x"),
    }  # fmt: skip
    return resolve(Config(**settings | changes))


def batches(store, game, data=None, size=8):
    return Batches(
        store, size, 0, CPU, seed=0, data=data or Data(source="x"), game=game, labels=store.labels is not None
    )


def numbered(count=40):
    """Image i of B has the value i, its counterpart 100 + i; the right half of each is 50 more."""
    values = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()
    values[..., 2:] += 50
    return ImageStore("numbered", values, sources=values + 100, paired=True)


def as_bytes(images):
    return (images * 127.5 + 127.5).round()


def test_counterparts_stay_together_and_others_do_not():
    together = batches(numbered(), "paired").next()
    assert torch.equal(as_bytes(together.source), as_bytes(together.real) + 100)
    apart = batches(numbered(), "unpaired").next()
    assert not torch.equal(as_bytes(apart.source), as_bytes(apart.real) + 100)
    assert as_bytes(apart.source).min() >= 100


def test_each_source_is_drawn_once_in_an_epoch_of_its_own():
    store = replace(numbered(), sources=numbered(10).sources, paired=False)
    source, seen = batches(store, "unpaired", size=5), []
    for _ in range(4):
        seen += as_bytes(source.next().source)[:, 0, 0, 0].tolist()
    assert sorted(seen[:10]) == sorted(seen[10:]) == [100.0 + i for i in range(10)]


def test_mirrors_and_windows_move_a_pair_as_one():
    data = Data(source="x", flip=True, window=(2, 3))
    batch = batches(numbered(), "paired", data, 40).next()
    assert batch.real.shape == batch.source.shape == (40, 1, 2, 3)
    assert torch.equal(as_bytes(batch.source), as_bytes(batch.real) + 100)
    mirrored = (batch.real[:, 0, 0, 0] > batch.real[:, 0, 0, 2]).float().mean()
    assert 0.2 < mirrored < 0.8


def test_windows_are_parts_of_the_image_at_every_place():
    images = torch.arange(36.0).view(1, 1, 6, 6).expand(200, -1, -1, -1)
    batch = batches(numbered(), "paired", size=200).next()
    cut = windows(images, (4, 5), batch.draws)
    tops, lefts = cut[:, 0, 0, 0] // 6, cut[:, 0, 0, 0] % 6
    assert (set(tops.tolist()), set(lefts.tolist())) == ({0.0, 1.0, 2.0}, {0.0, 1.0})
    assert torch.equal(cut - cut[:, :, :1, :1], (images[:, :, :4, :5] - images[:, :, :1, :1]))
    assert torch.equal(middle(images, (4, 4))[0, 0, 0], torch.tensor([7.0, 8, 9, 10]))


def test_both_ways_a_batch_holds_both_kinds_side_by_side():
    batch = batches(numbered(), "cycle").next()
    assert batch.real.shape[1] == batch.source.shape[1] == 2
    assert torch.equal(swapped(batch.source, 1), batch.real)


def test_sources_are_made_of_the_very_targets():
    store = ImageStore("plain", pictures(24))
    batch = batches(store, "restore", Data(source="x", degrade="x2", flip=True)).next()
    assert torch.allclose(batch.source, torch.nn.functional.avg_pool2d(batch.real, 2))


def test_between_classes_sources_have_labels_of_their_own():
    batch = batches(replace(pairs(labels=True), sources=None), "domains").next()
    assert batch.source_labels is not None
    assert not torch.equal(batch.source, batch.real)


@pytest.mark.parametrize("game", ["paired", "restore", "unpaired", "cycle"])
def test_two_steps_resume_exactly(game):
    def trainer():
        replay = Replay() if game == "paired" else Replay(share=0.5, size=4)  # there D sees sources, which it lacks
        return Trainer(config(game, replay=replay), pairs(), CPU)

    one, two = trainer(), trainer()
    one.step()
    state = one.state()
    one.step()
    two.restore(state)
    two.step()
    for mine, other in zip(one.game.generator.parameters(), two.game.generator.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_d_sees_the_source_beside_the_result_in_games_of_pairs_alone():
    for game, channels in (("paired", 6), ("restore", 3), ("unpaired", 3), ("cycle", 6)):
        made = Trainer(config(game), pairs(), CPU)
        seen = []
        first = next(m for m in made.game.discriminator.modules() if isinstance(m, torch.nn.Conv2d))
        first.register_forward_hook(lambda module, given, result, seen=seen: seen.append(given[0].shape[1]))
        made.step()
        assert set(seen) == {3 if game == "cycle" else channels}, game
        assert results_shape(made.config, pairs())[0] == (6 if game == "cycle" else 3)


def test_the_losses_of_several_judges_are_added():
    loss, logits = LOSSES["least-squares"], torch.randn(4, 5)
    both = replace(loss, parts=(2, 3)).generator(logits)
    assert both.item() == pytest.approx(loss.generator(logits[:, :2]).item() + loss.generator(logits[:, 2:]).item())
    game = build_game(config("cycle"), pairs(), CPU)
    assert sum(game.loss.parts) == game.discriminator(torch.zeros(1, 6, SIDE, SIDE)).shape[1]
    assert len(game.loss.parts) == 2


def value_of(penalty, game="cycle", store=None, weight=1.0):
    """(what the engine adds for a penalty of G, the trainer, its batch)."""
    trainer = Trainer(config(game, (Penalty(name=penalty, weight=weight),)), store or pairs(), CPU)
    batch = trainer.batches.next()
    fake = trainer.game.generate(batch)
    _, stats = trainer.game.generator_turn(batch, fake, trainer._moment("generator"))
    return stats[f"penalty/generator/{penalty}"], trainer.game.generator, batch, fake


def test_cycle_leads_back_both_ways():
    value, g, batch, fake = value_of("cycle", store=pairs(of_a=1))
    assert isinstance(g, BothWays)
    b, a = batch.real[:, :3], batch.real[:, 3:]
    again = (g.back(g.forth(a)) - a).abs().mean() + (g.forth(g.back(b)) - b).abs().mean()
    assert value.item() == pytest.approx(again.item(), rel=1e-5)
    assert torch.equal(fake, torch.cat([g.forth(a), g.back(b)], 1))


def test_identity_leaves_targets_alone():
    value, g, batch, _ = value_of("identity")
    b, a = batch.real[:, :3], batch.real[:, 3:]
    assert value.item() == pytest.approx(
        ((g.forth(b) - b).abs().mean() + (g.back(a) - a).abs().mean()).item(), rel=1e-5
    )
    with pytest.raises(ValueError, match="channels are others"):
        value_of("identity", store=pairs(of_a=1))


def test_pixels_are_those_of_the_counterpart():
    value, _, batch, fake = value_of("pixel", "paired")
    assert value.item() == pytest.approx((batch.real - fake).abs().mean().item(), rel=1e-5)


def test_patches_are_compared_with_those_of_the_source():
    value, g, batch, fake = value_of("patches", "unpaired")
    sampler = g.heads["patches"]
    wanted, found = g.features(batch.source), g.features(fake)
    everywhere = [torch.arange(x[0, 0].numel())[None] for x in found]
    if max(len(at[0]) for at in everywhere) <= 256:  # every place is taken, in some order
        pairs_ = zip(sampler(found, everywhere), sampler(wanted, everywhere), strict=True)
        assert value.item() == pytest.approx(torch.stack([patch_nce(q, k) for q, k in pairs_]).mean().item(), rel=1e-4)
    assert value.item() > 0
    other, *_ = value_of("patches-of-targets", "unpaired")
    assert other.item() != value.item()


def test_the_sampler_of_patches_learns_and_is_not_saved(tmp_path):
    from organza.hub import load_translator
    from organza.hub.translator import Translator, save

    trainer = Trainer(config("unpaired", (Penalty(name="patches", weight=1.0),)), pairs(), CPU)
    before = [p.detach().clone() for p in trainer.game.generator.heads.parameters()]
    trainer.step()
    assert all(not torch.equal(p, q) for p, q in zip(before, trainer.game.generator.heads.parameters(), strict=True))
    shape = source_shape(trainer.config, pairs())
    made = Translator(trainer.average, trainer.config.generator.model, shape, (3, SIDE, SIDE), recipe="cut")
    save(made, tmp_path / "m", "card")
    again = load_translator(tmp_path / "m")
    picture = pictures(1, side=20)
    assert torch.equal(again.translate(picture), made.translate(picture))
    assert not any(name.startswith("heads") for name in again.generator.state_dict())


def test_every_kind_of_game_is_described():
    assert all(kind.about for kind in GAMES.values())
    assert {name for name, kind in GAMES.items() if not kind.translates} == {"latent"}
    assert isinstance(build_game(config("cycle"), pairs(), CPU).discriminator, BothJudges)
