"""The typed configuration of a run: what a recipe returns, `config.json` stores and the command line overrides.

Nothing here imports torch, and no configuration enters an `nn.Module`: `organza.models.build` unpacks a `Model`.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Shape = tuple[int, ...]
"""Of one sample: (channels, height, width) of an image, (dimensions,) of a point."""

Changes = Mapping[str, Any]
"""Fields of a configuration by dotted name, and what they become."""

Size = Literal["laptop", "paper"]
"""Of a recipe: `laptop` trains on a CPU in minutes, `paper` has the published widths and budgets."""


class ConfigError(ValueError):
    """A user's mistake in a recipe, a field or a value; the message says what is allowed and what to type."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A value that moves from `start` to `end` until `images` were seen by the discriminator, then stays."""

    start: float  # the first value
    end: float  # the last value
    images: int  # seen by the discriminator when the last value is reached
    shape: Literal["linear", "cosine"] = "cosine"  # of the way from one to the other
    hold: int = 0  # images before it begins to move


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where the samples come from and how they are prepared, once, before training."""

    source: str = "mnist"  # a name, a folder, a zip, an array file or hf:org/name
    resolution: tuple[int, int] | None = None  # height, width to resize to; None keeps the source's
    crop: Literal["none", "center"] = "none"  # how other aspects are met: stretched, or their centre cut out
    channels: Literal["keep", "grey", "rgb", "rgba"] = "keep"  # change the colours
    flip: bool = False  # mirror half of the samples, anew in every batch
    window: tuple[int, int] | None = None  # height, width of a part cut out at random, anew in every batch
    direction: Literal["AtoB", "BtoA"] = "AtoB"  # of a translation: which half of the pairs is translated
    layout_classes: int = 0  # of label maps, which a translation starts from: a plane for each class; 0: images
    attributes: tuple[str, ...] = ()  # of a table beside the images, such as Male,Young; empty: all of it
    heldout: float = 0.0  # share kept from training, which tells whether D learns its images by heart
    degrade: str = "none"  # of organza.data.degrade: what a translation starts from is made of the images themselves


@dataclass(frozen=True, kw_only=True)
class Model:
    """A network of the catalogue `organza.models.MODELS` and the keyword options of its constructor."""

    name: str  # of organza.models.MODELS
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """The update rule of one player."""

    name: Literal["adam", "rmsprop", "sgd"] = "adam"  # the update rule
    lr: float | Schedule = 2e-4  # learning rate
    beta1: float = 0.5  # Adam's first, SGD's momentum
    beta2: float | Schedule = 0.999  # Adam's second, RMSprop's smoothing
    eps: float = 1e-8  # keeps the division of Adam and RMSprop finite
    weight_decay: float = 0.0  # pull of the weights to zero
    mapping: float = 1.0  # the rate of a generator's mapping network over that of its other parts


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """A regulariser of `organza.penalties.PENALTIES`, added to the loss of every `every`-th turn, times `every`."""

    name: str  # of organza.penalties.PENALTIES
    weight: float | Schedule  # its factor in the loss
    every: int = 1  # turns from one to the next; its weight is multiplied by as much


@dataclass(frozen=True, kw_only=True)
class Player:
    """One side of the game: its network, its optimiser, its turns per step and its regularisers."""

    model: Model
    optimizer: Optimizer = Optimizer()
    turns: int = 1  # in one step
    penalties: tuple[Penalty, ...] = ()  # added to the loss, such as r1,r2
    clip: float | None = None  # largest norm of the whole gradient; None leaves it
    weight_clip: float | None = None  # every weight is cut to [-c, c] after each turn (arXiv:1701.07875)
    spectral_norm: bool = False  # every weight matrix divided by its largest singular value (arXiv:1802.05957)
    frozen: int = 0  # first layers that stay as they are: Freeze-D, for transfer (arXiv:2002.10964)
    init: Literal["own", "normal", "xavier", "he", "orthogonal"] = "own"  # of the weights; own: as its paper says


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the discriminator is told about its samples: 1 is real, 0 is fake (arXiv:1606.03498, section 3.4)."""

    real: float = 1.0  # of real samples; 0.9 is one-sided smoothing
    fake: float = 0.0  # of fake samples; 0.1 makes the smoothing two-sided
    spread: float = 0.0  # each target moves at random by up to this much
    flip: float = 0.0  # share of samples, real and fake, that are called the opposite
    known: bool = False  # patches of a filled hole's surroundings are called real, as the samples (arXiv:2109.07161)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What happens to all images before the discriminator sees them, differentiably, with the same random numbers."""

    policy: tuple[str, ...] = ()  # words of organza.augment, such as diffaugment or bgc; empty: nothing
    probability: float | Schedule = 1.0  # of each operation; where it begins if it adapts
    target: float | None = None  # of E sign D(x), to which the probability adapts: ADA has 0.6 (arXiv:2006.06676)
    fakes_for_reals: bool = False  # adaptive pseudo augmentation: fakes take the place of reals (arXiv:2111.06849)
    speed: int = 500_000  # images in which an adaptive probability can go from 0 to 1


