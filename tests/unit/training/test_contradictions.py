"""Settings that cannot work together are refused, with words that say why and what to type; what is typed helps."""

import ast
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_helpers import CPU, shrunk, small_config, small_store, write_data

from organza.cli import main
from organza.config import Config, ConfigError, Penalty, Schedule, override
from organza.data.store import ImageStore
from organza.recipes import RECIPES
from organza.training import assemble, contradictions
from organza.training.assemble import build_game, check_data, resolve
from organza.training.trainer import Trainer

SHAPE = (1, 32, 32)
D, G = "discriminator.penalties", "generator.penalties"
MOVING = Schedule(start=0.0, end=1.0, images=100)
BACKWARDS = Schedule(start=0.0, end=0.5, images=-5)
READ = ("D has to learn to read",)

# What is asked of dcgan -> words of the message
REFUSED: list[tuple[dict, tuple[str, ...]]] = [
    ({"batch": 0}, ("batch is 0", "1 or more")),
    ({"accumulate": 0}, ("accumulate is 0", "1 or more")),
    ({"discriminator.turns": 0}, ("discriminator.turns is 0",)),
    ({"output.log": 0}, ("output.log is 0",)),
    ({"output.score": -1}, ("output.score is -1", "0 or more")),
    ({"augment.speed": 0}, ("augment.speed is 0",)),
    ({"seed": -1}, ("seed is -1", "4294967295")),
    ({"seed": 2**32}, ("seed is 4294967296",)),
    ({"targets.real": 2}, ("targets.real is 2.0", "from 0 to 1")),
    ({"targets.spread": -0.1}, ("targets.spread is -0.1",)),
    ({"replay.share": 1.5}, ("replay.share is 1.5",)),
    ({"top_k": 5}, ("top_k is 5.0",)),
    ({"augment.policy": "bgc", "augment.probability": 2}, ("augment.probability is 2.0",)),
    ({"augment.policy": "bgc", "augment.probability": Schedule(start=0, end=3, images=9)}, ("probability.end is 3",)),
    ({"pace": 0}, ("pace is 0.0", "such as 0.1")),
    ({"game_weight": -1}, ("game_weight is -1.0", "0 or more")),
    ({"game_weight": 0}, ("game_weight 0 leaves G nothing", "penalties such as pixel")),
    ({"top_k": 0}, ("top_k 0 leaves no fake", "such as 0.5")),
    ({"top_k": Schedule(start=1, end=0, images=9)}, ("top_k 0 leaves no fake",)),
    ({"balance": 0}, ("balance is 0", "such as 0.8")),
    ({"balance": 1}, ("balance is 1",)),
    ({"augment.policy": "bgc", "augment.target": 60, "augment.probability": 0}, ("target is 60", "such as 0.6")),
    ({"noise": BACKWARDS}, ("noise.images is -5",)),
    ({D: (Penalty(name="r1", weight=BACKWARDS),)}, ("discriminator.penalties.r1.weight.images is -5",)),
    ({"noise": -1}, ("noise is a deviation", "such as 0.1")),
    ({"blur": -1}, ("blur is a deviation in pixels", "such as 2")),
    ({"blur": Schedule(start=1, end=-1, images=9)}, ("blur is a deviation in pixels",)),
    ({"discriminator.frozen": -1}, ("discriminator.frozen is -1", "such as 4")),
    ({"ema.half_life": -5}, ("ema.half_life is below 0",)),
    ({"ema.ramp": 0}, ("ema.ramp is 0", "such as 0.05")),
    ({"generator.optimizer.lr": 0}, ("generator.optimizer.lr is 0", "such as 0.0002")),
    ({"discriminator.optimizer.lr": Schedule(start=0.1, end=-0.1, images=9)}, ("optimizer.lr is -0.1",)),
    ({"generator.optimizer.beta1": 1}, ("generator.optimizer.beta1 is 1", "such as 0.9")),
    ({"generator.optimizer.beta2": MOVING}, ("generator.optimizer.beta2.end is 1",)),
    ({"discriminator.optimizer.eps": -1}, ("discriminator.optimizer.eps is -1",)),
    ({"discriminator.optimizer.weight_decay": -1}, ("weight_decay is -1",)),
    ({"generator.optimizer.mapping": 0.0}, ("generator.optimizer.mapping is 0.0", "such as 0.01")),
    ({"discriminator.turns": 2}, ("share_fakes", "discriminator.turns 2", "--share_fakes false")),
    ({"accumulate": 2}, ("share_fakes", "accumulate 2", "--share_fakes false")),
    ({"share_fakes": False, "accumulate": 5}, ("batch 64 does not divide", "--batch 65")),
    ({"discriminator.clip": 0}, ("discriminator.clip is 0", "such as 1")),
    ({"generator.weight_clip": 0}, ("generator.weight_clip is 0", "such as 0.01")),
    ({"discriminator.weight_clip": 0.01, "discriminator.spectral_norm": True}, ("spectral_norm divides",)),
    ({"discriminator.weight_clip": 0.01, "discriminator.model": "progan"}, ("clip is of plain weights", "by design")),
    ({"generator.weight_clip": 0.01, "generator.model": "stylegan3"}, ("clip is of plain weights", "by design")),
    (
        {"generator.spectral_norm": True, "generator.model": "stylegan3"},
        ("generator.spectral_norm is of plain weights", "'stylegan3'", "add --generator.spectral_norm false"),
    ),
    (
        {"discriminator.init": "he", "discriminator.model": "progan"},
        ("discriminator.init is of plain weights", "'progan'", "add --discriminator.init own"),
    ),
    (
        {D: "orthogonal", "discriminator.model": "stylegan2"},
        ("discriminator.penalties.orthogonal is of plain weights", "'stylegan2'", "leave the penalty out"),
    ),
    (
        {"discriminator.weight_clip": 0.01, "discriminator.model": "stylegan2", "discriminator.spectral_norm": True},
        ("large by design", "add --discriminator.weight_clip none"),
    ),
    ({"discriminator.weight_clip": 0.01, D: "gradient-norm"}, ("weight_clip keeps slopes", "gradient-norm")),
    ({"discriminator.weight_clip": 0.01, D: "dragan"}, ("weight_clip keeps slopes", "dragan")),
    ({D: (Penalty(name="r1", weight=1, every=0),)}, ("penalties.r1.every is 0",)),
    ({D: (Penalty(name="r1", weight=-1),)}, ("penalties.r1.weight is below 0",)),
    ({G: "r1"}, ("generator.penalties.r1", "belongs to the discriminator")),
    ({D: "feature-matching"}, ("belongs to the generator",)),
    ({D: "r1,drift,r1"}, ("names r1 twice",)),
    ({"codes.categorical": (1, 4)}, ("codes.categorical has a code of 1 values", "such as 10")),
    ({"codes.continuous": -1}, ("codes.continuous is -1",)),
    ({D: "classification", G: "classification"}, ("no labels", "--conditional true")),
    ({D: "classification-of-reals", G: "classification"}, ("penalty classification", "no labels")),
    ({"conditional": True, D: "classification-of-reals"}, (*READ, "--generator.penalties classification")),
    ({G: "classification-of-reals"}, ("belongs to the discriminator",)),
    ({D: "mutual-information", G: "mutual-information"}, ("there are none", "--codes.categorical 10")),
    ({"codes.categorical": 10}, ("codes have no effect", "'infogan'")),
    ({"conditional": True, G: "classification"}, (*READ, "--discriminator.penalties classification")),
    ({"conditional": True, D: "classification", G: "zcr"}, (*READ, "--generator.penalties zcr,classification")),
    ({"codes.continuous": 2, D: "mutual-information"}, (*READ, "--generator.penalties mutual-information")),
    ({"top_k": 0.5, "batch": 1}, ("batch is 1", "add --top_k 1")),
    ({"loss": "wasserstein"}, ("gradient-norm.weight 10 --discriminator.model.norm none",)),
    ({"loss": "wasserstein"}, ("bounded slope", "gradient-norm", "spectral_norm true", "weight_clip 0.01")),
    ({"loss": "wasserstein", D: "lecam,cr"}, ("bounded slope", "--discriminator.penalties lecam,cr,gradient-norm")),
    ({"loss": "wasserstein", "discriminator.model": "progan", D: "drift"}, ("penalties drift,gradient-norm",)),
    ({"loss": "wasserstein", "targets.real": 0.9}, ("smooth a yes or no", "targets.real at 1")),
    ({"loss": "wasserstein", "targets.spread": 0.1}, ("smooth a yes or no",)),
    ({"targets.real": 0.1, "targets.fake": 0.9}, ("is not above",)),
    ({"loss": "relativistic", "targets.real": 0.9, "targets.fake": 0.9}, ("is not above",)),
    ({"targets.flip": 0.5}, ("swaps half", "such as 0.05")),
    ({"loss": "wasserstein", "balance": 0.8}, ("balance counts", "have no zero", "--balance none")),
    ({"loss": "wasserstein", "augment.policy": "bgc", "augment.target": 0.6, "augment.probability": 0},
     ("augment.target counts", "have no zero", "--augment.target none")),
    ({"augment.policy": "bgc", "augment.fakes_for_reals": True}, ("share one probability", "--augment.policy none")),
    ({"augment.target": 0.6}, ("nothing uses", "--augment.policy bgc")),
    ({"augment.probability": 0.5}, ("no effect without a policy", "--augment.policy diffaugment")),
    ({"augment.speed": 1000}, ("no effect without a policy",)),
    ({"augment.policy": "bgc", "augment.target": 0.6, "augment.probability": MOVING}, ("cannot follow a schedule",)),
    ({"augment.policy": "bgc", "augment.target": 0.6}, ("where its adaptation begins", "--augment.probability 0")),
    ({"augment.fakes_for_reals": True}, ("shows no real sample", "--augment.probability 0.2")),
    ({"augment.policy": "bgc", "augment.probability": 0}, ("changes nothing", "--augment.target 0.6")),
    ({"augment.policy": "bgc", "augment.speed": 1000}, ("augment.speed has no effect", "--augment.target 0.6")),
    ({"unroll": -1}, ("unroll is -1",)),
    ({"dropout": 1.0}, ("dropout is 1.0", "such as 0.3")),
    ({"output.evaluate": -1}, ("output.evaluate is -1", "true or false")),
    ({"unroll": 2, "discriminator.optimizer.name": "sgd"}, ("Adam and RMSprop", "--discriminator.optimizer.name adam")),
    ({"unroll": 2, "accumulate": 2, "share_fakes": False}, ("not of micro-batches", "--accumulate 1")),
    ({"unroll": 2, "compile": True}, ("second derivatives", "--compile false")),
    ({"replay.size": 9}, ("replay.size has no effect", "--replay.share 0.5")),
    ({"replay.share": 0.5, D: "zcr", G: "zcr"}, ("by an earlier G", "zcr", "--replay.share 0")),
    ({"replay.share": 0.5, "game": "paired"}, ("replay keeps no sources", "--replay.share 0")),
    ({"replay.share": 0.5, "replay.size": 9}, ("less than one batch", "--replay.size 512")),
    ({"noise": Schedule(start=1, end=0, images=9, hold=10)}, ("noise.hold is 10", "its images, 9")),
    ({G: "pixel"}, ("generator.penalties.pixel is of translations", "such as pix2pix")),
    ({"game": "unpaired", G: "pixel"}, ("compares with counterparts", "--game paired")),
    ({"game": "unpaired", G: "cycle"}, ("needs the way back", "--game cycle")),
    ({"data.degrade": "grey"}, ("data.degrade, data.direction and data.window are of translations",)),
    ({"data.window": 16}, ("data.window are of translations", "pix2pix")),
    ({"game": "paired", "codes.categorical": 10, **dict.fromkeys((D, G), "mutual-information")}, ("leave codes out",)),
    ({"game": "paired", "augment.fakes_for_reals": True, "augment.probability": 0.2}, ("draws fakes from noise",)),
    ({"game": "cycle", G: "image"}, ("reads what 'dcgan' does not have", "--generator.model munit")),
    (
        {"game": "cycle", "generator.model": "spade", "generator.model.vae": True, "generator.model.encoder_width": 4},
        ("reads the styles of one way", "--game paired"),
    ),
    (
        {"game": "paired", "generator.model": "spade", "generator.model.vae": True, "generator.model.encoder_width": 4},
        ("puts styles where no noise finds them", "--generator.penalties codes"),
    ),
    ({"game": "paired", "generator.model": "spade", G: "codes"}, ("keeps an encoder", "encoder_width 64")),
    (
        {"game": "paired", "generator.model": "spade", "generator.model.encoder_width": "0", G: "codes"},
        ("keeps an encoder", "encoder_width 64"),
    ),
    (
        {"loss": "wasserstein", "discriminator.model": "spade", "discriminator.model.spectral": "false"},
        ("a critic with a bounded slope",),
    ),
    ({"perceptual": "general"}, ("perceptual general is what penalties look through", "leave perceptual out, or take")),
    ({"data.heldout": 0.6}, ("data.heldout is 0.6", "such as 0.05")),
    ({"data.heldout": -0.1}, ("data.heldout is -0.1",)),
    ({"game": "paired", "data.heldout": 0.1}, ("data.heldout has no effect", "leave it out")),
    ({"data.attributes": ("Male",)}, ("data.attributes are what 'stargan' alone reads", "type the recipe stargan")),
    ({"data.layout_classes": 3}, ("start from label maps", "--game paired")),
    ({"game": "paired", "data.layout_classes": 3, "data.degrade": "grey"}, ("not of label maps", "leave one")),
    ({"game": "paired", "data.layout_classes": -1}, ("layout_classes is -1", "0 for images")),
    ({"game": "domains"}, ("translates between classes", "--conditional true")),
    ({"game": "cycle", "data.degrade": "grey"}, ("in one way only", "--game paired")),
]  # fmt: skip


