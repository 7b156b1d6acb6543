"""Tiny real parts for the tests of the engine: small data, recipes with small networks, runs in real processes."""

import json
import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import torch
from feature_helpers import random_features
from safetensors.torch import load_file, save_file

import organza
from organza.config import Codes, Penalty, Schedule, override
from organza.data.store import ImageStore
from organza.games import GAMES
from organza.recipes import RECIPES
from organza.reporter import Silent
from organza.training import plan
from organza.training.assemble import resolve
from organza.training.checkpoint import load as load_checkpoint
from organza.training.distributed import process_group, rank, world
from organza.training.trainer import Trainer

CPU = torch.device("cpu")
SHAPE = (1, 16, 16)
ROWS = 37  # no multiple of any batch, so that epochs end inside one
SMALL = {
    "width": 8, "max_width": 16, "z_dim": 8, "embed_dim": 4, "depth": 2, "blocks": 1, "channels_per_group": 8,
    "w_dim": 8, "mapping_layers": 2,
}  # fmt: skip
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["engine_helpers", "torch._dynamo"])  # optimisers import the latter, which takes seconds


def shrunk(recipe: str, shape=SHAPE, size="laptop") -> dict:
    """Changes that make the networks of a recipe small, whatever they are, and its run short."""
    config, changes = RECIPES[recipe](shape, size), {}
    for role in ("generator", "discriminator"):
        options = getattr(config, role).model.options
        changes |= {f"{role}.model.{key}": value for key, value in SMALL.items() if key in options}
        if "widths" in options:
            changes[f"{role}.model.widths"] = (8,) * len(options["widths"])
        if "features" in options:  # frozen weights from a package: random ones in their place
            changes |= {f"{role}.model.features": random_features(), f"{role}.model.resize": 32}
    if len(shape) == 1:
        changes |= {"generator.model.norm": "none", "noise": 0.0}  # batch norm is each process's own on a CPU
    if config.codes != Codes():
        changes |= {"codes.categorical": (3, 2), "codes.continuous": 1}
    often = {"output.log": 16, "output.samples": 10**9, "output.checkpoint": 48, "output.score": False,
             "output.pictures": False, "output.evaluate": False}  # fmt: skip
    return changes | often | {"batch": 8, "precision": "float32", "data.flip": False}


def write_data(folder: Path, shape=SHAPE, rows=ROWS) -> str:
    """A labelled array file of random images with 3 classes."""
    random = np.random.RandomState(0)
    path = folder / "small.npz"
    images = random.randint(0, 256, (rows, *shape)).astype(np.uint8)
    np.savez(path, images=images, labels=np.arange(rows) % 3)
    return str(path)


def small_store(shape=SHAPE, rows=ROWS, classes=3) -> ImageStore:
    """The same in memory; points where `shape` has one dimension."""
    generator = torch.Generator().manual_seed(0)
    if len(shape) == 1:
        images = torch.randn(rows, *shape, generator=generator)
    else:
        images = torch.randint(0, 256, (rows, *shape), generator=generator, dtype=torch.uint8)
    return ImageStore("small", images, torch.arange(rows) % classes, tuple("abc"[:classes]))


def small_config(recipe: str, changes=None, shape=SHAPE):
    """A complete configuration for `small_store(shape)`."""
    wanted = shrunk(recipe, shape) | (changes or {})
    return resolve(override(RECIPES[recipe](shape, "laptop"), wanted))


def small_trainer(recipe: str, changes=None, shape=SHAPE, store=None) -> Trainer:
    """A trainer on `small_store(shape)`."""
    return Trainer(small_config(recipe, changes, shape), store or small_store(shape), CPU)


EVERYTHING = {
    "share_fakes": False, "accumulate": 2, "data.flip": True, "conditional": True, "generator.clip": 1.0,
    "discriminator.clip": 0.5, "discriminator.turns": 2, "discriminator.model.dropout": 0.3,
    "discriminator.penalties": (
        Penalty(name="r1", weight=Schedule(start=1.0, end=0.1, images=60), every=2),
        Penalty(name="r2", weight=0.5, every=3),
        Penalty(name="gradient-norm", weight=1.0, every=2),
        Penalty(name="drift", weight=0.01),
    ),
    "generator.optimizer.lr": Schedule(start=1e-3, end=1e-4, images=100),
    "discriminator.optimizer.beta2": Schedule(start=0.9, end=0.99, images=100, shape="linear"),
    "ema.half_life": Schedule(start=0.0, end=50.0, images=100), "ema.ramp": 0.5,
}  # fmt: skip
"""Every setting that could break an exact resume, at once."""

