"""`organza.train`: from a recipe, data and changes to a finished run folder."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch

from organza.config import Config, ConfigError, Size, closest, override, to_dict
from organza.data import SILENT, ImageStore, Progress
from organza.data.degrade import use_of
from organza.games import GAMES
from organza.health.diagnosis import keep_diagnosis
from organza.health.finding import Finding
from organza.interruption import interruptible
from organza.recipes import RECIPES
from organza.report.page import write_report
from organza.report.pictures import make_pictures
from organza.reporter import Reporter, Silent
from organza.training.allocator import keep_freed_memory
from organza.training.assemble import check_data, open_for, resolve, shown_shape, source_shape
from organza.training.distributed import process_group, rank, shared_choice, world
from organza.training.environment import environment
from organza.training.fit import fitted, refuse_early
from organza.training.memory import memory_explained
from organza.training.outputs import Outputs
from organza.training.plan import Plan, make_plan
from organza.training.precision import pick_device, pick_precision
from organza.training.run import Run, new_folder, newest_run, write_json
from organza.training.scoring import full_evaluation, open_score
from organza.training.trainer import Limits, Trainer
from organza.training.transfer import Start, as_begun, start_from

FOREVER = 2**62


def train(
    recipe: str | None = None,
    *,
    data: str | Path | None = None,
    out: str | Path | None = None,
    images: int | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    device: str = "auto",
    size: Size | None = None,
    resume: bool = False,
    dry_run: bool = False,
    changes: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
) -> Run:
    """Train a GAN and return its run folder; nothing is asked, everything has a default.

    `recipe` is a name of `organza.recipes.RECIPES` (dcgan), `data` a name or a path (see `organza.open_dataset`),
    `out` the run folder (`runs/RECIPE-DATA`). It ends after `images` seen by the discriminator, or `minutes` if sooner.
    `changes` overrides configuration fields by dotted name: `{"generator.model.width": 32, "loss": "wasserstein"}`.
    `resume` goes on with the run in `out`, or with the newest in `runs/`. `dry_run` tells the plan to the reporter and
    writes nothing; the Run it returns has its complete `config`, and a path where nothing is yet.

    Raises ConfigError (a ValueError) for mistakes in these, FileNotFoundError for missing data or runs, OSError when
    the folder cannot be written, MemoryError with what would fit, and BrokenError when training diverges for good.
    """
    reporter = reporter or Silent()
    asked = dict(changes or {}) | {k: v for k, v in {"images": images, "seed": seed}.items() if v is not None}
    if minutes is not None and not minutes > 0:  # so written, NaN, which would never be over, fails too
        raise ConfigError(f"minutes is {minutes}; it takes a number above 0")
    source = _place_of(data)
    with process_group(pick_device(device)) as place:
        keep_freed_memory()
        if resume:
            run = Run(shared_choice(str(out or newest_run())))
            if size is not None:
                raise ConfigError(
                    f"size '{size}' has no effect on --resume: a run keeps its configuration; leave it out"
                )
            config, store = _resumed(run, recipe, source, asked, reporter)
        else:
            config, store = prepare(recipe or "dcgan", source, size or "laptop", asked, reporter)
            run = None
        check_data(config, store, world())
        pick_precision(config.precision, place)
        run = run or _created(out, config, store, dry_run)
        endless = minutes is not None and images is None
        limits = Limits(FOREVER if endless else config.images, minutes)
        with memory_explained(config, store, place), _no_litter(run):
            work = _planned if dry_run else _run
            run, first = work(run, config, store, place, limits, resume, reporter), rank() == 0
        if not dry_run:
            _judge(run, config, store, place, reporter)
    drawable = config.output.pictures and not GAMES[config.game].translates
    if first and not dry_run and drawable and run.summary.get("status") == "finished":
        _draw(run, place, reporter)
    return run


def _place_of(data: str | Path | None) -> str | None:
    """Where the data are. Raises ConfigError for data in memory, which a run could not open again."""
    if data is None or isinstance(data, (str, Path)):
        return None if data is None else str(data)
    raise ConfigError(
        f"data is a {type(data).__name__}; a run opens its data again when it resumes, so it takes a name or a path: "
        "numpy.savez('data.npz', images=..., labels=...), and data='data.npz'"
    )


def _judge(run: Run, config: Config, store: ImageStore, device: torch.device, reporter: Reporter) -> None:
    """The full evaluation of a finished run, into its folder, report and card; every process must ask.

    The run is whole already: whatever goes wrong now costs nothing else.
    """
    from organza.evaluation import end_of_training

    seen = run.summary.get("images", 0) if rank() == 0 and run.summary.get("status") == "finished" else 0
    images = int(shared_choice(str(seen)))
    if not images or not (samples := full_evaluation(config, store, images)):
        return
    try:
        end_of_training(run.path, store, samples, device, reporter)
    except (OSError, ValueError) as problem:
        reporter.note(f"no evaluation at the end: {problem}; try: organza evaluate {run.path}")


def _draw(run: Run, device: torch.device, reporter: Reporter) -> None:
    """Pictures and diagnosis for the report of a run that is whole already: what goes wrong now costs nothing else."""
    findings: list[Finding] = []
    try:
        make_pictures(run.path, reporter, device)
    except (OSError, ValueError) as problem:
        reporter.note(f"no pictures for the report: {problem}")
    try:
        findings = keep_diagnosis(run.path, reporter, device)
    except Exception as problem:  # of any rule: none is worth a finished training
        reporter.note(f"no diagnosis for the report: {problem}")
    try:
        write_report(run.path)
    except (OSError, ValueError) as problem:
        reporter.note(f"the report is that of the training alone: {problem}")
    told = run.summary.get("alarms", [])  # while it trained
    for finding in findings:
        if finding.status != "note" and finding.name not in told:
            reporter.note(f"{finding.name}: {finding.told}; what to try stands in {run.path}/report.html")


def prepare(
    recipe: str, data: str | None, size: Size, changes: Mapping[str, Any], progress: Progress = SILENT
) -> tuple[Config, ImageStore]:
    """The complete configuration of a recipe on its data, and the data; recipes fit themselves to its shape."""
    if recipe not in RECIPES:
        raise ConfigError(f"unknown recipe '{recipe}'{closest(recipe, RECIPES)}")
    if size not in ("laptop", "paper"):
        raise ConfigError(f"size is '{size}'; it takes laptop or paper")
    if data is not None and "data.source" in changes:
        raise ConfigError("the data is named twice, by data and by data.source")
    decide = {k: v for k, v in changes.items() if k.startswith("data.") or k in ("game", "conditional", "start")}
    source = {"data.source": data} if data is not None else {}
    usual = RECIPES[recipe]((1, 28, 28), size)  # of some shape: only to learn which data the recipe takes by default
    wanted = override(usual, source | decide)
    changes = {"data.source": wanted.data.source, **changes}
    refuse_early(recipe, size, wanted.data, changes)
    store = open_for(wanted, progress)
    if wanted.start:
        changes = dict(as_begun(wanted.start, RECIPES[recipe](store.shape, size), store.shape, changes))
    return fitted(recipe, store.shape, size, changes), store


def _resumed(
    run: Run, recipe: str | None, data: str | None, changes: Mapping[str, Any], progress: Progress
) -> tuple[Config, ImageStore]:  # fmt: skip
    """The run's own configuration; what was asked for again must be equal to it, but for how long to train."""
    kept = run.config
    free = {k: v for k, v in changes.items() if k in ("images", "autopilot") or k.startswith("output.")}
    if recipe is not None and recipe != kept.recipe:
        raise ConfigError(f"{run.path} is a run of '{kept.recipe}', not of '{recipe}'; resume it without a recipe")
    asked = override(kept, dict(changes) | ({"data.source": data} if data is not None else {}))
    run.must_equal(resolve(asked))
    config = override(kept, free)
    store = open_for(config, progress)
    before = run.summary.get("data", {}).get("fingerprint")
    if before and before != store.fingerprint:
        raise ConfigError(
            f"the data '{config.data.source}' has changed since {run.path} was started, or was divided otherwise by an "
            "older Organza; train anew"
        )
    return config, store


