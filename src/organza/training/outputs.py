"""What a run writes while it trains: grids, log, scores, checkpoints, the model, the report. Only process 0 writes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor

import organza
from organza.config import Config
from organza.data.store import ImageStore
from organza.games import GAMES
from organza.health.diagnosis import early_alarms
from organza.health.signals import untouched
from organza.hub import translator
from organza.hub.card import model_card
from organza.hub.gan import GAN, save
from organza.hub.translator import Translator
from organza.latent.traversal import COLUMNS, traversal
from organza.layers.codes import Coded
from organza.report.grid import before_after, in_rows, picture, save_png
from organza.report.page import write_report
from organza.training.assemble import shown_shape, source_shape
from organza.training.autopilot import Action, Autopilot
from organza.training.batches import to_bytes
from organza.training.checkpoint import DamagedError
from organza.training.distributed import rank
from organza.training.environment import hardware
from organza.training.examples import at_once, drawn, example_batch, toggled, translated
from organza.training.run import Run, write_json
from organza.training.scoring import FOLDER, Scoring, images_of, open_score, replace_folder, short

if TYPE_CHECKING:
    from organza.training.trainer import Trainer

FIXED = 64  # latents that are drawn again and again
TRANSLATED = 10  # sources that are translated again and again
TOGGLED = 10  # attributes that are shown, at most
BLIND = "no look at the health of the run"  # in the notes
POINTS = 2_500  # the same for two-dimensional data, as in VEEGAN's protocol


class Outputs:
    """The writer of one run folder."""

    def __init__(self, run: Run, config: Config, store: ImageStore, summary: dict[str, Any]) -> None:
        self.run, self.store, self.summary = run, store, summary
        self.writes = rank() == 0
        count = POINTS if len(store.shape) == 1 else FIXED
        self.fixed_seeds = range(count)
        self.scoring = Scoring(open_score(config, store) if self.writes else None, summary)
        self.pilot = Autopilot(run, config, store, summary) if config.autopilot else None

    def begin(self, trainer: Trainer) -> None:
        """Before the first step: the grid of real samples, the untrained fakes, and a checkpoint to go back to."""
        if self.writes:
            real, points = self._real_samples(), len(self.store.shape) == 1
            save_png(picture(real[:0], real) if points else picture(real), self.run.path / "samples" / "real.png")
        self.grids(trainer)
        self.checkpoint(trainer)

    def grids(self, trainer: Trainer) -> None:
        """The fixed latents through the raw and the averaged generator."""
        if not self.writes:
            return
        for name, generator in (("raw", trainer.game.generator), ("ema", trainer.average)):
            file = self.run.path / "samples" / f"{trainer.images // 1000:06d}-{name}.png"
            save_png(self._shown(trainer, generator), file)
        if isinstance(trainer.average, Coded) and not trainer.config.conditional and len(self.store.shape) == 3:
            file = self.run.path / "samples" / f"{trainer.images // 1000:06d}-codes.png"
            save_png(picture(to_bytes(traversal(trainer.average)), columns=COLUMNS), file)

    def log(self, trainer: Trainer, scalars: Mapping[str, float]) -> None:
        """One line of log.jsonl, and the summary beside it."""
        if self.writes:
            place = {"images": trainer.images, "seconds": round(trainer.seconds, 3), "step": trainer.steps}
            self.run.log(place | {name: short(value) for name, value in scalars.items()})

    def scores(self, trainer: Trainer) -> dict[str, float]:
        """Log the cheap score of the average, and keep the model when it is the best; what was logged."""
        logged = self.scoring.take(trainer)
        if logged:
            self.log(trainer, logged)
            self._best(trainer)
        return logged

    def checkpoint(self, trainer: Trainer) -> None:
        """The whole state, the model to use and the report; every process must ask."""
        state = trainer.state()
        if not self.writes:
            return
        state |= self.scoring.state()
        self.run.save_checkpoint(trainer.images, state, self.summary.get("best_at") == trainer.images)
        facts = {"images": trainer.images, "seconds": round(trainer.seconds, 1)}
        facts["scores"] = self.summary.get("scores", {}) if self.summary.get("scored_at") == trainer.images else {}
        self._model(trainer, trainer.average, self.run.path / "model", facts)
        if self.pilot is not None and self.pilot.healthy_at == trainer.images:
            self.run.mark_healthy(trainer.images)
        self.close("running", trainer)

    def alarms(self) -> list[str]:
        """What log and scored samples say is wrong, each finding once in a run, in process 0; kept for the report."""
        if not self.writes:
            return []
        told: list[str] = self.summary.setdefault("alarms", [])
        drawn, self.scoring.drawn = self.scoring.drawn, None
        try:
            new = [finding for finding in early_alarms(self.run.path, drawn) if finding.name not in told]
        except Exception as problem:  # of any rule: none is worth a training
            return self._blind(problem)
        told += [finding.name for finding in new]
        notes = [f"{finding.name}: {finding.told}; look closer with: organza doctor {self.run.path}" for finding in new]
        for note in notes:
            self.note(note)
        return notes

    def steer(self, trainer: Trainer, images: int, thorough: bool) -> tuple[str, bool]:
        """Let the autopilot look at the run, `thorough` with samples: (its note, whether to stop); all must ask."""
        if self.pilot is None:
            return "", False
        pilot = self.pilot
        thorough = thorough and not GAMES[trainer.config.game].translates  # whose samples no rule knows
        gan = (lambda: self._gan(trainer, trainer.average, {})) if thorough else None

        def look() -> Action | None:
            with untouched(trainer.average, device=trainer.device):
                return pilot.choose(trainer, images, gan)

        return self._steered(pilot, trainer, look)

    def recover(self, trainer: Trainer) -> str:
        """After a rollback: what the autopilot changes, so that it does not happen again; all must ask."""
        pilot = self.pilot
        return "" if pilot is None else self._steered(pilot, trainer, lambda: pilot.gentler(trainer))[0]

    def _blind(self, problem: Exception) -> list[str]:
        """That a look at the health of the run has failed, once in a run; the training goes on without."""
        told: list[str] = self.summary.setdefault("alarms", [])
        if BLIND in told:
            return []
        told.append(BLIND)
        note = f"{BLIND}: {type(problem).__name__}: {problem}; the training goes on without it"
        self.note(note)
        return [note]

    def _steered(
        self, pilot: Autopilot, trainer: Trainer, choose: Callable[[], Action | None]
    ) -> tuple[str, bool]:  # fmt: skip
        action, failed = None, []
        try:
            action = choose() if self.writes else None
        except Exception as problem:  # as in `alarms`; the other processes wait for this one
            failed = self._blind(problem)
        note, stop = pilot.take(trainer, action)
        if note:
            self.note(note)
        return note or "".join(failed), stop

    def end(self, trainer: Trainer, scored: bool = True) -> dict[str, float]:
        """After the last step: the last grids, score and checkpoint; what was logged of the score."""
        self.grids(trainer)
        scores = self.scores(trainer) if scored else {}
        self.checkpoint(trainer)
        return scores

    def close(self, status: str, trainer: Trainer) -> None:
        """Write how the run stands and its report."""
        if self.writes:
            self.summary |= {"status": status, "images": trainer.images, "seconds": round(trainer.seconds, 1)}
            write_json(self.run.path / "summary.json", self.summary)
            write_report(self.run.path)

    def note(self, text: str) -> None:
        """Keep a note for the report."""
        self.summary.setdefault("notes", []).append(text)

    def restore(self, trainer: Trainer) -> list[str]:
        """Put a trainer where the newest whole checkpoint stands; what was wrong with newer ones."""
        state, problems = self.good_state(), list(self.summary.get("notes", []))
        trainer.restore(state)
        self.went_back(trainer)
        return problems

    def good_state(self) -> dict[str, Any]:
        """The newest whole checkpoint. Raises DamagedError without one."""
        state, problems = self.run.newest_state()
        for problem in problems:
            self.note(problem)
        if state is None:
            raise DamagedError(f"no whole checkpoint is left in {self.run.path}: {'; '.join(problems) or 'none'}")
        about = json.loads(state.pop("summary"))
        self.scoring.restore(about, state.pop("best", None))
        if self.writes and about["best_at"] == state["counters"]["images"]:
            self.run.mark_best(about["best_at"])  # a kill may have come between the file and its second name
        return state

    def went_back(self, trainer: Trainer) -> None:
        """Drop what was logged, drawn and found best after the checkpoint that the run went back to."""
        if self.writes:
            self.run.forget_after(trainer.images)
            self._best(trainer)

    def _samples(self, trainer: Trainer, generator: torch.nn.Module, count: int) -> Tensor:
        made = drawn(trainer, generator, 0, count)
        return to_bytes(made) if made.dim() == 4 else made

    def _shown(self, trainer: Trainer, generator: torch.nn.Module) -> Image.Image:
        """The fixed latents as a grid or a plot; of a translator, sources above results above counterparts.

        Of one that reads attributes, a row for each that is turned into its opposite.
        """
        if not GAMES[trainer.config.game].translates:
            return picture(self._samples(trainer, generator, len(self.fixed_seeds)), self._real_samples())
        store = self.store.test or self.store
        batch = example_batch(trainer, store, min(TRANSLATED, len(store)))
        assert batch.source is not None
        if batch.source_labels is not None and batch.source_labels.dim() == 2:
            turned = (toggled(batch, i) for i in range(min(TOGGLED, batch.source_labels.shape[1])))
            return in_rows([batch.source, *(translated(generator, one, at_once(trainer)) for one in turned)])
        made = translated(generator, batch, at_once(trainer))
        known = store.paired or trainer.config.data.degrade != "none"
        return before_after(batch.source, made, batch.real if known else None, store.shape[0])

    def _real_samples(self) -> Tensor:
        """As many as there are fixed latents, spread over the data."""
        rows = torch.linspace(0, len(self.store) - 1, len(self.fixed_seeds)).long()
        return self.store.images[rows]

    def _best(self, trainer: Trainer) -> None:
        """Make the folder of the best model that of the best score."""
        folder, about = self.run.path / FOLDER, self.summary.get("best_model")
        if self.scoring.best is None or about is None:
            shutil.rmtree(folder, ignore_errors=True)
        elif not (folder / "config.json").is_file() or images_of(folder) != about["images"]:
            told = {name: about[name] for name in ("value", "low", "high", "n", "protocol") if name in about}
            scores = {about["score"]: told}
            facts = {"images": about["images"], "seconds": about["seconds"], "scores": scores}
            generator = self.scoring.generator(trainer)
            replace_folder(folder, lambda path: self._model(trainer, generator, path, facts))

    def _model(self, trainer: Trainer, generator: torch.nn.Module, folder: Path, facts: dict[str, Any]) -> None:
        told = ("data", "parameters", "started_from", "source_licence")
        about = facts | {name: self.summary[name] for name in told if name in self.summary}
        about["hardware"] = hardware(trainer.device)
        here = {"recipe": trainer.config.recipe, "organza": organza.__version__}
        card = model_card(self.summary | about | here, draft=True)
        if GAMES[trainer.config.game].translates:
            translator.save(self._translator(trainer, generator, about), folder, card)
        else:
            save(self._gan(trainer, generator, about), folder, card)

    def _translator(self, trainer: Trainer, generator: torch.nn.Module, about: dict[str, Any]) -> Translator:
        config, kind = trainer.config, GAMES[trainer.config.game]
        classes = self.store.classes if config.conditional else ()
        return Translator(
            generator, config.generator.model, source_shape(config, self.store), shown_shape(config, self.store),
            classes, config.recipe, about, degrade=config.data.degrade, both_ways=kind.both_ways,
            layout_classes=config.data.layout_classes, palette=self.store.palette,
            attributes=bool(classes) and self.store.has_attributes,
        )  # fmt: skip

    def _gan(self, trainer: Trainer, generator: torch.nn.Module, about: dict[str, Any]) -> GAN:
        config, classes = trainer.config, self.store.classes if trainer.config.conditional else ()
        return GAN(
            generator, config.generator.model, self.store.shape, classes, config.recipe, about, codes=config.codes
        )
