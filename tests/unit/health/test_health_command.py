"""The commands of the doctor's advice: parsed as they are typed, they repeat the run, and change what was found."""

import shlex
from contextlib import suppress
from dataclasses import replace

import pytest
import tyro
from engine_helpers import EVERYTHING, TECHNIQUES, reduced, shrunk, write_data
from hypothesis import HealthCheck, assume, given, reject, settings
from hypothesis import strategies as st

from organza.api import prepare
from organza.cli.train import FIXED, FLAGS, Options, _arguments, _one_recipe
from organza.cli.words import split
from organza.config import Output, Penalty, Schedule, override
from organza.health import advice
from organza.health.command import train_again
from organza.health.evidence import Case
from organza.report.folder import read_folder
from organza.training.assemble import resolve

FALLING = Schedule(start=3e-4, end=1e-5, images=777, shape="linear", hold=5)
ODD = {
    "plain": {"batch": 24, "seed": 7, "images": 4321, "accumulate": 2, "share_fakes": False, "compile": True},
    "data": {"data.resolution": (16, 16), "data.crop": "center", "data.channels": "grey", "data.flip": True},
    "colours": {"data.resolution": 16, "data.channels": "rgba"},
    "augmented": {"augment.policy": ("color", "cutout"), "augment.target": 0.6, "augment.probability": 0.1},
    "schedules": {"generator.optimizer.lr": FALLING, "noise": Schedule(start=0.3, end=0.0, images=120)},
    "digits": {"discriminator.optimizer.lr": 0.000123456789, "generator.optimizer.eps": 1e-9, "ema.ramp": None},
    "penalised": {"discriminator.penalties": (Penalty(name="r1", weight=FALLING, every=4), Penalty(name="r2", weight=1),
                                              Penalty(name="drift", weight=0.1))},
    "bare": {"discriminator.penalties": (), "generator.penalties": (), "ema.half_life": 0.0},
    "clipped": {"generator.clip": 1.5, "discriminator.weight_clip": 0.01, "discriminator.init": "he"},
    "optimisers": {"generator.optimizer.name": "rmsprop", "discriminator.optimizer.name": "sgd"},
    "written": {"output.log": 16, "output.checkpoint": 48, "output.score": 96},
    "autopilot": {"autopilot": True}, "paced": {"pace": 0.01},
    "other networks": {"generator.model": "sngan", "discriminator.model": "fastgan", "generator.model.z_dim": 9},
    "another critic": {"discriminator.model": "r3gan", "discriminator.penalties": "r1", "share_fakes": False},
    "everything": EVERYTHING, "techniques": TECHNIQUES | {"batch": 8},
}  # fmt: skip
REMEDIES = (
    lambda case: advice.slower(case, *advice.ROLES), lambda case: advice.more_penalty(case, "r1"),
    advice.against_memory, advice.against_collapse, advice.against_strength, advice.against_weakness,
    lambda case: {"noise": FALLING, "loss": "non-saturating"},
)  # fmt: skip