def asked(changes: dict) -> Config:
    return override(RECIPES["dcgan"](SHAPE, "laptop"), {"batch": 64, **changes})


def found(changes: dict) -> list[str]:
    """All that is wrong, in the order in which it is said; the first is what the user sees."""
    return list(contradictions.contradictions(asked(changes)))


def named(case) -> str:
    return "+".join(f"{key}={value}"[:40] for key, value in case.items()) if isinstance(case, dict) else ""


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=named)
def test_what_cannot_work_is_refused_at_once(changes, words):
    with pytest.raises(ConfigError) as problem:
        resolve(asked(changes))
    assert all(word in str(problem.value) for word in words), str(problem.value)
    assert "\n" not in str(problem.value)


FREE_ADVICE = (
    "leave", "move it to", "type the recipe", "it takes 0 or more", "it takes 1 or more", "whole number from", "or add",
    "number from 0 to 1", "number from 0 to its", "number of classes", "each takes 2 or more", "with a larger",
    "such as 20000", "type a number",
)  # fmt: skip


def advice(message: str) -> list[dict[str, str]]:
    """What a message says to type, a dict for each way: `add --a 1 or --b 2`, `type --a 1 --b 2`, `such as 1`."""
    said = re.search(r"(?:add|type) (--.*)$", message)
    if said:
        parts = re.split(r",? or (?=--)", said[1])
        return [dict(re.findall(r"--([\w.-]+) ([^\s,;]+(?:,[\w-]+)*)", part)) for part in parts]
    example = re.search(r"such as ([\d.]*\d)", message)
    field = message.split()[0].removesuffix(".start").removesuffix(".end")
    return [{field: example[1]}] if example and "such as 20000" not in message else []


