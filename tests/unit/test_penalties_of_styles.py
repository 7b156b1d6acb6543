"""The path length penalty against the Jacobian, and its memory."""

import dataclasses

import pytest
import torch
from engine_helpers import small_config, small_store, small_trainer
from torch.func import jacrev

from organza.config import ConfigError, Penalty
from organza.draws import Draws, keys_of
from organza.models.stylegan2 import Generator
from organza.penalties import PENALTIES, Evidence
from organza.training.assemble import build_game

B, SHAPE = 4, (1, 8, 8)


def evidence(generator, lengths, batch=B) -> Evidence:
    z = torch.randn(batch, 4, generator=torch.Generator().manual_seed(1))
    nothing, samples = torch.zeros(batch), torch.zeros(batch, *SHAPE)
    return Evidence(
        samples, samples, nothing, nothing, nothing, lambda x: x, z=z, draws=Draws(keys_of(z)),
        generator=generator, lengths=lengths, turn="generator",
    )  # fmt: skip


@pytest.fixture
def generator():
    torch.manual_seed(0)
    made = Generator(SHAPE, z_dim=4, w_dim=4, mapping_layers=1, width=4, max_width=4, mixing=0.0)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.5)
    return made.train()


def by_hand(generator, seen) -> torch.Tensor:
    """|J^T y| of the first half by the whole Jacobian; the norm is that of the mean square over the layers."""
    lengths = []
    ws = generator.broadcast(generator.mapping(seen.z))
    draws = seen.draws.within(slice(len(seen.z) // 2)).other("path-length")
    pictures = draws.normal("y", *SHAPE) / 8  # the root of 8 x 8 pixels
    for row in range(len(seen.z) // 2):
        own = draws.within(slice(row, row + 1))

        def draw(w, own=own):
            return generator.synthesis(w[None], "random", own)[0]

        jacobian = jacrev(draw)(ws[row]).flatten(0, 2)  # [pixels, layers, w]
        along = torch.einsum("p,plw->lw", pictures[row].flatten(), jacobian)
        lengths.append(along.square().sum(1).mean().sqrt())
    return torch.stack(lengths)


def test_the_penalty_is_the_distance_from_the_mean_length(generator):
    before = torch.tensor(0.3)
    lengths = before.clone()
    seen = evidence(generator, lengths)
    values = PENALTIES["path-length"].per_sample(seen)
    expected = by_hand(generator, seen)
    aim = 0.99 * before + 0.01 * expected.mean()
    assert values.shape == (B // 2,)
    torch.testing.assert_close(lengths, aim.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(values, (expected - aim).square(), rtol=1e-4, atol=1e-7)
    assert expected.min() > 0.01  # there is a length to speak of


def test_its_gradient_reaches_synthesis_and_mapping(generator):
    PENALTIES["path-length"].per_sample(evidence(generator, torch.zeros(()))).mean().backward()
    for name in ("mapping.fc0.weight", "synthesis.b4.const", "synthesis.b8.conv1.affine.weight"):
        assert generator.get_parameter(name).grad.abs().max() > 0, name


def test_the_mean_length_is_part_of_the_state():
    penalties = (Penalty(name="path-length", weight=1.0),)
    trainer = small_trainer("stylegan2", {"generator.penalties": penalties})
    trainer.step()
    length = trainer.state()["recent"]["lengths"]
    assert length > 0
    other = small_trainer("stylegan2", {"generator.penalties": penalties})
    other.restore(trainer.state())
    assert torch.equal(other.recent.lengths, length)
    trainer.step()
    assert trainer.recent.lengths != length


def test_a_generator_without_styles_is_refused():
    config = small_config("dcgan")
    player = dataclasses.replace(config.generator, penalties=(Penalty(name="path-length", weight=1.0),))
    with pytest.raises(ConfigError, match="has no w"):
        build_game(dataclasses.replace(config, generator=player), small_store(), torch.device("cpu"))
