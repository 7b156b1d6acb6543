"""Spectral normalisation against singular values, and what becomes of it in averages and exported models."""

import pytest
import torch
from engine_helpers import CPU, newest, shrunk, small_store, small_trainer, write_data
from torch import nn

import organza
from organza.config import ConfigError
from organza.hub import GAN, load, save
from organza.latent.sampling import generate, latents
from organza.layers.codes import Coded
from organza.layers.spectral import add_spectral_norm, weighted_layers, weights_of, without_spectral_norm
from organza.training.batches import to_bytes
from organza.training.trainer import Trainer

NORMED = {"generator.spectral_norm": True, "discriminator.spectral_norm": True}


class Every(nn.Module):
    """One layer of each kind, and one that is left out."""

    plain = ("table",)
    z_dim = 8

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(4, 8)
        self.embedding, self.linear = nn.Embedding(5, 6), nn.Linear(7, 4)
        self.conv, self.up = nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(5, 2, 4)
        self.line, self.norm = nn.Conv1d(2, 9, 2), nn.BatchNorm2d(4)
        for layer in (self.table, self.embedding, self.linear, self.conv, self.up, self.line):
            nn.init.normal_(layer.weight, 0.0, 3.0)

    def forward(self, z, labels=None):
        return sum(layer.weight.mean() for layer in weighted_layers(self))


def largest(layer: nn.Module) -> float:
    """Of the singular values of a layer's weight as a matrix with one row for each output."""
    weight = layer.weight.detach()
    rows = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
    return torch.linalg.svdvals(rows.flatten(1))[0].item()


@pytest.mark.parametrize("wrapped", [False, True])
def test_every_weight_has_the_largest_singular_value_one(wrapped):
    torch.manual_seed(0)
    inner = Every()
    network = Coded(inner, (3,), 1) if wrapped else inner
    before = [layer.weight.detach().clone() for layer in weighted_layers(network)]
    assert len(before) == 5
    assert min(largest(layer) for layer in weighted_layers(network)) > 3
    table = inner.table.weight.clone()
    add_spectral_norm(network)
    for _ in range(30):  # passes, each with one power iteration
        inner(None)
    for layer, old in zip(weighted_layers(network), before, strict=True):
        assert largest(layer) == pytest.approx(1.0, abs=2e-3)
        ratio = old / layer.weight
        assert ratio.std() < 1e-3 * ratio.mean()  # divided by one number
    assert torch.equal(inner.table.weight, table)  # what the network calls plain stays so
    assert all(torch.equal(one, two) for one, two in zip(weights_of(network), before, strict=True))


def test_a_layer_multiplies_no_vector_by_more_than_one():
    torch.manual_seed(0)
    network = add_spectral_norm(nn.Sequential(nn.Linear(6, 6, bias=False)))
    x = torch.randn(500, 6)
    for _ in range(30):
        y = network(x)
    growth = y.norm(dim=1) / x.norm(dim=1)
    assert 0.8 < growth.max() <= 1 + 1e-3


def test_while_training_it_stays_one_and_the_average_has_it_too():
    """An average of the singular vectors, which turn, would leave the averaged weights too large by a tenth."""
    slow = {"ema.half_life": 2000.0, "ema.ramp": None, "generator.optimizer.lr": 2e-3}
    trainer = small_trainer("dcgan", NORMED | slow)
    for _ in range(60):
        trainer.step()
    players, average = (trainer.game.generator, trainer.game.discriminator), (trainer.average,)
    for networks, tolerance in ((players, 0.05), (average, 0.003)):  # one iteration a pass runs behind fast weights
        found = [largest(layer) for n in networks for layer in weighted_layers(without_spectral_norm(n))]
        assert found == pytest.approx([1.0] * len(found), abs=tolerance)
    mine, raw = (weights_of(n) for n in (trainer.average, trainer.game.generator))
    assert max((a - b).abs().max() for a, b in zip(mine, raw, strict=True)) > 0.01


@pytest.mark.parametrize("recipe", ["dcgan", "cgan", "infogan"])
def test_an_exported_model_is_folded_and_draws_what_the_average_draws(recipe, tmp_path):
    trainer = small_trainer(recipe, NORMED)
    for _ in range(3):
        trainer.step()
    classes = trainer.store.classes if trainer.config.conditional else ()
    model = trainer.config.generator.model
    save(GAN(trainer.average, model, trainer.store.shape, classes, recipe, codes=trainer.config.codes), tmp_path, "")
    gan = load(tmp_path)
    assert not any("parametrizations" in name for name in gan.generator.state_dict())
    z, labels = latents(range(6), gan.z_dim), gan.label_numbers(None, 6)
    expected = generate(trainer.average, z, labels)
    torch.testing.assert_close(generate(gan.generator, z, labels), expected, rtol=1e-5, atol=1e-6)
    before = [w.clone() for w in weights_of(trainer.game.generator)]
    trainer.step()  # saving has left the networks of the run alone
    assert not any(torch.equal(one, two) for one, two in zip(weights_of(trainer.game.generator), before, strict=True))


def test_the_model_of_a_run_draws_what_its_average_draws(tmp_path):
    changes = shrunk("dcgan") | NORMED | {"images": 64}
    run = organza.train("dcgan", data=write_data(tmp_path), out=tmp_path / "run", changes=changes, device="cpu")
    trainer = Trainer(run.config, small_store(), CPU)
    trainer.restore(newest(run.path))
    gan, z = organza.load(run.path), latents(range(4), 8)
    torch.testing.assert_close(gan.generator(z), trainer.average(z), rtol=1e-5, atol=1e-6)
    assert torch.equal(gan.sample(4), to_bytes(gan.generator(z)))
    assert (trainer.average(z) - trainer.game.generator.eval()(z)).abs().max() > 1e-3  # not the raw weights


def test_folding_one_copy_leaves_the_others_normed():
    network = add_spectral_norm(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)))
    folded, again = without_spectral_norm(network), without_spectral_norm(network)
    assert torch.equal(folded[0].weight, again[0].weight)
    assert type(folded[0]) is nn.Linear
    assert set(folded.state_dict()) == {"0.weight", "0.bias", "1.weight", "1.bias"}
    x = torch.randn(4, 3)
    torch.testing.assert_close(folded(x), network.eval()(x))
    plain = nn.Linear(2, 2)
    assert without_spectral_norm(plain) is plain


def test_networks_without_such_weights_are_refused():
    with pytest.raises(ConfigError, match="leave it out"):
        add_spectral_norm(nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()))
    with pytest.raises(ConfigError, match="start at zero"):
        small_trainer("r3gan", {"discriminator.spectral_norm": True})