@pytest.mark.parametrize(("changes", "words"), REFUSED, ids=named)
def test_what_a_message_says_to_type_helps(changes, words):
    message = found(changes)[0]
    ways = advice(message)
    assert ways or any(phrase in message for phrase in FREE_ADVICE), message
    for way in ways:
        assert way, message
        assert message not in found(changes | way), way


def test_advice_is_read_as_it_is_meant():
    assert advice("x; add --a.b none or --c.d false") == [{"a.b": "none"}, {"c.d": "false"}]
    assert advice("x; type --a 1 --b 0") == [{"a": "1", "b": "0"}]
    assert advice("x; add --generator.penalties zcr,classification") == [{"generator.penalties": "zcr,classification"}]
    assert advice("top_k 0 leaves none; such as 0.5") == [{"top_k": "0.5"}]
    assert sum(bool(advice(found(changes)[0])) for changes, _ in REFUSED) > len(REFUSED) / 2


@pytest.mark.parametrize("size", ["laptop", "paper"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_contradict_nothing(recipe, size):
    assert list(contradictions.contradictions(RECIPES[recipe](SHAPE, size))) == []


ALLOWED = [
    {"targets.real": 0.9, "targets.spread": 0.1, "targets.flip": 0.05},
    {"loss": "wasserstein", "targets.flip": 0.1, D: "gradient-norm"},
    {"augment.policy": "bgc", "augment.target": 0.6, "augment.probability": 0}, {"augment.policy": "diffaugment"},
    {"augment.fakes_for_reals": True, "augment.target": 0.6, "augment.probability": 0}, {"balance": 0.5}, {"unroll": 5},
    {"augment.policy": "color", "augment.probability": MOVING}, {"noise": Schedule(start=0.1, end=0, images=0)},
    {"top_k": Schedule(start=1, end=0.5, images=9)}, {"replay.share": 1, "replay.size": 64}, {"discriminator.clip": 1},
    {"conditional": True, D: "classification", G: "classification"}, {"discriminator.optimizer.lr": MOVING},
    {"codes.categorical": 10, D: "r1,mutual-information", G: "mutual-information"}, {"seed": 2**32 - 1},
    {"loss": "wasserstein", "discriminator.weight_clip": 0.01}, {"generator.optimizer.eps": 0}, {D: "lecam,cr,dragan"},
    {"unroll": 5, D: "r1,drift", "discriminator.clip": 1}, {"replay.share": 0.5, "conditional": True},
    {"unroll": 5, "discriminator.optimizer.name": "rmsprop", "discriminator.weight_clip": 0.01},
]  # fmt: skip


@pytest.mark.parametrize("changes", ALLOWED, ids=named)
def test_what_can_work_is_left_alone(changes):
    assert found(changes) == []
    resolve(asked(changes))


# What only the catalogues, the data or the networks can tell


def images(shape=SHAPE, labels=True) -> ImageStore:
    store = small_store(shape)
    return store if labels else ImageStore("bare", store.images, None, ())


def trained(changes, recipe="dcgan", shape=SHAPE):
    return Trainer(small_config(recipe, changes, shape), images(shape), CPU)


def small_copies() -> ImageStore:
    store = images()
    return replace(store, sources=store.images[:, :, ::4, ::4], paired=True)


def checked(changes, recipe="dcgan", store=None, processes=1):
    store = store or images()
    check_data(small_config(recipe, changes, tuple(store.shape)), store, processes)


def without_compiler():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        trained({"compile": True})


def translating(model: str, changes) -> None:
    store = images()
    Trainer(small_config("dcgan", {"generator.model": model, **changes}), replace(store, sources=store.images), CPU)


GROWING = {"generator.model": "progan", "discriminator.model": "progan"}
POINTS = {"recipe": "gan", "store": small_store((2,))}
ASSEMBLED = {
    "unknown loss 'hinje'; did you mean 'hinge'": lambda: resolve(asked({"loss": "hinje"})),
    "unknown game 'latend'; did you mean 'latent'": lambda: resolve(asked({"game": "latend"})),
    "unknown penalty 'r3'": lambda: resolve(asked({D: "r3"})),
    "augment is 'bcg'; did you mean 'bg'": lambda: resolve(asked({"augment.policy": "bcg"})),
    "'bare' has no labels": lambda: checked({"conditional": True}, store=images(labels=False)),
    "'stargan' alone reads several attributes of an image; type the recipe stargan": lambda: checked(
        {"conditional": True}, store=replace(images(), labels=torch.ones(64, 2, dtype=torch.long), classes=("a", "b"))
    ),
    "over 3 processes with accumulate=1; type --batch 9": lambda: checked({"batch": 8}, processes=3),
    "data.window cuts 40x20 out of images of 32x32; add --data.window 20": lambda: checked(
        {"game": "paired", "generator.model": "pix2pix", "data.window": (40, 20)}
    ),
    "its sides must divide by 4": lambda: checked(
        {"game": "restore", "generator.model": "esrgan", "data.window": (16, 18)}, store=small_copies()
    ),
    "perceptual general sees images of 1, 3 or 4 channels, not of 2": lambda: trained(
        {"game": "restore", "generator.model": "pix2pix", "data.degrade": "grey", G: "perceptual"}, shape=(2, 32, 32)
    ),
    "unroll looks ahead in one process only": lambda: checked({"unroll": 1}, processes=2),
    "data.flip mirrors images": lambda: checked({"data.flip": True}, **POINTS),
    "augment.policy moves and colours images": lambda: checked({"augment.policy": "bgc"}, **POINTS),
    "blur smooths images": lambda: checked({"blur": 1.0}, **POINTS),
    "the penalty smooth needs images": lambda: checked({G: "smooth"}, **POINTS),
    "augment.policy hue,saturation:0.5 changes nothing of greys": lambda: checked(
        {"augment.policy": "hue,saturation:0.5"}, store=small_store()
    ),
    "the penalty cr needs images": lambda: checked({D: "cr"}, **POINTS),
    "the penalty reconstruction needs images": lambda: checked({D: "reconstruction"}, **POINTS),
    "the penalty feature-matching reads the last features": lambda: trained({G: "feature-matching"}, "fastgan"),
    "the penalty reconstruction needs D's decoders; type --discriminator.model fastgan": lambda: trained(
        {D: "reconstruction"}
    ),
    "the penalty path-length follows w to the picture, and 'dcgan' has no w": lambda: trained({G: "path-length"}),
    "both players grow together, but generator.model.fade is 7": lambda: resolve(
        asked(GROWING | {"generator.model.fade": 7, "discriminator.model.fade": 9})
    ),
    "generator.penalties.orthogonal is of plain weights": lambda: trained({G: "orthogonal"}, "progan"),
    "generator.spectral_norm is of plain weights": lambda: trained({"generator.spectral_norm": True}, "progan"),
    "generator.init is of plain weights": lambda: trained({"generator.init": "he"}, "progan"),
    "discriminator.spectral_norm cannot divide": lambda: trained({"discriminator.spectral_norm": True}, "r3gan"),
    "dropout leaves out some of D's last features": lambda: trained({"dropout": 0.5}, "fastgan"),
    "compile needs a C++ compiler on the PATH": without_compiler,
    "batch norm needs two samples": lambda: trained({"batch": 1}, "gan"),
    "leaves one; type --batch 4": lambda: trained({"batch": 2, "accumulate": 2, "share_fakes": False}, "gan"),
    "'munit' translates both ways at once; add --game cycle": lambda: translating("munit", {"game": "unpaired"}),
    "is for colours; add --data.channels rgb": lambda: translating(
        "animegan", {"game": "unpaired", G: "drawing-colour", "discriminator.model": "animegan"}
    ),
    "has nothing to translate; type --data emoji-pairs": lambda: trained(
        {"game": "paired", "generator.model": "pix2pix"}
    ),
    "the penalty patches reads G's encoder": lambda: translating("pix2pix", {"game": "unpaired", G: "patches"}),
    "targets.known is of pictures with holes; add --data.degrade hole": lambda: trained({"targets.known": True}),
    "'dcgan' does not say which is which; add --discriminator.model lama": lambda: trained(
        {"game": "restore", "generator.model": "lama", "data.degrade": "hole", "targets.known": True}
    ),
    "codes take 12 numbers of the noise, which has 8; type --generator.model.z_dim": lambda: trained(
        {"codes.categorical": 12, D: "mutual-information", G: "mutual-information"}
    ),
}


@pytest.mark.parametrize("message", ASSEMBLED)
def test_what_the_data_or_the_networks_cannot_do_is_refused(message):
    with pytest.raises(ConfigError) as problem:
        ASSEMBLED[message]()
    assert message in str(problem.value)


def test_no_refusal_is_without_its_case_here():
    """Every `yield` of contradictions.py and every `raise ConfigError` of assemble.py runs in one of these tests."""
    modules = {module.__file__: module for module in (assemble, contradictions)}
    wanted = {(file, line) for file in modules for line in _refusals(Path(file))}
    assert len(wanted) > 50
    seen = set()

    def trace(frame, event, _):
        if frame.f_code.co_filename not in modules:
            return None
        if event == "line":
            seen.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for changes, _ in REFUSED:
            found(changes)
        for provoke in ASSEMBLED.values():
            with pytest.raises(ConfigError):
                provoke()
        with pytest.raises(ConfigError):
            resolve(asked({"batch": 0}))
    finally:
        sys.settrace(before)
    assert sorted((Path(file).name, line) for file, line in wanted - seen) == []


def _refusals(file: Path) -> list[int]:
    tree = ast.parse(file.read_text())
    if file.name == "contradictions.py":
        inside = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name != "_scheduled"]
        return [n.lineno for f in inside for n in ast.walk(f) if isinstance(n, ast.Yield)]
    return [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Raise)]


