"""What this machine offers to a training run, looked at by trying it: each finding says what to do."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

import organza
from organza.config import Config
from organza.data.cache import available_memory, cache_folder
from organza.data.store import ImageStore
from organza.recipes import RECIPES
from organza.training.assemble import resolve
from organza.training.environment import hardware
from organza.training.plan import duration, in_bytes
from organza.training.precision import computes_in_bfloat16, pick_device
from organza.training.trainer import Trainer

Status = Literal["ok", "warning", "problem"]

DEFAULT = "dcgan"  # the recipe that is timed
BENCHMARK_SECONDS, BENCHMARK_THREADS = 1.0, 2
LITTLE_MEMORY, NO_MEMORY = 2 << 30, 512 << 20  # bytes
LITTLE_DISK, NO_DISK = 2 << 30, 100 << 20
EXTRAS = {"hub": ("datasets", "huggingface_hub"), "dev": ("pytest", "hypothesis", "ruff", "scipy")}
OFFLINE = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE")


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is, and what to do where it is not well."""

    name: str
    status: Status
    told: str
    advice: str = ""


Check = Callable[[], Iterator[Finding]]


def examine(here: Path = Path(), device: str = "auto") -> list[Finding]:
    """Every finding about this machine and the folder `here`; takes about three seconds, one of them a benchmark.

    Raises ConfigError for a device that is not there.
    """
    place = pick_device(device)
    checks: dict[str, Check] = {
        "versions": _versions, "devices": _devices, "processor": _processor, "memory": _memory,
        "bfloat16": lambda: _bfloat16(place), "optimiser": lambda: _fused_optimiser(place),
        "convolution": lambda: _channels_last(place), "speed": lambda: _speed(place),
        "disk": lambda: _folder("this folder", here.absolute(), "problem"), "data": _data, "extras": _extras,
    }  # fmt: skip
    found: list[Finding] = []
    for name, check in checks.items():
        try:
            with torch.random.fork_rng([place] if place.type == "cuda" else []):
                found += check()
        except Exception as problem:  # a broken installation breaks in any way, and the other lines still help
            told = f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else 'no message'}"
            found.append(Finding(name, "problem", told, "install torch anew for this machine: https://pytorch.org"))
    return found


def _versions() -> Iterator[Finding]:
    yield Finding("organza", "ok", organza.__version__)
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "ROCm" if torch.version.hip else "CPU"
    old = (major, minor) < (2, 11)
    advice = "pip install --upgrade 'torch>=2.11'" if old else ""
    yield Finding("torch", "problem" if old else "ok", f"{torch.__version__} ({build} build)", advice)