@dataclass(frozen=True, kw_only=True)
class Codes:
    """The first numbers of the noise, which the discriminator has to read back: InfoGAN (arXiv:1606.03657)."""

    categorical: tuple[int, ...] = ()  # one code with so many values for each number
    continuous: int = 0  # codes uniform in [-1, 1]


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Past fakes shown to the discriminator again (Shrivastava et al., arXiv:1612.07828, section 2.3)."""

    share: float = 0.0  # of the fakes in its turn
    size: int = 512  # fakes kept, over all processes


@dataclass(frozen=True, kw_only=True)
class EMA:
    """The average of the generator's weights, which is what `organza.load` returns."""

    half_life: float | Schedule = 20_000.0  # in images; 0 copies the raw weights
    ramp: float | None = 0.05  # the half-life is at most this share of the images seen so far


@dataclass(frozen=True, kw_only=True)
class Output:
    """How often the run folder is written, in images seen by the discriminator."""

    log: int = 5_000  # scalars, progress, and the look for non-finite numbers
    samples: int = 50_000  # grids of the fixed latents, raw and EMA
    checkpoint: int = 100_000  # and the model, and the report
    score: bool | int = True  # images from one cheap score to the next; true: with each checkpoint; 0: never
    pictures: bool = True  # at the end: neighbours, holes, spectrum and more, for the report
    evaluate: bool | int = True  # samples of the full evaluation at the end; true: 10 000, in runs of 100 000 images


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides a run.

    On a CPU, equal configurations, versions, threads and numbers of processes give equal runs, bit by bit.
    """

    recipe: str
    generator: Player
    discriminator: Player
    loss: str = "non-saturating"  # of organza.losses.LOSSES
    game: str = "latent"  # of organza.games.GAMES
    conditional: bool = False  # both players see the labels
    start: str | None = None  # a run, a model or a foreign file whose networks both players start from
    share_fakes: bool = False  # both players' turns use one generator pass; needs one turn each
    targets: Targets = Targets()
    augment: Augment = Augment()
    codes: Codes = Codes()
    replay: Replay = Replay()
    noise: float | Schedule = 0.0  # deviation of the noise on all that the discriminator sees (arXiv:1701.04862)
    blur: float | Schedule = 0.0  # deviation in pixels of the blur of all that D sees (arXiv:2106.12423, section 3.2)
    dropout: float = 0.0  # share of D's last features that is left out, of each sample anew (arXiv:1207.0580)
    top_k: float | Schedule = 1.0  # share of the fakes, the most real ones, from which G learns (arXiv:2002.06224)
    game_weight: float | Schedule = 1.0  # of what D says in G's loss; while it is 0, G learns from its penalties alone
    unroll: int = 0  # steps of the discriminator that the generator looks ahead (arXiv:1611.02163)
    balance: float | None = None  # the discriminator rests while it calls more than this share of reals real
    perceptual: str = "auto"  # the trained network that penalties look through; auto: the best that is found here
    data: Data = Data()
    batch: int = 64  # real images in one turn, over all processes
    accumulate: int = 1  # micro-batches in one turn; batch norm sees each of them alone
    images: int = 1_000_000  # seen by the discriminator when the run ends
    pace: float = 1.0  # the recipe's images and schedules are so many times as long; 0.1 is a short run of all stages
    ema: EMA = EMA()
    precision: Literal["auto", "float32", "bfloat16"] = "float32"  # auto: bfloat16 where the device computes in it
    compile: bool = False  # the passes without second derivatives, by torch.compile: slow to start, faster on a GPU
    seed: int = 0  # decides every random number of the run
    autopilot: bool = False  # change what the signals say is wrong, while the run trains; each change is logged
    output: Output = Output()


def to_dict(config: Any) -> Any:
    """A configuration as plain JSON values; the options of a `Model` stand beside its name."""
    if isinstance(config, Model):
        return {"name": config.name, **to_dict(dict(config.options))}
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {key: to_dict(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [to_dict(value) for value in config]
    return config


def from_dict(values: Mapping[str, Any]) -> Config:
    """The inverse of `to_dict`. Raises ConfigError for unknown fields and for values of a wrong type."""
    return coerce(values, Config, "config")


def override(config: Config, changes: Changes) -> Config:
    """A copy with dotted fields replaced: `{"generator.model.width": 64, "discriminator.penalties": "r1,r2"}`.

    Values may be Python objects or the strings of a command line. An item of a tuple is addressed by its name or its
    number (`discriminator.penalties.r1.weight`). A penalty that is named alone keeps the weight that it had, others
    weigh 1; a network that is named alone keeps its options. Raises ConfigError with the closest field for an unknown
    one.
    """
    for path, value in changes.items():
        config = _replace(config, path.split("."), value, path)
    return config


def closest(word: str, allowed: typing.Iterable[str], alike: float = 0.5) -> str:
    """`; did you mean 'x'?` for the most similar allowed word from `alike` (0 to 1) on, or the allowed words."""
    words = sorted(allowed)
    found = difflib.get_close_matches(word, words, n=1, cutoff=alike)
    return f"; did you mean '{found[0]}'?" if found else f"; allowed: {', '.join(words)}"


def difference(before: Config, after: Config) -> list[str]:
    """One line for each dotted field that differs: `batch: 64 -> 32`."""
    old, new = _flat(to_dict(before)), _flat(to_dict(after))
    keys = sorted(old.keys() | new.keys())
    return [f"{k}: {old.get(k, '(none)')} -> {new.get(k, '(none)')}" for k in keys if old.get(k) != new.get(k)]


def coerce(value: Any, hint: Any, path: str) -> Any:
    """`value` (an object, JSON or a word of the command line) as the type `hint`. Raises ConfigError."""
    options = typing.get_args(hint)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return _first_that_fits(value, options, path)
    if typing.get_origin(hint) is Literal:
        if str(value) not in map(str, options):  # a word of the command line is a number of the options too
            raise ConfigError(f"{path} is '{value}'{closest(str(value), map(str, options))}")
        return next(option for option in options if str(option) == str(value))
    if typing.get_origin(hint) is tuple:
        return _tuple(value, options, path)
    if hint is type(None):
        if value is not None and str(value).lower() not in ("none", "null"):
            raise ConfigError(f"{path} is {value!r}, not none")
        return None
    if dataclasses.is_dataclass(hint):
        return _record(value, typing.cast(type, hint), path)
    return value if hint is Any else _scalar(value, hint, path)


def _first_that_fits(value: Any, options: tuple[Any, ...], path: str) -> Any:
    problems = []
    for option in sorted(options, key=lambda o: o is str):  # text takes everything, so it is asked last
        try:
            return coerce(value, option, path)
        except ConfigError as problem:
            problems.append(str(problem))
    raise ConfigError(problems[0])


def _scalar(value: Any, hint: type, path: str) -> Any:
    wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[hint]
    if isinstance(value, str) and hint is not str:
        words = {"true": True, "false": False}
        try:
            value = words[value.lower()] if hint is bool else float(value.replace("_", ""))
        except (KeyError, ValueError):
            raise ConfigError(f"{path} is '{value}'; it takes {wanted}") from None
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    endless = isinstance(value, float) and not math.isfinite(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)) or endless:
        raise ConfigError(f"{path} is {value!r}; it takes {wanted}")
    return value


def _tuple(value: Any, options: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    items = _items(value)
    if options[-1] is Ellipsis:
        return tuple(coerce(item, options[0], f"{path}.{i}") for i, item in enumerate(items))
    if len(items) == 1 and isinstance(items[0], str) and options == (int, int):
        items = items[0].lower().split("x")  # 48x32, a height and a width
    if len(items) == 1:  # 64 for (64, 64)
        items *= len(options)
    if len(items) != len(options):
        raise ConfigError(f"{path} is {value!r}; it takes {len(options)} values")
    return tuple(coerce(item, option, path) for item, option in zip(items, options, strict=True))


def _items(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part for part in value.strip("()[]").replace(" ", "").split(",") if part and part != "none"]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _record(value: Any, hint: type, path: str) -> Any:
    if isinstance(value, hint):
        return value
    if isinstance(value, str) and value.startswith("{"):
        value = _json(value, path)
    if isinstance(value, str) and hint in (Model, Penalty):
        value = {"name": value} if hint is Model else {"name": value, "weight": 1.0}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path} is {value!r}; it takes the fields {', '.join(_hints(hint))}")
    required = [f.name for f in dataclasses.fields(hint) if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in required if name not in value]:
        raise ConfigError(f"{path} lacks {' and '.join(missing)}")
    if hint is Model:
        return Model(name=value["name"], options={k: _frozen(v) for k, v in value.items() if k != "name"})
    hints = _hints(hint)
    for key in value:
        if key not in hints:
            raise ConfigError(f"{path} has no field '{key}'{closest(key, hints)}")
    return hint(**{key: coerce(item, hints[key], f"{path}.{key}") for key, item in value.items()})


def _json(text: str, path: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as problem:
        raise ConfigError(f"{path} is '{text}', which is no JSON: {problem}") from None


def _replace(node: Any, keys: list[str], value: Any, path: str) -> Any:
    key, rest = keys[0], keys[1:]
    if isinstance(node, tuple):
        names = [getattr(item, "name", str(i)) for i, item in enumerate(node)]
        if key not in names and not (key.isdigit() and int(key) < len(node)):
            raise ConfigError(f"no field '{path}': no '{key}'{closest(key, names) if names else ' (it is empty)'}")
        at = names.index(key) if key in names else int(key)
        new = _replace(node[at], rest, value, path) if rest else coerce(value, type(node[at]), path)
        return (*node[:at], new, *node[at + 1 :])
    if isinstance(node, Model) and key != "name":
        if rest:
            raise ConfigError(f"no field '{path}': '{key}' is a single value")
        return dataclasses.replace(node, options={**node.options, key: _frozen(value)})
    if not dataclasses.is_dataclass(node) or key not in _hints(type(node)):
        fields = _hints(type(node)) if dataclasses.is_dataclass(node) else ()
        raise ConfigError(f"no field '{path}'{closest(key, fields) if fields else ''}")
    before, hint = getattr(node, key), _hints(type(node))[key]
    if rest and Schedule in typing.get_args(hint) and not isinstance(before, Schedule):
        raise ConfigError(_whole(path.removesuffix("." + ".".join(rest)), before, path))
    new = _replace(before, rest, value, path) if rest else coerce(_as_before(before, value), hint, path)
    return dataclasses.replace(typing.cast(Any, node), **{key: new})


def _whole(field: str, number: float, path: str) -> str:
    """How a schedule is typed in the place of a number, which has no such field as `path`."""
    start = number or 0.1
    example = json.dumps({"start": start, "end": start / 2, "images": 100_000})
    return f"no field '{path}': {field} is the number {number}; type a schedule whole, as JSON: --{field} '{example}'"


def _as_before(before: Any, value: Any) -> Any:
    """What `value` names alone as it stands in `before`: a network with its options, penalties with their weights."""
    if isinstance(before, Model) and value == before.name:
        return before
    known = {item.name: item for item in before if isinstance(item, Penalty)} if isinstance(before, tuple) else {}
    return [known.get(item, item) if isinstance(item, str) else item for item in _items(value)] if known else value


def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else key)
    return flat