def test_the_fields_of_a_game_come_from_its_configuration():
    changes = {"targets.real": 0.9, "augment.policy": "bgc", "augment.probability": 0.5}
    game = build_game(small_config("dcgan", changes, SHAPE), images(), torch.device("cpu"))
    assert (game.targets.real, game.view.policy, game.view.fakes_for_reals) == (0.9, ("bgc",), False)


# From the command line


WRONG = [
    "--augment.policy bgc --augment.target 0.6",
    "--augment.fakes_for_reals",
    "--unroll 2 --discriminator.optimizer.name sgd",
    "--conditional true --generator.penalties classification",
    "--codes.categorical 4,9 --generator.penalties mutual-information --discriminator.penalties mutual-information",
    "--discriminator.penalties r1 --discriminator.penalties.r1.weight -1",
    '--noise {"start":0.1,"end":0,"images":-5}',
    "--generator.optimizer.lr -1",
    "--discriminator.penalties reconstruction",
    "--generator.spectral_norm true --generator.weight_clip 0.1",
    "--replay.share 0.5 --replay.size 4",
    "--batch 3 --accumulate 2 --share_fakes false",
]


@pytest.mark.parametrize("words", WRONG)
def test_on_the_command_line_a_mistake_is_one_line_and_writes_nothing(words, tmp_path, monkeypatch, capsys):
    data = write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORGANZA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ORGANZA_DEBUG", raising=False)
    options = [f"--{k}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for k, v in shrunk("dcgan").items()]
    given = {word.split("=")[0] for word in words.split()}
    options = [option for option in options if option.split("=")[0] not in given]
    with pytest.raises(SystemExit) as end:
        main(["train", "dcgan", "--data", data, "--out", "run", "--device", "cpu", *options, *words.split()])
    told = capsys.readouterr().err.strip()
    assert end.value.code == 2
    assert told.startswith("organza: ")
    assert len(told.splitlines()) == 1, told
    assert not (tmp_path / "run").exists()


def test_what_can_work_runs_from_the_command_line(tmp_path, monkeypatch, capsys):
    data = write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORGANZA_CACHE", str(tmp_path / "cache"))
    options = [f"--{k}={v}" for k, v in shrunk("dcgan").items()]
    words = (
        "--augment.policy bgc --augment.target 0.6 --augment.probability 0.2 --balance 0.5 --replay.share 0.5 "
        '--noise {"start":0.1,"end":0,"images":32} --targets.real 0.9 --top_k 0.5 --discriminator.penalties lecam,bcr '
        "--generator.penalties zcr,feature-matching --generator.spectral_norm true --generator.init orthogonal"
    )
    fixed = ["train", "dcgan", "--data", data, "--out", "run", "--images", "64", "--device", "cpu"]
    main([*fixed, *options, *words.split()])
    assert "done" in capsys.readouterr().out
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"augment/probability", "sign/real", "penalty/generator/zcr"} <= log[0].keys()