def _created(out: str | Path | None, config: Config, store: ImageStore, dry_run: bool) -> Run:
    path = Path(shared_choice(str(out or new_folder(f"{config.recipe}-{Path(store.name).stem}"))))
    Run.must_be_free(path)
    return Run.create(path, config) if rank() == 0 and not dry_run else Run(path, config)


@contextmanager
def _no_litter(run: Run) -> Iterator[None]:
    """Remove the new folder of a run that fails before its first checkpoint."""
    try:
        yield
    except BaseException:
        if run.made_here and not run.checkpoints():
            shutil.rmtree(run.path, ignore_errors=True)
        raise


def _planned(
    run: Run, config: Config, store: ImageStore, device: torch.device, limits: Limits, resume: bool, reporter: Reporter
) -> Run:
    """Tell the plan, and write nothing."""
    trainer = Trainer(config, store, device)
    if resume:
        state, problems = run.newest_state()
        for problem in problems:
            reporter.note(problem)
        if state is not None:
            trainer.restore(state)
    for line in _transferred(trainer, resume).lines:
        reporter.note(line)
    _tell(make_plan(trainer, run.path, open_score(config, store)), limits, reporter)
    reporter.close()
    return run


def _tell(plan: Plan, limits: Limits, reporter: Reporter) -> None:
    reporter.plan(plan.lines(limits.images if limits.images < FOREVER else plan.config.images, limits.minutes))


