"""What a run tells about its health at each tick of the log, beside the losses: looked at, never interfered with.

* `update/PLAYER`: norm of the optimiser's last step over that of the weights; about 1e-3 when all is well.
* `gradient/PLAYER_least`, `_most`: gradient over weights in the layer where it is least, and most.
* `average_distance`: how far the averaged generator is from the raw one, over the norm of the latter.
* `diversity`: mean distance of two fakes in D's features over that of two reals; near 0 when samples are all alike.
* `saturated`: share of the fakes' values at an end of the range, -1 or 1, less that of the reals.
* `heldout_gap`: where D's mean logit on reals of the test split lies on the way from those it trains on to fakes:
  at 0 if these are reals like any, at 1 if it knows the first by heart (r_v, arXiv:2006.06676, eq. 1).
* `nonfinite`: turns of a player so far, lost ones too, whose gradient was not finite; each led to a rollback.
* `memory`: bytes at the peak, of the process or of the graphics card.

The networks see the same latents and reals at every tick, as they are in training, but for reals of the test split, of
which each look takes others; buffers and random numbers are put back, so that a run with signals is equal, bit by bit,
to one without.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from organza.config import Data
from organza.data import DATASETS, open_dataset
from organza.data.rows import rows_of
from organza.data.store import ImageStore
from organza.games import GAMES
from organza.games.latent import Batch, Moment
from organza.training.examples import example_batch, spread_rows

if TYPE_CHECKING:
    from organza.training.trainer import Trainer
    from organza.training.turn import Player

LOOKED_AT = 64  # samples of each kind; groups of minibatch deviation divide it
OTHERS, ROOM = 16 * LOOKED_AT, 2**25  # samples of the test split through which the looks go, and their bytes at most
NORMS = nn.modules.batchnorm._BatchNorm
SMALL = 32 * 32  # pixels of an image of which a translator is shown so many
END = 0.999  # of the range [-1, 1]; a grey level is 0.008


class Signals:
    """Looks at a trainer; `scalars` are for its log."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.seen = example_batch(trainer, trainer.store, self._count(trainer))
        room = ROOM // max(1, math.prod(trainer.store.shape))
        self.others = heldout(trainer.store, trainer.config.data, max(LOOKED_AT, min(OTHERS, room)))
        self.other: Batch | None = None

    @staticmethod
    def _count(trainer: Trainer) -> int:
        """Samples that are looked at; translators cost far more for each pixel."""
        if not GAMES[trainer.config.game].translates:
            return LOOKED_AT
        height, width = trainer.store.shape[1:] if trainer.config.data.window is None else trainer.config.data.window
        return max(4, min(LOOKED_AT, LOOKED_AT * SMALL // (height * width)))

    @torch.no_grad()
    def scalars(self) -> dict[str, float]:
        """All signals of this moment; every process must ask."""
        trainer = self.trainer
        found = {"average_distance": distance(trainer.average.parameters(), trainer.game.generator.parameters())}
        for name, player in trainer.players.items():
            found |= {key.format(name): value for key, value in of_player(player).items()}
        with untouched(trainer.game.generator, trainer.game.discriminator, device=trainer.device):
            found |= self._of_samples()
        return {name: float(value) for name, value in found.items()} | {"memory": float(peak_bytes(trainer.device))}

    def _of_samples(self) -> dict[str, Tensor]:
        game, seen, moment = self.trainer.game, self.seen, Moment()
        fake, real = game.generate(seen), game.real(seen, moment)
        (real_logits, real_features), (logits, fake_features) = (game.judge(x, seen, moment) for x in (real, fake))
        found = {"diversity": spread(fake_features) / spread(real_features).clamp(min=1e-12)}
        if real.dim() == 4:
            found["saturated"] = at_the_ends(fake) - at_the_ends(real)
        if any(isinstance(module, NORMS) for module in game.discriminator.modules()):
            found["batch_leak"] = self._batch_leak(real, fake, real_logits, logits)
        if self.others is not None:
            found["heldout_gap"] = self._heldout_gap(self.others, real_logits, logits)
        return found

    def _heldout_gap(self, others: ImageStore, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Where D hardly tells reals from fakes, that way is noise, and a deviation of its answers stands for it."""
        trainer, moment = self.trainer, Moment()
        if self.other is None or not GAMES[trainer.config.game].translates:  # whose sources take long to make
            look = trainer.images // trainer.config.output.log
            self.other = example_batch(trainer, others, self._count(trainer), look)
        other_logits, _ = trainer.game.judge(trainer.game.real(self.other, moment), self.other, moment)
        deviation = torch.cat([real_logits, other_logits]).std()
        whole = (real_logits.mean() - fake_logits.mean()).maximum(deviation).clamp(min=1e-12)
        return (real_logits.mean() - other_logits.mean()) / whole

    def _batch_leak(self, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """What D's accuracy loses when reals and fakes share a batch: so much it knew from batch statistics alone."""
        half, seen = len(real) // 2, self.seen
        labels = None if seen.labels is None else torch.cat([seen.labels[:half]] * 2)
        source = None if seen.source is None else seen.source[:half].repeat(2, 1, 1, 1)
        both = Batch(seen.real, labels, seen.z, seen.mix, source=source)
        mixed, _ = self.trainer.game.judge(torch.cat([real[:half], fake[:half]]), both, Moment())
        apart = torch.cat([real_logits[:half], fake_logits[:half]])
        right = [(torch.cat([x[:half], -x[half:]]) > 0).float().mean() for x in (apart, mixed)]
        return right[0] - right[1]


def heldout(store: ImageStore, data: Data, count: int = LOOKED_AT) -> ImageStore | None:
    """`count` samples of the test split, spread over it and prepared alike; None for data without one.

    Those that the data hold back, else only of sets that come with the package: a signal is no reason to fetch or to
    decode anything.
    """
    known = DATASETS.get(store.catalogue)
    if store.test is not None:
        return store.test if store.sources is not None else _few(store.test, count)
    if known is None or not known.embedded or "test" not in known.splits:
        return None
    few = _few(open_dataset(store.catalogue, split="test"), count)
    return open_dataset(few, resolution=data.resolution, crop=data.crop, channels=data.channels)


def _few(store: ImageStore, count: int) -> ImageStore:
    return rows_of(store, spread_rows(store, min(len(store), count)))


def of_player(player: Player) -> dict[str, Tensor]:
    """Of the last turn, if it was learned from: gradients are still there, and the optimiser knows its step."""
    learned = [p for p in player.parameters if p.grad is not None]
    if not learned:
        return {}
    weights = torch.stack(torch._foreach_norm([p.detach() for p in learned])).clamp(min=1e-12)
    gradients = torch.stack(torch._foreach_norm([p.grad for p in learned if p.grad is not None])) / weights
    matrices = torch.tensor([p.dim() > 1 for p in learned], device=weights.device)  # biases begin at 0
    found = {"gradient/{}_least": gradients[matrices].amin(), "gradient/{}_most": gradients[matrices].amax()}
    steps = [step for p in learned if (step := last_step(player.optimizer, p)) is not None]
    if len(steps) == len(learned):
        size = torch.stack(torch._foreach_norm(steps)).norm()
        found["update/{}"] = size / weights.norm()
    return found


def last_step(optimizer: torch.optim.Optimizer, parameter: Tensor) -> Tensor | None:
    """What Adam, RMSprop or SGD last took off a parameter, from their own state; None before the first step."""
    group = next(g for g in optimizer.param_groups if any(p is parameter for p in g["params"]))
    state, gradient = optimizer.state.get(parameter, {}), parameter.grad
    assert gradient is not None
    if "exp_avg" in state:
        beta1, beta2 = group["betas"]
        count = float(state["step"])
        root = (state["exp_avg_sq"] / (1 - beta2**count)).sqrt().add_(group["eps"])
        return group["lr"] / (1 - beta1**count) * state["exp_avg"] / root
    if "square_avg" in state:
        return group["lr"] * gradient / (state["square_avg"].sqrt() + group["eps"])
    if isinstance(optimizer, torch.optim.SGD):
        buffer = state.get("momentum_buffer")
        return group["lr"] * (gradient if buffer is None else buffer)
    return None


def distance(average: Iterable[Tensor], raw: Iterable[Tensor]) -> Tensor:
    """|average - raw| / |raw|."""
    mine, other = [p.detach() for p in average], [p.detach() for p in raw]
    gap = torch.stack(torch._foreach_norm(torch._foreach_sub(mine, other))).norm()
    return gap / torch.stack(torch._foreach_norm(other)).norm().clamp(min=1e-12)


def spread(features: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Mean distance of two different samples of features [B, ...]; of several, of all of them side by side."""
    flat = torch.cat([part.float().flatten(1) for part in tree_leaves(features)], 1)
    return torch.pdist(flat).mean()


def at_the_ends(images: Tensor) -> Tensor:
    """Share of values at -1 or 1."""
    return (images.abs() >= END).float().mean()


def peak_bytes(device: torch.device) -> int:
    """The most memory until now."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0  # which has no such counter
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@contextmanager
def untouched(*networks: nn.Module, device: torch.device) -> Iterator[None]:
    """Put buffers (running statistics, power iterations) and random numbers back afterwards."""
    buffers = [buffer for network in networks for buffer in network.buffers()]
    before = [buffer.detach().clone() for buffer in buffers]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
