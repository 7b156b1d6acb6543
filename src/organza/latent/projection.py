"""From a picture to its code: the sample of a generator that looks most like it, found by optimisation.

The method is that of StyleGAN2 (Karras et al., 2020, arXiv:1912.04958, appendix D). It begins at the mean w of 10 000
samples. A step draws from w plus noise, which fades in the first three quarters, so that it looks around before it
settles; compares through a perceptual network; and goes downhill with Adam. The noise maps of the generator are
optimised as well, and kept from carrying the picture by a penalty on what neighbouring pixels have in common.

    L(w, n) = d(x, g(w + e, n)) + 1e5 sum over maps and scales of mean(n * n shifted)^2,   e ~ N(0, (0.05 s t^2)^2)

`w+` gives every layer a w of its own: closer to the picture, farther from what the generator learnt. A generator
without w is optimised in z, from the best of many samples, and -log p(|z|) keeps z as long as noise is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from organza.config import ConfigError, closest
from organza.data.progress import SILENT, Progress
from organza.latent.perceptual import Distance, apart, open_distance
from organza.latent.priors import length_penalty, noise_penalty
from organza.latent.space import LatentSpace
from organza.latent.target import target_of
from organza.training.batches import to_bytes
from organza.training.precision import full_precision

if TYPE_CHECKING:
    from organza.hub import GAN

Space = Literal["auto", "w", "w+", "z"]

STEPS, SMALL_STEPS, SMALL = 1000, 400, 128  # of images above and up to 128 pixels: docs/latent-editing.md has figures
RATE, RAMP_UP, RAMP_DOWN = 0.1, 0.05, 0.25  # Adam's, and the shares of the steps in which it rises and falls
WANDER, WANDER_RAMP = 0.05, 0.75  # of the noise on the code, in deviations of w, and when it is gone
NOISE_WEIGHT = 1e5
MEAN_OF = 10_000  # codes, for their mean and deviation
TRIED = 256  # samples, of which the best is where z begins
LENGTH_WEIGHT = 0.1  # of -log p(|z|) per number
FRAMES, FRAME_SIDE = 40, 256  # pictures of the fit, about, and their longer side at most
AT_ONCE = 64


@dataclass(frozen=True)
class Projection:
    """A picture and the code that was found for it."""

    target: Tensor  # uint8 [C, H, W], or a point float32 [D]
    image: Tensor  # what the code and the noise maps draw, as the target
    codes: Tensor  # [1, layers, width], for `LatentSpace.draw`
    label: int | None  # of a conditional generator that was optimised in z: given, or the best that was tried
    noise: tuple[Tensor, ...]  # its maps, [1, 1, h, w] each; none where the generator has none
    space: str
    perceptual: str  # what judged: lpips-vgg, general or pixels
    distance: float  # of the image
    distances: tuple[float, ...]  # at each step, of the picture with noise on its code
    frames: Tensor  # uint8 [F, C, h, w] along the way
    steps: int  # that were made
    seed: int
    is_w: bool  # whether the codes are w: also where z was optimised, and mapped
    planned: int  # steps, of which an interrupted search made fewer

    @property
    def interrupted(self) -> bool:
        """Whether it was stopped before its last step."""
        return self.steps < self.planned


def project(
    gan: GAN, image: str | Path | Tensor, *, space: Space = "auto", steps: int | None = None, seed: int = 0,
    label: int | str | None = None, perceptual: str = "auto", noise_weight: float = NOISE_WEIGHT,
    progress: Progress = SILENT, stop: Callable[[], bool] = lambda: False,
) -> Projection:  # fmt: skip
    """The code of a picture: a file, or a tensor uint8 [C, H, W] (a point float32 [D]). One seed, one result.

    `space` is w, w+ or z (`auto`: w where there is one); `label` is that of a conditional generator (in w: where it
    begins; in z: tried out if it is not given). A picture of another size is cut, resized, and told of. Computes in
    float32 on the generator's device. When `stop` tells so, the search ends with what it has after its step. Raises
    ConfigError for what does not fit together, FileNotFoundError for no file, KeyboardInterrupt when it is to stop
    before its first step.
    """
    steps = _steps(gan, steps)
    search = _search(gan, _space(gan, space), seed, label)
    target = target_of(image, gan.shape, progress).to(search.device)
    distance = open_distance(perceptual, gan.shape, search.device, progress)
    fit = Fit(distance, distance.look(target), steps, noise_weight, progress, stop)
    with full_precision(), evaluating(gan.generator):
        search = _begun(search, fit, gan, progress)
        code, noise, curve, frames = fit.run(search)
        drawn = search.draw(code, noise).detach()
        far = float(fit.far(drawn))
        codes = search.codes(code).detach().float().cpu()
    if not math.isfinite(far):
        raise ConfigError("the projection ended in NaN; the generator's weights or the picture are damaged")
    return Projection(
        _kept(target), _kept(drawn), codes, search.label, tuple(n.detach().cpu() for n in noise), search.space,
        distance.name, far, tuple(curve), frames, len(curve), seed, search.latent.has_w, steps,
    )  # fmt: skip


@dataclass(frozen=True)
class Search:
    """Where is looked: from what is optimised, [1, layers or 1, width] of w or [1, 1, z_dim], to codes and pictures."""

    latent: LatentSpace
    space: str
    random: torch.Generator  # on the CPU, so that a seed is the same on every device
    label: int | None
    start: Tensor
    spread: float  # of w around its mean, or the length of z

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        return next(self.latent.generator.parameters()).device

    @property
    def noise(self) -> list[Tensor]:
        """The generator's own noise maps, [1, 1, h, w] each, in the order in which the synthesis takes them."""
        made: Any = self.latent.generator
        if not (self.latent.has_w and getattr(made, "has_noise", False)):
            return []
        return [m.noise_const[None, None] for m in made.synthesis.modules() if hasattr(m, "noise_const")]

    def codes(self, code: Tensor) -> Tensor:
        """What is optimised -> codes [1, layers, width]."""
        made: Any = self.latent.generator
        if self.space == "z" and self.latent.has_w:
            return made.broadcast(made.mapping(code.flatten(1), _labels(self.label, code)))
        return code.reshape(1, -1, self.latent.width).expand(-1, self.latent.layers, -1)

    def draw(self, code: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """The picture, with gradients, float32 [1, *shape]."""
        return drawn(self.latent, self.codes(code), self.label, noise)


def drawn(latent: LatentSpace, codes: Tensor, label: int | None, noise: Sequence[Tensor] = ()) -> Tensor:
    """`LatentSpace.draw` with gradients: codes [B, layers, width] on the generator's device -> float32 [B, *shape]."""
    made: Any = latent.generator
    if latent.has_w:
        return made.synthesis(codes, list(noise) if noise else "const").float()
    return made(codes.flatten(1), _labels(label, codes)).float()


class Fit:
    """The optimisation: a distance to what was seen of the target, the steps, and who is told."""

    def __init__(
        self, distance: Distance, seen: list[Tensor], steps: int, noise_weight: float, progress: Progress,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self.distance, self.steps, self.noise_weight, self.progress = distance, steps, noise_weight, progress
        self.stop = stop
        self.seen = [part.detach() for part in seen]

    def far(self, samples: Tensor) -> Tensor:
        """The distances [B] of samples [B, *shape] from the target."""
        return apart(self.distance.look(samples), self.seen)

    def go_on(self) -> None:
        """Raise KeyboardInterrupt when it is to stop and there is nothing to keep."""
        if self.stop():
            raise KeyboardInterrupt

    def run(self, search: Search) -> tuple[Tensor, list[Tensor], list[float], Tensor]:
        """The code, the noise maps, the distance at each step, and pictures on the way."""
        self.go_on()
        code = search.start.clone().requires_grad_()
        noise = [part.clone().requires_grad_() for part in search.noise]
        adam = torch.optim.Adam([code, *noise], lr=RATE)
        curve, frames, every = [], [], max(self.steps // FRAMES, 1)
        for step in range(self.steps):
            adam.param_groups[0]["lr"] = RATE * rate(step, self.steps)
            image = search.draw(code + self._wander(search, step), noise)
            far = self.far(image).sum()
            _descend(adam, far + self._penalty(search, code, noise))
            for part in noise:
                _normalise(part)
            curve.append(far.detach())
            stopped = self.stop()
            if step % every == 0 or step == self.steps - 1 or stopped:
                frames.append(frame_of(image.detach()))
            self.progress.step(f"projecting into {search.space}", step + 1, self.steps)
            if stopped:
                break
        return code.detach(), [part.detach() for part in noise], torch.stack(curve).tolist(), torch.cat(frames)

    def _wander(self, search: Search, step: int) -> Tensor:
        fade = max(0.0, 1 - step / self.steps / WANDER_RAMP) ** 2
        drawn = torch.randn(search.start.shape, generator=search.random).to(search.device)
        return drawn * (WANDER * search.spread * fade)

    def _penalty(self, search: Search, code: Tensor, noise: Sequence[Tensor]) -> Tensor:
        total = noise_penalty(noise) * self.noise_weight if noise else code.new_zeros(())
        return total + LENGTH_WEIGHT * length_penalty(code) if search.space == "z" else total


def rate(step: int, steps: int) -> float:
    """The share of the learning rate at a step: a line up in the first twentieth, a cosine down in the last quarter."""
    down = min(1.0, (1 - step / steps) / RAMP_DOWN)
    return min(1.0, (step + 1) / (steps * RAMP_UP)) * (0.5 - 0.5 * math.cos(math.pi * down))


def _search(gan: GAN, space: str, seed: int, label: int | str | None) -> Search:
    """Where to begin in w; z begins at nothing yet, see `_begun`."""
    latent, random = LatentSpace(gan.generator), torch.Generator().manual_seed(seed)
    chosen = None if label is None else gan.label_numbers(label, 1)
    number, device = None if chosen is None else int(chosen), next(gan.generator.parameters()).device
    if space == "z":
        return Search(latent, space, random, number, torch.zeros(1, 1, gan.z_dim), math.sqrt(gan.z_dim))
    z = torch.randn(MEAN_OF, gan.z_dim, generator=random)
    labels = torch.arange(MEAN_OF) % len(gan.classes) if gan.classes else None
    labels = labels if number is None else torch.full((MEAN_OF,), number)
    parts = [slice(at, at + 1000) for at in range(0, MEAN_OF, 1000)]  # codes are as many as layers, and equal
    w = torch.cat([latent.codes(z[part], None if labels is None else labels[part])[:, 0].clone() for part in parts])
    mean = w.mean(0)
    start = mean.expand(1, latent.layers if space == "w+" else 1, -1).to(device)
    return Search(latent, space, random, number, start, float((w - mean).square().sum(1).mean().sqrt()))


@torch.no_grad()
def _begun(search: Search, fit: Fit, gan: GAN, progress: Progress) -> Search:
    """In z, the best of many samples, of each class in turn where no label is given."""
    if search.space != "z":
        return search
    count = max(TRIED, len(gan.classes) if search.label is None else 0)
    z = torch.randn(count, gan.z_dim, generator=search.random)
    labels = torch.arange(count) % len(gan.classes) if gan.classes else None
    labels = torch.full((count,), search.label) if search.label is not None else labels
    found = []
    for at in range(0, count, AT_ONCE):
        fit.go_on()
        part = slice(at, at + AT_ONCE)
        codes = search.latent.codes(z[part], None if labels is None else labels[part])
        images = search.latent.draw(codes, None if labels is None else labels[part])
        found.append(fit.far(images.to(search.device)).cpu())
        progress.step("trying samples", min(at + AT_ONCE, count), count)
    best = int(torch.cat(found).argmin())
    label = None if labels is None else int(labels[best])
    return replace(search, start=z[best].view(1, 1, -1).to(search.device), label=label)


def _descend(adam: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step; gradients reach what is optimised and no weight of the generator."""
    tuned = adam.param_groups[0]["params"]
    for parameter, slope in zip(tuned, torch.autograd.grad(loss, tuned, allow_unused=True), strict=True):
        parameter.grad = slope
    adam.step()


@torch.no_grad()
def _normalise(noise: Tensor) -> None:
    """To mean 0 and deviation 1."""
    noise.sub_(noise.mean())
    noise.mul_(noise.square().mean().clamp(min=1e-12).rsqrt())


def frame_of(image: Tensor) -> Tensor:
    """uint8 [1, C, h, w] on the CPU, small; of a point nothing."""
    if image.dim() != 4:
        return torch.empty(1, 0, 0, 0, dtype=torch.uint8)
    scale = FRAME_SIDE / max(image.shape[2:])
    if scale < 1:
        size = [max(round(side * scale), 1) for side in image.shape[2:]]
        image = F.interpolate(image, size, mode="bilinear", antialias=True, align_corners=False)
    return to_bytes(image).cpu()


def _kept(sample: Tensor) -> Tensor:
    return (to_bytes(sample) if sample.dim() == 4 else sample)[0].cpu()


def _labels(label: int | None, like: Tensor) -> Tensor | None:
    return None if label is None else torch.full((len(like),), label, device=like.device)


def _space(gan: GAN, space: str) -> str:
    if space not in get_args(Space):
        raise ConfigError(f"space is '{space}'{closest(space, get_args(Space))}")
    has_w = LatentSpace(gan.generator).has_w
    if space in ("w", "w+") and not has_w:
        raise ConfigError(f"this generator ({gan.model.name}) has no {space}; type --space z")
    return ("w" if has_w else "z") if space == "auto" else space


def _steps(gan: GAN, steps: int | None) -> int:
    if steps is None:
        return STEPS if max(gan.shape) > SMALL else SMALL_STEPS
    if steps < 1:
        raise ConfigError(f"steps is {steps}; it takes 1 or more, such as {SMALL_STEPS}")
    return steps


@contextmanager
def evaluating(generator: nn.Module) -> Iterator[None]:
    """A generator in evaluation mode, and back."""
    training = generator.training
    generator.eval()
    try:
        yield
    finally:
        generator.train(training)
