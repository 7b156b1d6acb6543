"""The discriminator beside a published generator, in `discriminator/`: for whoever trains on from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from organza.config import ConfigError, Model, Shape, to_dict
from organza.hub.folder import FILES, FORMAT, must_be_sane, shape_in, whole, write_weights
from organza.hub.gan import GAN
from organza.hub.translator import Translator
from organza.layers.planning import planning
from organza.layers.spectral import add_spectral_norm
from organza.models import build
from organza.models.both_ways import BothJudges
from organza.training.checkpoint import DamagedError
from organza.training.run import Run, write_json

PLACE = "discriminator"
HEADS = "heads."  # what penalties of one recipe read with, which no other network needs
Tensors = Mapping[str, Tensor]


def save_judge(folder: Path, about: Mapping[str, Any], tensors: Tensors) -> None:
    """Write `discriminator/` into a model folder; `about` has `discriminator` (its model), `shape` and `classes`."""
    place = folder / PLACE
    place.mkdir(parents=True, exist_ok=True)
    write_json(place / FILES[1], {"format": FORMAT, **about})
    write_weights(place / "model.partial", tensors)
    (place / "model.partial").replace(place / FILES[0])


def judge_in(folder: Path) -> dict[str, Tensor]:
    """The tensors of the discriminator in a model folder, none without one.

    Raises DamagedError where they are not, by name and shape, those of the network that its config.json names.
    """
    place = folder / PLACE
    if not (place / FILES[0]).is_file():
        return {}
    try:
        about, tensors = json.loads((place / FILES[1]).read_text()), whole(place / FILES[0])
        if about["format"] != FORMAT:
            raise DamagedError(f"{place} has format {about['format']}; this version of Organza reads {FORMAT}")
        must_be_sane(about[PLACE])
        if differing := _differing(about, tensors):
            raise DamagedError(f"{place / FILES[1]} describes other weights than model.safetensors: {differing}")
    except DamagedError:
        raise
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, SafetensorError, TypeError,
            ValueError) as problem:  # fmt: skip
        raise DamagedError(f"{place} holds no discriminator of Organza: {problem!r:.200}") from None
    return tensors


def model_in(folder: Path) -> Model:
    """Which network `judge_in` has the tensors of."""
    return _model(json.loads((folder / PLACE / FILES[1]).read_text()))


def judge_of(place: str | Path, gan: GAN | Translator) -> tuple[dict[str, Any], Tensors]:
    """Description and tensors of the discriminator of `gan` in a run, a model folder or a foreign file.

    Raises FileNotFoundError, DamagedError, and ConfigError where there is none or one for other samples.
    """
    path = Path(place)
    if path.is_file():
        from organza.hub.foreign import read

        file = read(path)
        if file.discriminator is None:
            raise ConfigError(f"{path} holds no discriminator; leave discriminator out")
        about = {PLACE: to_dict(file.discriminator.model), "shape": list(file.shape), "classes": file.classes}
        return _for(gan, path, about), file.discriminator.tensors
    if (path / "checkpoints").is_dir():
        return _of_run(Run(path), gan)
    if not (tensors := judge_in(path)):
        raise ConfigError(f"{path} holds no discriminator (a run, or a folder with discriminator/); leave it out")
    return _for(gan, path, json.loads((path / PLACE / FILES[1]).read_text())), tensors


def _of_run(run: Run, gan: GAN | Translator) -> tuple[dict[str, Any], Tensors]:
    state, problems = run.newest_state()
    if state is None:
        raise DamagedError(f"no whole checkpoint is left in {run.path}: {'; '.join(problems) or 'none'}")
    player, tensors = run.config.discriminator, state["networks"][PLACE]
    about: dict[str, Any] = {PLACE: to_dict(player.model), "spectral_norm": player.spectral_norm}
    for shape in _seen(gan):
        for classes in dict.fromkeys((len(gan.classes), 0)):  # some are told the class, others read it
            made = about | {"shape": list(shape), "classes": classes}
            made |= {"of_a": list(gan.source)} if isinstance(gan, Translator) and gan.both_ways else {}
            if not _differing(made, tensors):
                return made, tensors
    raise ConfigError(f"the discriminator of {run.path} judges other samples than those of this model; leave it out")


def _seen(gan: GAN | Translator) -> list[Shape]:
    """What may be judged: results, or results beside what they were made from."""
    beside = [(gan.source[0] + gan.shape[0], *gan.shape[1:])] if isinstance(gan, Translator) else []
    return [gan.shape, *beside]


def _for(gan: GAN | Translator, path: Path, about: dict[str, Any]) -> dict[str, Any]:
    if tuple(about["shape"]) not in _seen(gan):
        raise ConfigError(f"the discriminator of {path} judges samples of {about['shape']}, not of {list(gan.shape)}")
    return about


def _differing(about: Mapping[str, Any], tensors: Tensors) -> str:
    """Names of tensors that the described network has not, or has in another shape; none: it fits."""
    with planning():
        network = _built(about)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items() if not name.startswith(HEADS)}
    return ", ".join(sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))[:5])


def _model(about: Mapping[str, Any]) -> Model:
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in about[PLACE].items() if key != "name"}
    return Model(name=about[PLACE]["name"], options=options)


def _built(about: Mapping[str, Any]) -> nn.Module:
    model, shape, classes = _model(about), shape_in(about["shape"]), int(about["classes"])
    network = build(model, "discriminator", shape, classes)
    if "of_a" in about:
        a = shape_in(about["of_a"])
        network = BothJudges(network, build(model, "discriminator", a, 0), (a[0], shape[0]))
    return add_spectral_norm(network) if about.get("spectral_norm") else network
