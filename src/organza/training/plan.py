"""What a run will cost, told before its first step: memory, time and disk."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from organza.config import Config, Shape
from organza.data.cache import available_memory
from organza.data.degrade import without_values
from organza.data.store import ImageStore
from organza.metrics.quick import QuickScore
from organza.penalties.eyes import open_eyes
from organza.training.contradictions import looks
from organza.training.distributed import alone, world
from organza.training.precision import pick_precision
from organza.training.schedule import zero_until
from organza.training.scoring import interval, seconds_of

if TYPE_CHECKING:
    from organza.training.trainer import Trainer

PROBE_STEPS = 3


@dataclass(frozen=True)
class Plan:
    """The figures; `lines` puts them into words."""

    config: Config
    store: ImageStore
    path: Path
    device: torch.device
    parameters: dict[str, int]
    memory: int  # bytes of tensors at the peak of a step, data not included
    rate: float  # images a second
    disk: int  # bytes of a run folder
    resumed_at: int = 0
    score: str = ""  # in words: which, how often, and its share of the time

    def lines(self, images: int, minutes: float | None) -> list[str]:
        """At most 12 lines for the user."""
        config, store = self.config, self.store
        dtype, reason = pick_precision(config.precision, self.device)
        seconds = (images - self.resumed_at) / self.rate
        if minutes is not None:
            seconds = min(seconds, minutes * 60)
        players = ", ".join(f"{name} {count:,}" for name, count in self.parameters.items())
        models = " / ".join(dict.fromkeys((config.generator.model.name, config.discriminator.model.name)))
        through = f", perceptual through {config.perceptual}" if looks(config) else ""
        penalties = [f"{p.name} every {p.every}" if p.every > 1 else p.name for p in config.discriminator.penalties]
        lines = [
            f"recipe    {config.recipe}: networks {models}, loss {' + '.join([config.loss, *penalties])}{through}",
            f"players   {players} parameters",
            f"data      {store.name}: {len(store):,} samples of {_size(store.shape)}{_classes(config, store)}",
            f"device    {self.device} ({torch.get_num_threads()} threads), {str(dtype).split('.')[1]} ({reason})",
            f"budget    {images / 1000:,.0f} kimg in batches of {config.batch}, about {duration(seconds)} "
            f"({self.rate:,.0f} images/s)",
            f"memory    about {in_bytes(self.memory)} at the peak of a step, {in_bytes(store.images.nbytes)} of data",
            f"disk      about {in_bytes(self.disk)}, {in_bytes(shutil.disk_usage(_present(self.path)).free)} free",
            f"results   {self.path}/report.html",
        ]
        if self.score:
            lines.insert(-2, f"score     {self.score}")
        if self.resumed_at:
            lines.insert(0, f"resumed   at {self.resumed_at / 1000:,.0f} kimg")
        return lines


def make_plan(trainer: Trainer, path: Path, score: QuickScore | None = None) -> Plan:
    """Count parameters, time a few steps and undo them, and add up what a run folder holds."""
    networks = {name: player.network for name, player in trainer.players.items()}
    parameters = {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}
    state_bytes = 4 * (sum(parameters.values()) * 3 + parameters["generator"])
    grids = 2 * (trainer.config.images // trainer.config.output.samples + 1)
    memory = peak_memory(trainer.config, trainer.store)
    if trainer.device.type == "cpu" and sys.platform == "linux" and memory > available_memory():
        raise MemoryError  # sooner than the kernel, which would end the process without a word
    rate = _probe(trainer)
    return Plan(
        trainer.config, trainer.store, path, trainer.device, parameters, memory=memory, rate=rate,
        disk=4 * state_bytes + 4 * parameters["generator"] * (1 if score is None else 5) + grids * 100_000,
        resumed_at=trainer.images, score=_scoring(trainer, score, rate),
    )  # fmt: skip


def _scoring(trainer: Trainer, score: QuickScore | None, rate: float) -> str:
    every = interval(trainer.config)
    if score is None:
        return "none: nothing embedded judges this data" if every else ""
    share = (seconds := seconds_of(trainer, score)) / (seconds + every / rate)
    often = f"every {every / 1000:,.4g} kimg" if every < trainer.config.images else "at the end"
    return f"{score.headline[0]} {often}, about {100 * share:.2g} % of the time; the best model goes to best/"


def _probe(trainer: Trainer) -> float:
    """Images a second of a few real steps; the trainer is then put back exactly where it was."""
    before, config = trainer.state(), trainer.config
    alone = min(zero_until(config.discriminator.optimizer.lr), config.images)  # G learns alone, and a step costs less
    seconds = alone * _seconds_of_an_image(trainer, 0) if alone else 0.0
    # The last stage is the dearest one of a network that grows.
    seconds += (config.images - alone) * _seconds_of_an_image(trainer, config.images)
    trainer.restore(before)
    return config.images / seconds


def _seconds_of_an_image(trainer: Trainer, at: int) -> float:
    trainer.images = at
    trainer.step()  # the first one builds kernels and optimiser state
    images, start = trainer.images, time.perf_counter()
    for _ in range(PROBE_STEPS):
        trainer.step()
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    return (time.perf_counter() - start) / (trainer.images - images)


def peak_memory(config: Config, store: ImageStore) -> int:
    """Bytes of all tensors of one process at the peak of two steps, found without computing anything.

    The steps run on fake tensors, which have shapes and no data, and every living storage is counted.
    """
    from organza.training.trainer import Trainer

    config = dataclasses.replace(config, batch=config.batch // world(), balance=None)  # rests ask for values
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, degrade=without_values(config.data.degrade))
    )
    sample = ImageStore(
        store.name, torch.zeros(config.batch, *store.shape, dtype=store.images.dtype),
        None if store.labels is None else torch.zeros(config.batch, *store.labels.shape[1:], dtype=torch.long),
        store.classes,
        sources=None if store.sources is None else torch.zeros(
            config.batch, *store.sources.shape[1:], dtype=store.sources.dtype
        ),
    )  # fmt: skip
    if looks(config):
        open_eyes(config.perceptual, "cpu")  # its weights are real ones, which it keeps
    kept = torch.get_rng_state()
    try:
        with alone(), FakeTensorMode(allow_non_fake_inputs=True), LivingStorages() as living:
            trainer = Trainer(config, sample, torch.device("cpu"))
            trainer.images = config.images  # a network that grows has all its layers at the end
            for _ in range(2):
                trainer.step()
        return living.peak
    finally:
        torch.set_rng_state(kept)


class LivingStorages(TorchDispatchMode):
    """Adds up the bytes of the storages that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return
        self.known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def duration(seconds: float) -> str:
    """`45 s`, `4 min`, `2.5 h` or `3.1 days`."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            value = seconds / unit
            return f"{value:.1f} {name}" if name == "h" else f"{max(value, 1):.0f} {name}"
    return f"{seconds / 86400:.1f} days"


def _present(path: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())


def in_bytes(count: float) -> str:
    """`12 KB`, `340 MB` or `3.1 GB`."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _size(shape: Shape) -> str:
    return f"{shape[0]} numbers" if len(shape) == 1 else f"{shape[1]}x{shape[2]}x{shape[0]}"


def _classes(config: Config, store: ImageStore) -> str:
    if not store.classes:
        return ""
    what = "attributes" if store.has_attributes else "classes"
    return f", {len(store.classes)} {what}" + ("" if config.conditional else " (not used)")
