"""Pivotal tuning: a generator that is bent a little until a code draws the picture that it was found for.

Roich et al., 2021, "Pivotal Tuning for Latent-based Editing of Real Images", arXiv:2106.05744, section 3. The code of a
projection is the pivot, and stays; the weights of the synthesis move. So that all else stays as it was, the copy is
compared with the original at a code on the way from the pivot to a random sample, another one in each step:

    L = d(x, g(w)) + |x - g(w)|^2 + 0.1 (d(g*(v), g(v)) + |g*(v) - g(v)|^2),   v = w + a (u - w) / |u - w|

with a = 30 in the paper, whose w has 512 numbers; here it never leads beyond the sample u itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from organza.config import ConfigError
from organza.data.progress import SILENT, Progress
from organza.latent.perceptual import Distance, apart, open_distance
from organza.latent.projection import FRAMES, Projection, drawn, evaluating, frame_of
from organza.latent.space import LatentSpace
from organza.latent.target import target_of
from organza.layers.spectral import without_spectral_norm
from organza.training.precision import full_precision

if TYPE_CHECKING:
    from organza.hub import GAN

STEPS, RATE = 350, 3e-4
REACH, LOCALITY = 30.0, 0.1
SQUARES = 1.0  # weight of the mean squared difference


def tune(
    gan: GAN, projection: Projection, steps: int = STEPS, *, lr: float = RATE, locality: float = LOCALITY,
    seed: int = 0, progress: Progress = SILENT, watch: Callable[[Tensor], object] = lambda _: None,
) -> GAN:  # fmt: skip
    """A new GAN whose `LatentSpace.draw(projection.codes, label)` comes near the target; `gan` itself is not changed.

    The noise maps of the projection are not needed any more: the weights learn what they carried. Where there is a w,
    the mapping stays as it is. `locality` 0 lets other samples go where they will. `watch` gets pictures of the way,
    uint8 [1, C, h, w], as `Projection.frames` are. Raises ConfigError for fewer steps than 1, and for a projection of
    another generator.
    """
    latent = LatentSpace(gan.generator)
    if steps < 1:
        raise ConfigError(f"steps is {steps}; it takes 1 or more, such as {STEPS}")
    if projection.codes.shape[1:] != (latent.layers, latent.width):
        raise ConfigError(
            f"the projection has codes {list(projection.codes.shape[1:])}, and this generator "
            f"[{latent.layers}, {latent.width}]; project the picture with this GAN first"
        )
    device = next(gan.generator.parameters()).device
    distance = open_distance(projection.perceptual, gan.shape, device)
    target = target_of(projection.target, gan.shape, progress).to(device)
    tuned = copy.deepcopy(without_spectral_norm(gan.generator)).eval().requires_grad_(False)
    work = _Tuning(latent, LatentSpace(tuned), projection, distance, target, seed)
    with full_precision(), evaluating(gan.generator):
        work.run(steps, lr, locality, progress, watch)
    about = {"projected": projection.perceptual, "tuned": {"steps": steps, "lr": lr, "locality": locality}}
    return replace(gan, generator=tuned, sha256="", training={**gan.training, **about})


class _Tuning:
    """The original, the copy that is tuned, and what both are asked for."""

    def __init__(
        self, before: LatentSpace, after: LatentSpace, projection: Projection, distance: Distance, target: Tensor,
        seed: int,
    ) -> None:  # fmt: skip
        self.before, self.after, self.distance, self.label = before, after, distance, projection.label
        self.target, self.pivot = target, projection.codes.to(target.device)
        self.random = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            self.seen = distance.look(target)

    def run(
        self, steps: int, lr: float, locality: float, progress: Progress, watch: Callable[[Tensor], object]
    ) -> None:  # fmt: skip
        """Change the copy."""
        weights = list(self._part().parameters())
        for weight in weights:
            weight.requires_grad_(True)
        adam = torch.optim.Adam(weights, lr=lr)
        for step in range(steps):
            image = drawn(self.after, self.pivot, self.label)
            if step % max(steps // FRAMES, 1) == 0:
                watch(frame_of(image.detach()))
            loss = apart(self.distance.look(image), self.seen).sum() + SQUARES * _squares(image, self.target)
            if locality:
                loss = loss + locality * self._strayed()
            adam.zero_grad()
            loss.backward()
            adam.step()
            progress.step("tuning the generator", step + 1, steps)
        self.after.generator.requires_grad_(False)
        watch(frame_of(drawn(self.after, self.pivot, self.label)))
        if not all(bool(weight.isfinite().all()) for weight in weights):
            raise ConfigError(f"tuning ended in NaN; it takes a smaller learning rate than {lr}")

    def _part(self) -> nn.Module:
        """What may move: the synthesis, or all of a generator without w."""
        made = self.after.generator
        return made.synthesis if self.after.has_w else made  # type: ignore[return-value]

    def _strayed(self) -> Tensor:
        """How far the copy is from the original near the pivot."""
        codes = self._near()
        with torch.no_grad():
            wanted = drawn(self.before, codes, self.label)
        image = drawn(self.after, codes, self.label)
        return self.distance(wanted, image).sum() + SQUARES * _squares(image, wanted)

    def _near(self) -> Tensor:
        z = torch.randn(1, int(self.before.generator.z_dim), generator=self.random)  # type: ignore[arg-type]
        way = self.before.codes(z, self._label_of(z)).to(self.pivot.device) - self.pivot
        length = way.flatten(1).norm() / max(self.before.layers, 1) ** 0.5 if self.before.has_w else way.norm()
        return self.pivot + way * min(REACH / max(float(length), 1e-12), 1.0)

    def _label_of(self, z: Tensor) -> Tensor | None:
        """Of the pivot; where w does not say which class it came from, the first that is drawn."""
        classes = int(getattr(getattr(self.before.generator, "mapping", None), "classes", 0))
        if self.label is not None:
            return torch.full((len(z),), self.label)
        return torch.randint(classes, (len(z),), generator=self.random) if classes else None


def _squares(one: Tensor, two: Tensor) -> Tensor:
    return (one - two).square().mean()


def card(gan: GAN, steps: int) -> str:
    """A draft of the model card: where the weights come from, and what must be asked before they are published."""
    return (
        f"# {gan.recipe or gan.model.name}, tuned to one picture\n\n"
        f"Pivotal tuning (Roich et al., arXiv:2106.05744) of {steps} steps changed the weights of this generator so "
        f"that one code draws one given picture. The original weights have the sha256 `{gan.sha256}`.\n\n"
        "This model contains that picture: whoever may not publish the picture may not publish the model. Pictures of "
        "real people need their consent, before and after editing.\n"
    )
