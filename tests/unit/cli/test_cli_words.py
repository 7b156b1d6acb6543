import pytest

from organza.cli.train import FIXED, FLAGS
from organza.cli.words import count, field_name, numbers, seed_of, split
from organza.config import ConfigError


def parted(line: str):
    return split(line.split(), FIXED, FLAGS)


def test_fixed_options_and_fields_are_parted():
    known, changes = parted("dcgan --data mnist --batch 32 --generator.model.width=8 --resume --seed=3 --minutes 2")
    assert known == ["dcgan", "--data=mnist", "--resume", "--seed=3", "--minutes=2"]
    assert changes == {"batch": "32", "generator.model.width": "8"}


def test_dashes_stand_for_underscores_but_not_in_names_of_penalties():
    _, changes = parted("--share-fakes false --discriminator.penalties.gradient-norm.weight 5 --ema.half-life 1")
    assert changes == {
        "share_fakes": "false", "discriminator.penalties.gradient-norm.weight": "5", "ema.half_life": "1",
    }  # fmt: skip
    assert parted("--dry_run")[0] == parted("--dry-run")[0] == ["--dry-run"]
    assert field_name("generator.model.max-width") == "generator.model.max_width"


@pytest.mark.parametrize(
    "line", ["--data.flip dcgan", "dcgan --data.flip", "--data.flip true dcgan", "--data.flip=true dcgan"]
)
def test_a_bare_flag_is_true(line):
    known, changes = parted(line)
    assert known == ["dcgan"]
    assert changes == {"data.flip": "true"}


def test_a_value_may_be_negative():
    assert parted("--generator.optimizer.lr -1")[1] == {"generator.optimizer.lr": "-1"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--imagse 5", "unknown option '--imagse'; did you mean '--images'?"),
        ("--bach 5", "did you mean '--batch'?"),
        ("--share-fake 5", "did you mean '--share-fakes'?"),
        ("--generatr.model.width 5", "did you mean '--generator'?"),
        ("--zzzzzz 5", "see organza train --help"),
        ("--batch", "--batch has no value"),
        ("--batch --resume", "--batch has no value"),
        ("--out", "--out has no value"),
    ],
)
def test_unknown_options_name_the_closest(line, message):
    with pytest.raises(ConfigError) as problem:
        parted(line)
    assert message in str(problem.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("200_000", 200_000), ("200k", 200_000), ("1M", 1_000_000), ("1.5m", 1_500_000), ("2e5", 200_000)],
)  # fmt: skip
def test_counts(text, value):
    assert count(text, "images") == value


@pytest.mark.parametrize("text", ["x", "-5", "1.5", "5kk", "", "0.0001k", "nan", "1 k"])
def test_no_counts(text):
    with pytest.raises(ConfigError, match="200k"):
        count(text, "images")


def test_lists_of_numbers():
    assert numbers("0-3,42, 7", "seeds") == [0, 1, 2, 3, 42, 7]
    for text in ("", "a", "3-1", "1,", "0-99999999999"):
        with pytest.raises(ConfigError, match="seeds has"):
            numbers(text, "seeds")


def test_a_seed_is_one_of_numpys():
    assert [seed_of(text) for text in ("", "0", "4294967295")] == [0, 0, 2**32 - 1]
    for text in ("-1", "4294967296", "99999999999999999999"):
        with pytest.raises(ConfigError, match="it takes a whole number from 0 to 4294967295"):
            seed_of(text)
