"""What the recipes of translation and restoration share: one shape of configuration, rates that hold before they fall.

Both players' turns use one pass of G. Nothing is averaged where the papers average nothing, but by
`cyclegan`, `cut`, `fastcut`, `unit` and `munit` at the size `laptop`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from organza.config import EMA, Config, Data, Optimizer, Output, Player, Schedule

SHORT = 400_000  # images of a run that is written often


def translation(
    recipe: str, game: str, *, generator: Player, discriminator: Player, loss: str, data: Data, batch: int, images: int,
    small: bool, **more: Any,
) -> Config:  # fmt: skip
    """The configuration of a game that translates; `more` are fields that the recipe sets otherwise."""
    often = Output(log=1_000, samples=10_000, checkpoint=10_000) if images <= SHORT else Output()
    config = Config(
        recipe=recipe,
        game=game,
        generator=generator,
        discriminator=discriminator,
        loss=loss,
        share_fakes=True,
        data=data,
        batch=batch,
        images=images,
        ema=EMA(half_life=0.0, ramp=None),
        precision="auto" if small else "float32",
        output=often,
    )
    return dataclasses.replace(config, **more)


def unpaired_average(small: bool) -> EMA:
    """Of G's weights in short runs, whose rate has hardly fallen at their end: of raw ones FD is up to twice as far."""
    return EMA(half_life=2_000.0, ramp=0.05) if small else EMA(half_life=0.0, ramp=None)


def held_adam(rate: float, images: int, held: float = 0.5, beta1: float = 0.5, beta2: float = 0.999) -> Optimizer:
    """Adam whose rate stands still for a share of the run and then falls to zero in a line."""
    falling = Schedule(start=rate, end=0.0, images=images, shape="linear", hold=round(held * images))
    return Optimizer(name="adam", lr=falling, beta1=beta1, beta2=beta2)


def emoji_pairs(small: bool) -> Data:
    """The embedded emoji; as published they are enlarged to 286 pixels, of which 256 are cut out."""
    if small:
        return Data(source="emoji-pairs", flip=True)
    return Data(source="emoji-pairs", resolution=(286, 286), window=(256, 256), flip=True)


def stepped(before: float, after: float, images: int) -> Schedule:
    """One value until so many images were seen, and another one from then on."""
    return Schedule(start=before, end=after, images=images, shape="linear", hold=images)
