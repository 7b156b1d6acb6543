"""SPADE's generator, and the encoder of styles that its official code writes into a file of its own.

latest_net_G.pth   head_0.conv_0.weight_orig, …, fc.weight, conv_img.weight
latest_net_E.pth   layer1.0.weight_orig, …, fc_mu.weight, fc_var.weight
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from organza.config import Model
from organza.hub.foreign.parts import OFFICIAL, Described, Tensors
from organza.layers.norm_names import new_names
from organza.layers.planning import planning
from organza.models.spade import UPS, Encoder
from organza.training.checkpoint import DamagedError

SIZES = {"usual": (256, 256), "more": (256, 512), "most": (512, 512)}


def is_generator(tensors: Tensors) -> bool:
    """Whether these names are those of its generator."""
    return tensors.keys() >= {"fc.weight", "conv_img.weight", "head_0.norm_0.mlp_shared.0.weight"}


def is_encoder(tensors: Tensors) -> bool:
    """Whether these names are those of its encoder."""
    return tensors.keys() >= {"fc_mu.weight", "fc_var.weight"} and any(name.startswith("layer1.0.") for name in tensors)


def generator(tensors: Tensors, notes: list[str]) -> tuple[str, Described, str]:
    """What it is, in words; how often it doubles stands in no tensor but with noise, and is told by its channels."""
    tensors = new_names(tensors)
    hidden, maps = tensors["head_0.norm_0.mlp_shared.0.weight"].shape[:2]
    most, vae = "up_4.conv_0.bias" in tensors, tensors["fc.weight"].dim() == 2
    ups = "most" if most else "more" if maps == 36 else "usual"
    after, last = tensors["conv_img.weight"].shape[:2]
    norm = "batch" if "head_0.norm_0.param_free_norm.running_mean" in tensors else "instance"
    options: dict[str, Any] = {"width": last * (2 if most else 1), "ups": ups, "hidden": hidden, "norm": norm,
                               "vae": vae, "spectral": any(name.endswith(".original") for name in tensors)}  # fmt: skip
    height, width = SIZES[ups]
    if vae:
        options["z_dim"] = tensors["fc.weight"].shape[1]
        height, width = _begun(len(tensors["fc.weight"]) // (16 * options["width"]), ups)
    elif not most:
        notes.append(
            f"no tensor tells whether it doubles 5 or 6 times (more); by its {maps} maps it is taken for '{ups}'"
        )
    made = Described(Model(name="spade", options=options), (after, height, width), 0, tensors, (maps, height, width))
    return f"SPADE's generator ({ups} ups, {maps} maps)", made, OFFICIAL


def encoder_alone(tensors: Tensors, notes: list[str]) -> tuple[str, Described, str]:
    """Raise DamagedError: it translates nothing."""
    raise DamagedError(
        "SPADE's encoder of styles, which makes no pictures; give its generator, as latest_net_G.pth for "
        "latest_net_E.pth, and the encoder that lies beside it is read too"
    )


def beside(path: Path) -> Path:
    """Where the encoder of the generator in a file lies: `latest_net_E.pth` for `latest_net_G.pth`."""
    return path.with_stem(f"{path.stem.removesuffix('_G')}_E")


def with_encoder(made: Described, tensors: Tensors) -> Described:
    """The generator with an encoder of these tensors. Raises DamagedError for one that is not its own."""
    if not is_encoder(tensors):
        raise DamagedError("it holds no encoder of SPADE")
    tensors, options = new_names(tensors), dict(made.model.options)
    first = next(tensor for name, tensor in tensors.items() if name.startswith("layer1.0."))
    options["encoder_width"] = len(first)
    with planning():
        planned = Encoder(made.shape, z_dim=options["z_dim"], width=len(first), spectral=options["spectral"])
    if _sizes(tensors) != _sizes(planned.state_dict()):
        raise DamagedError("its names and sizes are not those of this generator's encoder")
    own = {f"encoder.{name}": tensor for name, tensor in tensors.items()}
    return replace(made, model=Model(name="spade", options=options), tensors=made.tensors | own)


def _sizes(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _begun(places: int, ups: str) -> tuple[int, int]:
    """The sides of what a generator with noise makes: squares, or twice as wide. Raises DamagedError for others."""
    doubled = 2 ** UPS[ups]
    for height in range(1, places + 1):
        if places in (height**2, 2 * height**2):
            return height * doubled, places // height * doubled
    raise DamagedError(f"a SPADE generator that begins with {places} places, of which no side is known")