def _run(
    run: Run, config: Config, store: ImageStore, device: torch.device, limits: Limits, resume: bool, reporter: Reporter
) -> Run:
    trainer = Trainer(config, store, device)
    outputs = Outputs(run, config, store, _summary(trainer, store, run.summary if resume else {}))
    if resume:
        for problem in outputs.restore(trainer):
            reporter.note(problem)
        if trainer.images >= limits.images:
            reporter.note(f"this run is complete at {trainer.images} images; add --images N to go further")
    start = _transferred(trainer, resume)
    outputs.summary |= start.facts
    plan, began = make_plan(trainer, run.path, outputs.scoring.score), trainer.images
    if rank() == 0:
        write_json(run.path / "config.json", to_dict(config))
        write_json(run.path / "env.json", environment(device))
        _tell(plan, limits, reporter)
    for line in start.lines:
        reporter.note(line)
        outputs.note(line)
    with interruptible(limits.interrupt):
        if not resume:
            outputs.begin(trainer)
        status = "failed"
        try:
            ended = trainer.train(outputs, limits, reporter)
            if limits.signal is not None:
                run.stopped_by = limits.signal
                reporter.note(f"{signal.Signals(limits.signal).name}: the step is done, saving")
            scores = outputs.end(trainer, scored=ended == "finished" and (not resume or trainer.images > began))
            status = ended
            if scores:
                reporter.tick(trainer.images, scores)
        finally:
            reporter.close()
            with suppress(OSError) if status == "failed" else nullcontext():  # the first error is the one to tell
                outputs.close(status, trainer)
    return run


def _transferred(trainer: Trainer, resume: bool) -> Start:
    """Start from trained networks where the configuration says so; what was kept. A resumed run has its own."""
    return start_from(trainer, trainer.config.start) if trainer.config.start and not resume else Start()


def _summary(trainer: Trainer, store: ImageStore, before: dict[str, Any]) -> dict[str, Any]:
    players = {name: sum(p.numel() for p in player.network.parameters()) for name, player in trainer.players.items()}
    data = {
        "name": store.name, "count": len(store), "shape": list(store.shape), "classes": list(store.classes),
        "licence": store.licence, "catalogue": store.catalogue, "fingerprint": store.fingerprint,
    }  # fmt: skip
    translates, config = {}, trainer.config
    if GAMES[config.game].translates:
        scale = shown_shape(config, store)[1] / source_shape(config, store)[1]
        translates = {"scale": scale, "use": use_of(config.data.degrade, scale)}
    return before | {"data": data, "parameters": players} | translates
