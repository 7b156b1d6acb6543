"""The watch for numbers that are not finite, without making the device wait."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ROLLBACKS = 3


class BrokenError(RuntimeError):
    """Training kept producing non-finite numbers after the last rollback that is allowed."""


class Guard:
    """Remembers, on the device, which gradients were the first to be non-finite; `verdict` asks for it at a tick."""

    def __init__(self, networks: dict[str, nn.Module]) -> None:
        self.networks = networks
        self.clear()

    def clear(self) -> None:
        """Forget what was seen."""
        self.first: dict[str, Tensor] = {}  # which parameters of a player, in its first bad turn
        self.since: dict[str, Tensor] = {}  # the number of that turn, among all turns
        self.turns = 0
        self.broken: Tensor | int = 0  # turns with a gradient that was not finite

    def watch(self, player: str, norms: Tensor) -> None:
        """Look at the gradient norm of each parameter of a player, [P]."""
        bad = ~torch.isfinite(norms)
        self.turns += 1
        self.broken = self.broken + bad.any()
        before = self.first.get(player, bad)
        since = self.since.get(player, torch.full_like(bad[0], self.turns, dtype=torch.long))
        self.first[player] = torch.where(before.any(), before, bad)
        self.since[player] = torch.where(before.any(), since, self.turns)

    def verdict(self) -> str | None:
        """Which tensor of which module was not finite, or None; this waits for the device."""
        for player in sorted(self.first, key=lambda name: int(self.since[name])):  # the other player falls ill later
            bad = self.first[player]
            names = [name for name, _ in self.networks[player].named_parameters()]
            found = [name for name, is_bad in zip(names, bad.tolist(), strict=True) if is_bad]
            if found:
                return self._describe(player, "gradient", found)
        for player, network in self.networks.items():
            found = [name for name, tensor in network.state_dict().items() if not torch.isfinite(tensor).all()]
            if found:
                return self._describe(player, "value", found)
        return None

    def _describe(self, player: str, what: str, names: list[str]) -> str:
        module = type(self.networks[player].get_submodule(names[0].rpartition(".")[0])).__name__
        more = f" and of {len(names) - 1} more tensors" if len(names) > 1 else ""
        return f"the {what} of {player}.{names[0]} ({module}){more} is not finite"