TECHNIQUES = {
    "share_fakes": False, "loss": "relativistic-average", "data.flip": True, "ema.half_life": 30.0,
    "targets.real": 0.9, "targets.spread": 0.1, "targets.flip": 0.1, "top_k": Schedule(start=1.0, end=0.4, images=100),
    "noise": Schedule(start=0.3, end=0.0, images=120, shape="linear"),
    "augment.policy": ("xflip", "brightness", "cutout"), "augment.target": 0.3, "augment.probability": 0.2,
    "augment.speed": 400, "balance": 0.6, "replay.share": 0.5, "replay.size": 12,
    "discriminator.penalties": (
        Penalty(name="lecam", weight=0.3), Penalty(name="bcr", weight=1.0, every=2),
        Penalty(name="drift", weight=0.1, every=3), Penalty(name="orthogonal", weight=1e-3),
    ),
    "generator.penalties": (
        Penalty(name="zcr", weight=0.1), Penalty(name="feature-matching", weight=0.1, every=2),
        Penalty(name="orthogonal", weight=1e-3),
    ),
    "discriminator.weight_clip": 0.3, "discriminator.init": "he", "discriminator.model.norm": "none",
    "discriminator.optimizer.lr": 5e-3, "generator.spectral_norm": True, "generator.init": "orthogonal",
}  # fmt: skip
"""Every technique that remembers, adapts or moves with the images seen, at once."""


STYLES = {
    "share_fakes": False, "conditional": True, "generator.model.mixing": 0.9, "discriminator.frozen": 2,
    "generator.penalties": (Penalty(name="path-length", weight=2.0, every=2),),
    "discriminator.penalties": (Penalty(name="r1", weight=0.1, every=3),),
}  # fmt: skip
"""What StyleGAN2 remembers and draws beside its networks: the mean length of its paths, mixed styles, frozen layers."""


def variants() -> dict:
    """Name -> (recipe, changes) of the runs that must survive being killed."""
    plain = {name: (name, {}) for name in LATENT}
    more = {
        "dcgan-everything": ("dcgan", EVERYTHING),
        "dcgan-techniques": ("dcgan", TECHNIQUES),
        "gan-unrolled": ("gan", {"unroll": 2, "augment.fakes_for_reals": True, "augment.probability": 0.3}),
        "gan-dropout-flip": ("gan", {"data.flip": True, "discriminator.model.dropout": 0.5}),
        "gan-autopilot": ("gan", {"autopilot": True, "output.log": 8, "discriminator.optimizer.lr": 1e-9}),
        "stylegan2-styles": ("stylegan2", STYLES),
        "cgan-rmsprop": ("cgan", {"generator.optimizer.name": "rmsprop", "discriminator.optimizer.name": "sgd"}),
    }
    return plain | more


