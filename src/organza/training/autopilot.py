"""`--autopilot`: what `organza doctor` would advise, done while the run trains.

At each line of the log the doctor's rules look at the run; at each checkpoint, at samples too. What they name is
answered with the mildest change that is not in use yet. A change becomes part of the state of the run: it is in every
checkpoint, goes with a rollback, and is undone by `organza train --resume --autopilot false`. Networks that a fault has
spoiled go back to the last checkpoint at which there was nothing to do; the images seen, the log and the budget go on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from organza.config import Changes, Config, ConfigError, Penalty, Schedule, override, to_dict
from organza.data.store import ImageStore
from organza.health import advice, command
from organza.health.curves import SCORES, SETTLED, gains
from organza.health.diagnosis import SETTLES, alarms
from organza.health.evidence import Case
from organza.health.finding import Finding
from organza.hub.gan import GAN
from organza.report.folder import read_folder
from organza.training.assemble import resolve
from organza.training.distributed import shared_choice
from organza.training.guard import ROLLBACKS
from organza.training.run import Run
from organza.training.state import adopt, take_networks

if TYPE_CHECKING:
    from organza.training.trainer import Trainer

NAME = "autopilot"  # of its part of the summary
SPOILING = ("divergence", "mode collapse", "saturation", "large learning rate", "vanishing gradient")
MOST = 8  # changes in a run
LAST = 0.85  # of the budget, after which a change would have no time to work
PLATEAU = 10  # scores before one is a plateau
YOUNG = 3  # scores before samples are judged


@dataclass(frozen=True)
class Action:
    """One change: why, the findings that it answers, all changes in force from now on, where networks go back to."""

    told: str
    findings: tuple[str, ...] = ()
    changes: Changes = field(default_factory=dict)
    back_to: int | None = None  # images of the healthy checkpoint
    stop: bool = False  # end the training here instead


class Autopilot:
    """Chooses in process 0, from the run folder; every process makes the change."""

    def __init__(self, run: Run, own: Config, store: ImageStore, summary: dict[str, Any]) -> None:
        self.run, self.own, self.store, self.summary = run, own, store, summary

    @property
    def actions(self) -> list[dict[str, Any]]:
        """What was done so far, the oldest first, as the fields of `Action` with images and the lines that changed."""
        return self.summary.get(NAME, {}).get("actions", [])

    @property
    def healthy_at(self) -> int:
        """Images of the last checkpoint at which there was nothing to do; that before the first step to begin with."""
        return self.summary.get(NAME, {}).get("healthy_at", 0)

    def choose(self, trainer: Trainer, images: int, gan: Callable[[], GAN] | None) -> Action | None:
        """What to do now, in process 0.

        `images` is the budget; `gan` makes the model of this moment where its samples are to be looked at, too.
        """
        case = self._case(trainer)
        if len(case.values("loss/generator")) < SETTLES:
            return None
        scored = [len(case.values(key)) for key in case.run.series if key.startswith(SCORES)]
        if gan is not None and min(scored, default=YOUNG) >= YOUNG:  # a young generator has little variety anyway
            case = replace(case, gan=gan())
        found = alarms(case)
        gained = [gain for _, gain, _ in gains(case)]
        if gained and min(gained) > SETTLED:
            found = [finding for finding in found if finding.confidence == "sure"]  # the rest can wait
        if found:
            free = len(self.actions) < MOST and trainer.images < LAST * images
            return self._remedy(trainer, found) if free else None
        if case.gan is None:
            return self._plateau(case, trainer)
        self.summary[NAME] = self.summary.get(NAME, {}) | {"healthy_at": trainer.images}
        return self._plateau(case, trainer) or self._without_noise(trainer, images)

    def gentler(self, trainer: Trainer) -> Action:
        """After a rollback: slower players, by more each time; from the second on healthy networks, if there are any.

        The checkpoint that the run went back to may have been on its way to the end already. The untrained networks of
        the beginning are the last resort.
        """
        changes = advice.slower(self._case(trainer), *advice.ROLES, by=10.0**trainer.rollbacks)
        suspect = trainer.rollbacks > 1 and (self.healthy_at > 0 or trainer.rollbacks == ROLLBACKS)
        back = self.healthy_at if suspect else None
        return Action("after a rollback", ("divergence",), {**trainer.changes, **changes}, back)

    def take(self, trainer: Trainer, action: Action | None) -> tuple[str, bool]:
        """Do what process 0 has chosen: (the note, empty for none; whether to stop). Every process must ask."""
        told = json.loads(shared_choice(json.dumps(None if action is None else to_dict(action))))
        if told is None:
            return "", False
        if told["stop"]:
            return f"autopilot at {trainer.images} images: {told['told']}; it stops here", True
        before, names = trainer.config, sorted(trainer.changes.keys() | told["changes"].keys())
        adopt(trainer, told["changes"])
        if told["back_to"] is not None:
            take_networks(trainer, self.run.healthy_state())
        pairs = [(name, *(reduce(getattr, name.split("."), c) for c in (before, trainer.config))) for name in names]
        changed = [f"{name}: {_told(old)} -> {_told(new)}" for name, old, new in pairs if old != new]
        mine = self.summary.get(NAME, {})
        self.summary[NAME] = mine | {
            "changes": told["changes"],
            "actions": [*self.actions, {"images": trainer.images, **told, "changed": changed}],
        }
        where = "" if told["back_to"] is None else f"; networks back to those at {told['back_to']} images"
        return f"autopilot at {trainer.images} images: {told['told']} -> {', '.join(changed)}{where}", False

    def _remedy(self, trainer: Trainer, found: list[Finding]) -> Action | None:
        """All that the findings ask for, as far as a run can change it; the gravest one decides in a conflict."""
        asked: dict[str, Any] = {}
        for finding in reversed(found):
            asked |= {name: value for name, value in finding.changes.items() if ".model." not in name}
        changes = {**trainer.changes, **asked}
        try:
            after = resolve(override(self.own, changes))
        except ConfigError:
            return None
        if not asked or after == trainer.config:
            return None
        names = [finding.name for finding in found]
        back = self.healthy_at if set(names) & set(SPOILING) else None
        return Action("; ".join(f"{finding.name}: {finding.told}" for finding in found), tuple(names), changes, back)

    def _without_noise(self, trainer: Trainer, images: int) -> Action | None:
        """Noise that was there to help fades in half of the budget that is left; at once, the fault would come back."""
        noise = trainer.changes.get("noise")
        if not isinstance(noise, float) or not noise or trainer.images >= LAST * images:
            return None
        half = (trainer.images + images) // 2  # the rest is without, as samples beside noise are blurred
        fading = Schedule(start=noise, end=0.0, images=half, shape="linear", hold=trainer.images)
        return Action("all is well again", changes={**trainer.changes, "noise": to_dict(fading)})

    def _plateau(self, case: Case, trainer: Trainer) -> Action | None:
        """To stop, when the second half of all scores has brought none that is better."""
        best = self.summary.get("best_model") or {}
        key = f"score/{best.get('score')}"
        scores = [images for images, _ in case.run.series.get(key, [])]
        later = [images for images in scores if images > best.get("images", 0)]
        if len(scores) < PLATEAU or len(later) < len(scores) / 2:
            return None
        told = f"{key[6:]} was best at {best['images']} images, and {len(later)} scores since are no better"
        return Action(told, stop=True)

    def _case(self, trainer: Trainer) -> Case:
        run = replace(read_folder(self.run.path), summary=self.summary)
        return Case(run, trainer.config, None, self.store)


def _told(value: Any) -> str:
    """The value of a field, in words; penalties with their weights."""
    if isinstance(value, Schedule):
        return f"{value.start:g} to {value.end:g} at {value.images} images"
    if isinstance(value, tuple) and value and isinstance(value[0], Penalty):
        return ", ".join(f"{_told(penalty.weight)} {penalty.name}" for penalty in value)
    return command.word(value)
