"""What was seen of late, and what adapts to it: LeCam's anchors, ADA's probability, D's rests, G's path length."""

from __future__ import annotations

import torch
from torch import Tensor

from organza.augment.adaptive import adapted
from organza.config import Config
from organza.games.latent import Stats
from organza.training.distributed import mean
from organza.training.schedule import value_at

DECAY = 0.99  # of the anchors, from turn to turn (arXiv:2104.03310, section 4)
TURNS = 4  # over which signs are averaged before anything adapts to them (arXiv:2006.06676, section 3.1)


class Recent:
    """Averages over D's turns and over all processes, in three numbers that live on the device."""

    def __init__(self, config: Config, device: torch.device) -> None:
        self.augment, self.rest_above = config.augment, config.balance
        self.adapts = config.augment.target is not None
        self.remembers = any(penalty.name == "lecam" for penalty in config.discriminator.penalties)
        self.watching = self.adapts or self.remembers or self.rest_above is not None
        self.answers = torch.zeros(2, device=device)  # to real, to fake
        self.signs = torch.zeros(TURNS, device=device)  # E sign D(x) of the last turns
        start = value_at(config.augment.probability, 0)
        self.adaptive = torch.full((), start, device=device)
        self.lengths = torch.zeros((), device=device)  # mean path length, which its penalty keeps
        self.turns = 0

    def probability(self, images: int) -> Tensor | float:
        """Of each augmentation, after `images` images."""
        return self.adaptive if self.adapts else value_at(self.augment.probability, images)

    def resting(self) -> bool:
        """Whether D is so far ahead that it should not learn now; asks the device, which waits for its answer."""
        if self.rest_above is None or self.turns < TURNS:
            return False
        return bool((1 + self.signs.mean()) / 2 > self.rest_above)

    def watch(self, stats: Stats, images: int) -> None:
        """Take in a turn of D with `images` images; every process must ask."""
        if not self.watching:
            return
        seen = [stats["logits/real"], stats["logits/fake"], stats.get("sign/real", stats["logits/real"])]
        now = mean(torch.stack(seen).float())
        self.answers = now[:2] if self.turns == 0 else self.answers.lerp(now[:2], 1 - DECAY)
        self.signs = torch.cat([self.signs[1:], now[2:]])
        self.turns += 1
        if self.adapts and self.turns % TURNS == 0:
            assert self.augment.target is not None
            self.adaptive = adapted(
                self.adaptive, self.signs.mean(), self.augment.target, images * TURNS, self.augment.speed
            )

    def stats(self) -> Stats:
        """What the log shows of it."""
        return {"augment/probability": self.adaptive} if self.adapts else {}

    def state(self) -> dict[str, Tensor | int]:
        """For an exact resume."""
        averages = {"answers": self.answers, "signs": self.signs, "adaptive": self.adaptive, "lengths": self.lengths}
        return averages | {"turns": self.turns}

    def restore(self, state: dict[str, Tensor | int]) -> None:
        """Go on where `state` was taken."""
        for name in ("answers", "signs", "adaptive", "lengths"):
            value = state.get(name, self.lengths)  # runs before 0.2 know no lengths
            assert isinstance(value, Tensor)
            setattr(self, name, value.to(self.answers.device, copy=True))
        assert isinstance(state["turns"], int)
        self.turns = state["turns"]