class Killer(Silent):
    """Ends its own process with SIGKILL, as an out-of-memory killer does, after a number of steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def progress(self, images, total, rate, eta):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_while_saving(which: int) -> None:
    """Make the `which`-th checkpoint of this process stop half-way through its file, and the process with it."""
    from organza.training import checkpoint

    whole, count = checkpoint.save_file, [0]

    def torn(tensors, path, metadata=None):
        whole(tensors, path, metadata=metadata)
        count[0] += 1
        if count[0] == which:
            with Path(path).open("rb+") as file:
                file.truncate(Path(path).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.save_file = torn


def run_once(arguments: dict, kill_after: int = 0, torn_save: int = 0, log: str | None = None) -> None:
    """`organza.train` in a process of its own, which may be told to die."""
    torch.set_num_threads(1)
    plan.peak_memory = lambda config, store: 1_000_000  # as in `conftest.py`
    if log is not None:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 2)
    if torn_save:
        kill_while_saving(torn_save)
    organza.train(**arguments, reporter=Killer(kill_after) if kill_after else Silent())


def in_process(arguments: dict, timeout: float = 300, **faults) -> int:
    """The exit code of `run_once` in a real process: -9 after SIGKILL."""
    process = FORKS.Process(target=run_once, args=(arguments,), kwargs=faults)
    process.start()
    process.join(timeout)
    assert process.exitcode is not None, "the run hangs"
    return process.exitcode


TIMINGS = {"seconds", "images_per_second", "memory"}  # what the machine decides


def log_of(path: Path) -> list[dict]:
    """log.jsonl without the clock."""
    lines = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in lines]


def flat(tree, prefix="") -> dict:
    """Every leaf of a tree of dicts by its path."""
    leaves = {}
    for key, value in tree.items():
        leaves |= flat(value, f"{prefix}{key}/") if isinstance(value, dict) else {prefix + str(key): value}
    return leaves


def assert_equal_trees(one: dict, two: dict) -> None:
    """Equal bit by bit, clocks excepted."""
    one, two = flat(one), flat(two)
    assert one.keys() == two.keys()
    for key, value in one.items():
        if key in ("counters/seconds", "counters/rate"):
            continue
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, two[key]), f"{key} differs by {(value.double() - two[key].double()).abs().max()}"
        else:
            assert value == two[key], key


def newest(path: Path) -> dict:
    """The state in the newest checkpoint of a run folder."""
    return load_checkpoint(sorted((path / "checkpoints").glob("[0-9]*.safetensors"))[-1])


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]


def _as_rank(rank: int, world: int, port: int, work, arguments: tuple) -> None:
    torch.set_num_threads(1)
    plan.peak_memory = lambda config, store: 1_000_000
    places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in places.items()} | {"MASTER_ADDR": "127.0.0.1"})
    work(rank, *arguments)


def as_processes(work, *arguments, world: int = 2, timeout: float = 300) -> list[int]:
    """Exit codes of `work(rank, *arguments)` in processes with the environment that torchrun gives them."""
    port = free_port()
    processes = [FORKS.Process(target=_as_rank, args=(r, world, port, work, arguments)) for r in range(world)]
    for process in processes:
        process.start()
    until = time.monotonic() + timeout
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
    hanging = [process for process in processes if process.exitcode is None]
    for process in hanging:
        process.kill()
    assert not hanging, "processes hang"
    return [process.exitcode for process in processes]


def learned(game) -> dict:
    """Weights and gradients of both players after a step; parts that no penalty asks for anything have none."""
    found = {}
    for player, network in (("g", game.generator), ("d", game.discriminator)):
        for name, parameter in network.named_parameters():
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            found |= {f"{player}/{name}/value": parameter.detach(), f"{player}/{name}/gradient": gradient}
    return found


def ranks_write(folder: str, trained, cases) -> None:
    """What `trained(case)` gives in each of two processes, as files; raises AssertionError when one fails."""
    assert as_processes(_write_as_rank, folder, trained, tuple(cases)) == [0, 0]


def _write_as_rank(number: int, folder: str, trained, cases) -> None:
    with process_group(CPU):
        assert (rank(), world()) == (number, 2)
        for case in cases:
            tensors = {name: tensor.clone().contiguous() for name, tensor in trained(case).items()}
            save_file(tensors, f"{folder}/{case}-{number}.safetensors")


def alone_and_as_rank(trained, case: str, folder) -> tuple[dict, dict]:
    """What one process learned, and what each of two did, which must be the same in both."""
    alone = trained(case)
    first, second = (load_file(f"{folder}/{case}-{number}.safetensors") for number in (0, 1))
    assert alone.keys() == first.keys() == second.keys()
    for name in alone:
        assert torch.equal(first[name], second[name]), f"{name} differs between the processes"
    return alone, first


def translating(recipe: str) -> bool:
    """Whether a recipe starts from images."""
    return GAMES[RECIPES[recipe]((3, 32, 32), "laptop").game].translates


LATENT = [recipe for recipe in RECIPES if not translating(recipe)]
TRANSLATING = [recipe for recipe in RECIPES if translating(recipe)]


def pictures_of(recipe: str) -> tuple[int, int, int]:
    """The smallest images for the tests of a translating recipe."""
    return (3, 32, 32) if recipe == "spade" else (3, 16, 16)


def reduced(recipe: str, size="laptop") -> dict:
    """As `shrunk`, for a translating recipe."""
    changes = shrunk(recipe, pictures_of(recipe), size)
    config = RECIPES[recipe](pictures_of(recipe), size)
    maker, judge = config.generator.model.options, config.discriminator.model.options
    more = {"mlp_width": 8, "style_dim": 4, "mapping_width": 8, "style_downs": 3, "hidden": 8}
    changes |= {f"generator.model.{key}": value for key, value in more.items() if key in maker}
    changes |= {"generator.model.downs": 2} if maker.get("downs", 0) > 2 else {}
    by_patches = ("pix2pix", "cyclegan", "cut", "fastcut", "pix2pixhd", "colorize", "colorize-nogan")
    fewest = {"layers": 2 if recipe in by_patches else judge.get("layers"),
              "scales": 1 if recipe in ("munit", "unit") else judge.get("scales")}  # fmt: skip
    changes |= {f"discriminator.model.{key}": value for key, value in fewest.items() if key in judge}
    changes |= {"replay.size": 8} if config.replay.share else {}
    return changes | {"batch": 4, "data.window": None, "data.resolution": None, "discriminator.turns": 1}


def translation_store(recipe: str, rows=20, changes=None) -> ImageStore:
    """Random images with counterparts of the same numbers, or of three classes where these are the domains."""
    kind, data = GAMES[translation_config(recipe, changes).game], translation_config(recipe, changes).data
    images = torch.randint(0, 256, (rows, *pictures_of(recipe)), generator=torch.Generator().manual_seed(0))
    images = images.to(torch.uint8)
    if kind.domains:
        return ImageStore("small", images, torch.arange(rows) % 3, tuple("abc"))
    sources = None if data.degrade != "none" else images.flip(3).clone()
    return ImageStore("small", images, sources=sources, paired=kind.paired)


def translation_config(recipe: str, changes=None, size="laptop"):
    """A complete configuration for `translation_store(recipe)`."""
    wanted = reduced(recipe, size) | (changes or {})
    return resolve(override(RECIPES[recipe](pictures_of(recipe), size), wanted))


def translation_trainer(recipe: str, changes=None, size="laptop") -> Trainer:
    """A trainer on `translation_store(recipe)`."""
    store = translation_store(recipe, changes=changes)
    return Trainer(translation_config(recipe, changes, size), store, CPU)