def typed(command):
    """The configuration that the command line makes of it."""
    organza, verb, *words = shlex.split(command)
    assert (organza, verb) == ("organza", "train")
    plain, changes = split(words, FIXED, FLAGS)
    given_ = _arguments(tyro.cli(Options, args=_one_recipe(plain)))
    asked = changes | {name: given_[name] for name in ("images", "seed") if given_[name] is not None}
    return prepare(given_["recipe"], given_["data"], given_["size"] or "laptop", asked)[0]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A file of 3x20x20 images, in a folder that has to be quoted."""
    folder = tmp_path_factory.mktemp("my photos")
    return write_data(folder, (3, 20, 20))


def case_of(folder, recipe, data, odd, size="laptop"):
    """A run that was started with `odd`."""
    config, store = prepare(recipe, str(data), size, odd)
    (folder / "my run").mkdir(exist_ok=True)
    return Case(read_folder(folder / "my run"), config, None, store)


def must_repeat(case, changes):
    """The command is the run with these changes; how often the folder is written may be the recipe's."""
    command = train_again(case, changes)
    found, wanted = typed(command), resolve(override(case.config, changes))
    if not case.config.autopilot:
        found, wanted = replace(found, output=Output()), replace(wanted, output=Output())
    assert found == wanted, command
    return command


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(("gan", "dcgan", "cgan", "wgan-gp", "r3gan", "sngan", "infogan", "stylegan2-ada", "progan")),
    st.lists(st.sampled_from(sorted(ODD)), max_size=5, unique=True), st.sampled_from(REMEDIES), st.booleans(),
)  # fmt: skip
def test_the_command_repeats_the_run_but_for_the_change(tmp_path, photos, recipe, names, remedy, small):
    odd = {"data.resolution": 16, **(shrunk(recipe, (3, 16, 16)) if small else {})}
    for name in names:  # what contradicts the others is left out
        with suppress(ValueError):
            prepare(recipe, photos, "laptop", odd | ODD[name])
            odd |= ODD[name]
    case = case_of(tmp_path, recipe, photos, odd)
    assume(changes := remedy(case))
    try:
        resolve(override(case.config, changes))
    except ValueError:
        reject()
    assert must_repeat(case, changes).startswith(f"organza train {recipe} --data ")


@pytest.mark.parametrize("name", ODD)
def test_each_odd_field_is_in_the_command(tmp_path, photos, name):
    command = must_repeat(case_of(tmp_path, "dcgan", photos, {"data.resolution": 16} | ODD[name]), {"noise": 0.125})
    assert " --data.resolution 16,16 " in command
    assert " --noise 0.125 " in command


def test_a_paced_run_is_repeated_by_its_pace(tmp_path):
    """Whose schedules and images would be many options."""
    case = case_of(tmp_path, "colorize-nogan", "emoji", {"pace": 0.05})
    command = must_repeat(case, {"batch": 4})
    assert command.startswith("organza train colorize-nogan --data emoji --pace 0.05 --batch 4 --out ")


def test_the_run_of_the_audit(tmp_path, photos):
    odd = {
        "data.resolution": "16", "augment.policy": "color", "discriminator.penalties": "r1",
        "discriminator.penalties.r1.weight": "0.5", "discriminator.optimizer.lr": "1e-9", "images": 1000,
    }  # fmt: skip
    case = case_of(tmp_path, "dcgan", photos, odd)
    command = must_repeat(case, advice.against_weakness(case))
    for option in ("--data.resolution 16,16", "--augment.policy color", "--discriminator.penalties.r1.weight 0.5"):
        assert option in command
    assert command.count("--discriminator.optimizer.lr") == 1


def test_a_penalty_of_the_recipe_keeps_or_changes_its_weight(tmp_path, photos):
    case = case_of(tmp_path, "r3gan", photos, {"data.resolution": 16, "discriminator.penalties": "r2"})
    assert "--discriminator.penalties r2 " in must_repeat(case, {"noise": 0.125})
    must_repeat(case, advice.more_penalty(case, "r1"))


@pytest.mark.parametrize("recipe", ["dcgan", "stylegan2"])
def test_a_run_of_the_published_size_is_repeated_in_it(tmp_path, photos, recipe):
    case = case_of(tmp_path, recipe, photos, {"data.resolution": 16, "batch": 24}, "paper")
    assert " --size paper " in must_repeat(case, {"noise": 0.125})


@pytest.mark.parametrize("recipe", ["pix2pix", "cut"])
def test_translations_are_repeated_too(tmp_path, photos, recipe):
    changes = reduced(recipe) | {"data.resolution": 16, "data.degrade": "outline"}
    command = must_repeat(case_of(tmp_path, recipe, photos, changes), {"noise": 0.125})
    assert " --data.degrade outline " in command


def test_a_run_whose_samples_have_no_known_shape_says_everything(tmp_path, photos):
    case = case_of(tmp_path, "dcgan", photos, {"data.resolution": 16, **ODD["penalised"]})
    command = must_repeat(replace(case, store=None), {"noise": 0.125})
    assert "--batch " in command