def _devices() -> Iterator[Finding]:
    for number in range(torch.cuda.device_count()):
        card = torch.device("cuda", number)
        free, total = torch.cuda.mem_get_info(card)
        major, minor = torch.cuda.get_device_capability(card)
        told = f"{hardware(card)}, compute capability {major}.{minor}, {in_bytes(free)} of {in_bytes(total)} free"
        little = free < LITTLE_MEMORY
        advice = "another program uses the card: nvidia-smi shows which" if little else ""
        yield Finding(f"cuda:{number}", "warning" if little else "ok", told, advice)
    if torch.backends.mps.is_available():
        yield Finding("mps", "ok", "Apple graphics; --device mps uses it")
    if not torch.cuda.is_available() and (Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi")):
        advice = "install the torch build for your driver: https://pytorch.org/get-started"
        yield Finding("cuda", "warning", "there is an NVIDIA driver, but this torch does not use it", advice)


def _processor() -> Iterator[Finding]:
    allowed, threads = _cores(), torch.get_num_threads()
    told = f"{hardware(torch.device('cpu')).rsplit(',', 1)[0]}, {allowed} cores, {threads} threads"
    advice = ""
    if threads > allowed:
        advice = f"more threads than cores slow each other down: export OMP_NUM_THREADS={allowed}"
    elif threads < allowed // 2:
        set_by = " (OMP_NUM_THREADS is set)" if "OMP_NUM_THREADS" in os.environ else ""
        advice = f"most cores stay idle{set_by}: export OMP_NUM_THREADS={allowed}"
    yield Finding("cpu", "warning" if advice else "ok", told, advice)


def _memory() -> Iterator[Finding]:
    free, total = available_memory(), _total_memory()
    told = f"{in_bytes(free)} free" + (f" of {in_bytes(total)}" if total else "")
    status: Status = "problem" if free < NO_MEMORY else "warning" if free < LITTLE_MEMORY else "ok"
    advice = {"ok": "", "warning": "close other programs before large runs", "problem": "close other programs"}[status]
    yield Finding("memory", status, told, advice)


def _bfloat16(device: torch.device) -> Iterator[Finding]:
    native = computes_in_bfloat16(device)
    yield Finding("bfloat16", "ok", f"in the hardware of {device}" if native else f"not on {device}; float32 is used")


def _fused_optimiser(device: torch.device) -> Iterator[Finding]:
    weight = nn.Parameter(torch.ones(64, device=device))
    weight.grad = torch.ones_like(weight)
    torch.optim.Adam([weight], lr=0.1, fused=True).step()
    works = bool(torch.allclose(weight, torch.full_like(weight, 0.9), atol=1e-3))
    advice = "" if works else "this torch computes wrongly: install it anew"
    yield Finding("fused Adam", "ok" if works else "problem", "works" if works else "gives wrong numbers", advice)


def _channels_last(device: torch.device) -> Iterator[Finding]:
    images = torch.linspace(-1, 1, 2 * 8 * 16 * 16, device=device).view(2, 8, 16, 16)
    layer = nn.Conv2d(8, 8, 3, padding=1).to(device)
    usual = layer(images)
    fast = layer.to(memory_format=torch.channels_last)(images.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    fast.sum().backward()
    works = bool(torch.allclose(usual, fast, atol=1e-2))
    advice = "" if works else "this torch computes wrongly: install it anew"
    told = "channels-last works" if works else "channels-last gives wrong numbers"
    yield Finding("convolution", "ok" if works else "problem", told, advice)


def _speed(device: torch.device) -> Iterator[Finding]:
    before = torch.get_num_threads()
    torch.set_num_threads(min(BENCHMARK_THREADS, _cores()))
    try:
        config = resolve(RECIPES[DEFAULT]((1, 28, 28), "laptop"))
        rate = _rate(config, device)
        threads = f" with {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    finally:
        torch.set_num_threads(before)
    told = f"{DEFAULT} on digits: {rate:,.0f} images/s on {device}{threads}; its run takes about "
    seconds = config.images / rate
    slow = seconds > 2 * 3600
    advice = "train less, such as --minutes 30, or close other programs" if slow else ""
    yield Finding("speed", "warning" if slow else "ok", told + duration(seconds), advice)


def _rate(config: Config, device: torch.device) -> float:
    """Images a second in real steps on noise."""
    noise = torch.randint(0, 256, (4 * config.batch, 1, 28, 28), dtype=torch.uint8)
    trainer = Trainer(dataclasses.replace(config, conditional=False), ImageStore("noise", noise), device)
    trainer.step()  # the first one builds kernels and optimiser state
    _finish(device)
    images, start = trainer.images, time.perf_counter()
    while time.perf_counter() - start < BENCHMARK_SECONDS:
        trainer.step()
    _finish(device)
    return (trainer.images - images) / (time.perf_counter() - start)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _folder(name: str, path: Path, unwritable: Status) -> Iterator[Finding]:
    """Free space, and whether a file can be written."""
    present = next(folder for folder in (path, *path.parents) if folder.is_dir())
    free = shutil.disk_usage(present).free
    told = f"{path}: {in_bytes(free)} free"
    try:
        with tempfile.NamedTemporaryFile(dir=present, prefix=".organza-") as file:
            file.write(bytes(1 << 20))
            file.flush()
    except OSError as problem:
        advice = "choose a folder that you may write to, and that has room"
        yield Finding(name, unwritable, f"{told}, cannot be written ({problem.strerror})", advice)
        return
    status: Status = "problem" if free < NO_DISK else "warning" if free < LITTLE_DISK else "ok"
    yield Finding(name, status, f"{told}, can be written", "" if status == "ok" else "free some space")


def _data() -> Iterator[Finding]:
    folder = cache_folder()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    for finding in _folder("data cache", folder, "warning"):
        advice = finding.advice and f"{finding.advice}: export ORGANZA_CACHE=FOLDER"
        yield dataclasses.replace(finding, told=f"{finding.told}, {in_bytes(size)} used", advice=advice)
    own = os.environ.get("ORGANZA_DATA")
    if own:
        there = Path(own).expanduser().is_dir()
        advice = "" if there else "make the folder, or unset ORGANZA_DATA"
        yield Finding("ORGANZA_DATA", "ok" if there else "warning", own if there else f"{own} is no folder", advice)
    flags = [f"{name}={os.environ[name]}" for name in OFFLINE if os.environ.get(name)]
    yield Finding("network", "ok", f"offline ({', '.join(flags)})" if flags else "used only for data that you name")


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        told = f"not installed ({', '.join(missing)}); to have it: pip install 'organza[{extra}]'"
        yield Finding(f"extra {extra}", "ok", told if missing else "installed")


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _total_memory() -> int:
    names: dict[str, Any] = getattr(os, "sysconf_names", {})
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if "SC_PHYS_PAGES" in names else 0
