"""`compile` changes how networks are computed and not what: a compiled run takes the same steps."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor

from organza.api import prepare
from organza.training.trainer import Trainer

SMALL = {
    f"{player}.model.{option}": value
    for player in ("generator", "discriminator")
    for option, value in (("width", 4), ("max_width", 4))
} | {
    "data.resolution": 8,
    "batch": 4,
    "generator.penalties": "path-length",
    "generator.penalties.path-length.weight": 2,
}


def steps(compiled: bool) -> tuple[Trainer, Tensor]:
    config, store = prepare("stylegan2", "mnist", "laptop", SMALL | {"compile": compiled})
    trainer = Trainer(config, store, torch.device("cpu"))
    for _ in range(3):  # the first has R1 and path length, which differentiate twice
        trainer.step()
    return trainer, torch.cat([p.detach().flatten() for p in trainer.game.discriminator.parameters()])


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # which torch.compile looks up itself
def test_takes_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not inductor, whose compiler takes minutes; all that stands before it does the same work.
    calls: list[str] = []

    def backend(module: torch.fx.GraphModule, inputs: list[Tensor]):
        calls.append(module.__class__.__name__)
        return module.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=backend))
    trainer, compiled = steps(compiled=True)
    plain, eager = steps(compiled=False)
    assert 3 <= len(calls) <= 12  # G, D's features and logits; with and without gradients
    assert torch.allclose(compiled, eager, atol=1e-6)
    assert list(trainer.state()["networks"]["discriminator"]) == list(plain.state()["networks"]["discriminator"])
    torch._dynamo.reset()
