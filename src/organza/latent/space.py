"""The codes that a generator draws from, in one form for all of the catalogue.

Where a mapping makes w of the noise and a synthesis draws from it, as StyleGAN's, the codes are w, one for each layer.
A generator with hierarchical noise (BigGAN) has one part of z for each block; every other has its z alone. Each tool of
`organza.latent` works on these codes [B, layers, width], and so with every generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from organza.config import ConfigError
from organza.latent.sampling import in_batches
from organza.layers.style import Noise


@dataclass(frozen=True)
class LatentSpace:
    """The codes of one generator; it is used in evaluation mode, on its own device, and results come to the CPU."""

    generator: nn.Module

    @property
    def has_w(self) -> bool:
        """Whether the codes are w: a mapping of the noise, from which the synthesis draws."""
        return hasattr(self.generator, "mapping") and hasattr(self.generator, "synthesis")

    @property
    def layers(self) -> int:
        """How many codes a sample has: w for each layer, or equal parts of its noise."""
        if self.has_w:
            return int(self.generator.num_ws)  # type: ignore[arg-type]
        parts: Any = getattr(self.generator, "parts", ())
        return len(parts) if len(set(parts)) == 1 else 1

    @property
    def width(self) -> int:
        """Numbers in one code."""
        part = int(self.generator.z_dim) // self.layers  # type: ignore[arg-type]
        return int(self.generator.w_dim) if self.has_w else part  # type: ignore[arg-type]

    def codes(
        self, z: Tensor, labels: Tensor | None = None, psi: float = 1.0, cutoff: int | None = None, batch: int = 256
    ) -> Tensor:
        """Noise [B, z_dim], labels [B] of a conditional generator -> codes [B, layers, width].

        w stands at a share `psi` of its way from the mean w, in the first `cutoff` layers (all); z has no such mean, so
        it raises ValueError for another `psi` than 1.
        """
        if not self.has_w:
            if psi != 1 or cutoff is not None:
                raise ValueError("psi and cutoff pull w to its mean, and this generator has no w; leave them out")
            return z.float().cpu().view(len(z), self.layers, self.width)
        made: Any = self.generator.mapping
        return self._batched(
            lambda z, labels: made.truncated(self.generator.broadcast(made(z, labels)), psi, cutoff, labels),  # type: ignore[operator]
            batch, z, labels,
        )  # fmt: skip

    def draw(
        self, codes: Tensor, labels: Tensor | None = None, noise: Noise | Sequence[Tensor] = "const",
        batch: int = 256, **more: Any,
    ) -> Tensor:  # fmt: skip
        """Codes [B, layers, width] -> samples float32 [B, *shape]; without w, labels [B] where it is conditional.

        `noise` and `more` (the `transform` of StyleGAN3) go to the synthesis, where there is one. Raises ConfigError
        without those labels.
        """
        if not self.has_w and labels is None and getattr(self.generator, "classes", 0):
            raise ConfigError("this GAN has classes and no w that holds them: give labels [B] with its codes")
        if not self.has_w:
            return self._batched(self.generator, batch, codes.flatten(1), labels)
        made: Any = self.generator.synthesis
        return self._batched(lambda ws, _: made(ws, noise, **more), batch, codes, None)

    def _batched(self, function: Callable[..., Tensor], batch: int, rows: Tensor, labels: Tensor | None) -> Tensor:
        return in_batches(self.generator, function, rows, labels, batch)
