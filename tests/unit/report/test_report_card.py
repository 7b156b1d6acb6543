import copy

import pytest

from organza.hub.card import MISSING, model_card

INFO = {
    "recipe": "dcgan",
    "organza": "0.1.0",
    "licence": "Apache-2.0",
    "images": 1_000_000,
    "seconds": 2620.0,
    "hardware": "AMD EPYC 9B14, 2 cores",
    "parameters": {"generator": 1_066_753, "discriminator": 662_529},
    "data": {
        "name": "mnist",
        "catalogue": "mnist",
        "licence": "CC BY-SA 3.0",
        "count": 60000,
        "shape": [1, 28, 28],
        "fingerprint": "51311e2a",
    },
    "scores": {
        "fd-digits": {"value": 3.412, "n": 10_000, "protocol": "digits-1, EMA, seed 0", "low": 3.3, "high": 3.5}
    },
}


def changed(path, value):
    info = copy.deepcopy(INFO)
    *parents, last = path.split(".")
    part = info
    for key in parents:
        part = part[key]
    part[last] = value
    return info


def test_the_card_has_every_section_and_its_front_matter():
    card = model_card(INFO)
    front, _, body = card.removeprefix("---\n").partition("\n---\n")
    assert 'license: apache-2.0\nlibrary_name: organza\ntags: [gan, "dcgan"]' in front
    assert "pipeline_tag: unconditional-image-generation" in front
    assert 'datasets: ["mnist"]' in front
    titles = [line[3:] for line in body.splitlines() if line.startswith("## ")]
    assert titles == ["What it is", "How to use", "Training data", "Training procedure", "Evaluation", "Intended use",
                      "Out of scope", "Limits and memorisation", "How outputs are marked", "Licences"]  # fmt: skip
    assert "| fd-digits | 3.412 | 3.3 to 3.5 | 10,000 | digits-1, EMA, seed 0 |" in body
    for word in ("handwriting", "1,066,753", "43 min 40 s", "non-consensual likeness", "biometric", "organza.load"):
        assert word in body
    assert MISSING not in card


REQUIRED = [
    "recipe",
    "licence",
    "images",
    "seconds",
    "hardware",
    "parameters",
    "data.name",
    "data.licence",
    "data.count",
]


@pytest.mark.parametrize("field", REQUIRED)
@pytest.mark.parametrize("empty", [None, "", "  "])
def test_a_required_part_that_is_empty_is_an_error(field, empty):
    with pytest.raises(ValueError, match=field.split(".")[-1]):
        model_card(changed(field, empty))


def test_unknown_data_must_say_where_it_is_from_and_who_is_in_it():
    info = changed("data.catalogue", "")
    with pytest.raises(ValueError, match=r"data\.source"):
        model_card(info)
    info["data"]["source"] = "my camera"
    with pytest.raises(ValueError, match=r"data\.people"):
        model_card(info)
    info["data"]["people"] = "none"
    assert "my camera" in model_card(info)


@pytest.mark.parametrize("score", [3.4, {"value": 3.4, "n": 100}, {"value": 3.4, "protocol": "p"}])
def test_a_score_without_n_or_protocol_is_not_printed(score):
    info = changed("scores", {"fid": score})
    with pytest.raises(ValueError, match="protocol"):
        model_card(info)
    draft = model_card(info, draft=True)
    assert "left out" in draft
    assert "3.4" not in draft


def test_data_of_the_hub_keeps_its_name():
    card = model_card(changed("data.name", "hf:ann/cats"), draft=True)
    assert 'datasets: ["ann/cats"]' in card
    assert "# dcgan on cats" in card


def test_no_score_is_said():
    assert "No score was computed" in model_card(changed("scores", {}))


def test_a_draft_says_what_must_be_filled_in():
    card = model_card({"recipe": "dcgan", "data": {"name": "cats"}}, draft=True)
    assert card.count(MISSING) >= 6
    assert "license: other" in card
    with pytest.raises(ValueError, match="recipe"):
        model_card({"data": {"name": "cats"}}, draft=True)


@pytest.mark.parametrize("name", ["/home/ann/cats", "C:\\Users\\ann\\cats", "cats", "./cats"])
def test_data_in_a_folder_is_known_by_its_last_name(name):
    card = model_card(changed("data.name", name) | {}, draft=True)
    assert "# dcgan on cats" in card
    assert "Users" not in card
    assert "home" not in card


@pytest.mark.parametrize("field", ["hardware", "data.source", "licence", "limits"])
@pytest.mark.parametrize("path", ["/home/ann/x", "C:\\Users\\ann", "see ~/secret/x"])
def test_a_path_of_the_machine_is_refused(field, path):
    with pytest.raises(ValueError, match="path of this machine"):
        model_card(changed(field, path), draft=True)


def test_addresses_are_no_paths():
    assert "https://example.org/data/set.zip" in model_card(changed("data.source", "https://example.org/data/set.zip"))


def test_words_cannot_become_html_or_break_the_table():
    info = changed("scores", {"a|b": {"value": 1.0, "n": 1, "protocol": "<script>\n| x |"}})
    info["data"]["source"] = "[x](javascript:1) <img src=x>"
    card = model_card(info)
    assert "<script>" not in card
    assert "<img" not in card
    assert "| a\\|b | 1 | not given | 1 | &lt;script&gt; \\| x \\| |" in card


@pytest.mark.parametrize(
    ("licence", "word"),
    [
        ("CC BY-SA 3.0, LeCun", "cc-by-sa-3.0"),
        ("CC BY 4.0, Twitter", "cc-by-4.0"),
        ("MIT", "mit"),
        ("Own terms", "other"),
    ],
)
def test_licences_have_the_hub_s_words(licence, word):
    assert f"license: {word}\n" in model_card(changed("licence", licence))


def test_a_name_alone_says_nothing_about_people():
    card = model_card(changed("data.catalogue", "") | {}, draft=True)
    assert "no real person" not in card
    assert MISSING in card
