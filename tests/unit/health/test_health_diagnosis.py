"""The rules of `organza doctor RUN`: each finds what was planted in a real run, and is silent beside it."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_helpers import shrunk
from safetensors.torch import load_file, save_file

import organza
from organza.cli.report import main as write_the_report
from organza.cli.train import main
from organza.config import ConfigError
from organza.health.advice import rate_of
from organza.health.diagnosis import RULES, diagnose, early_alarms, write_diagnosis
from organza.health.evidence import at_the_ends, gather, high_frequencies, spread_of_values, turns
from organza.recipes import RECIPES
from organza.report.page import write_report
from organza.reporter import Silent
from organza.training.checkpoint import checksum
from organza.training.guard import BrokenError

ALARMS = ("problem", "warning")
USUAL = {
    "loss/generator": 1.0, "logits/real": 0.8, "logits/fake": -0.8, "accuracy/real": 0.8, "accuracy/fake": 0.8,
    "update/generator": 1e-3, "update/discriminator": 1e-3, "gradient/generator": 1.0, "heldout_gap": 0.1,
    "batch_leak": 0.05, "score/fd-digits-2k": 10.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny run on digits."""
    folder = tmp_path_factory.mktemp("runs") / "one"
    organza.train("dcgan", data="mnist", images=64, out=folder, changes=shrunk("dcgan", (1, 28, 28)), device="cpu")
    return folder


@pytest.fixture
def log(trained):
    """Gives the run a log: `log(key=values)`, everything else as in a healthy one."""
    kept = {name: (trained / name).read_bytes() for name in ("log.jsonl", "summary.json")}

    def write(planted=None, count=24):
        lines = []
        for i in range(count):
            line = {"images": 100 * (i + 1)} | USUAL
            lines.append(line | {key: float(value(i / count)) for key, value in (planted or {}).items()})
        (trained / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return trained

    yield write
    for name, content in kept.items():
        (trained / name).write_bytes(content)


def found(path, of_log=True):
    """Alarms by name; those of samples, which tiny networks cannot pass, are left out."""
    of_samples = ("mode collapse", "checkerboard", "saturation", "class collapse")
    findings = diagnose(path)
    return {f.name: f for f in findings if f.status in ALARMS and not (of_log and f.name in of_samples)}


PLANTED = {
    "memorising discriminator": ({"heldout_gap": lambda t: 2 * t}, {"heldout_gap": lambda t: 0.4 * t}),
    "strong discriminator": (
        {"accuracy/real": lambda t: 0.99, "accuracy/fake": lambda t: 0.99},
        {"accuracy/real": lambda t: 0.99, "accuracy/fake": lambda t: 0.9},
    ),
    "weak discriminator": ({"update/discriminator": lambda t: 1e-6}, {"update/discriminator": lambda t: 1e-4}),
    "batch norm leakage": ({"batch_leak": lambda t: 0.45}, {"batch_leak": lambda t: 0.2}),
    "vanishing gradient": (
        {"gradient/generator": lambda t: 1.0 if t < 0.5 else 1e-3},
        {"gradient/generator": lambda t: 1.0 if t < 0.5 else 0.1},
    ),
    "large learning rate": ({"update/generator": lambda t: 0.2}, {"update/generator": lambda t: 0.03}),
    "oscillation": (
        {"loss/generator": lambda t: 50 * np.sin(20 * t)},
        {"loss/generator": lambda t: 50 + 5 * np.sin(20 * t)},
    ),
    "divergence": ({"logits/real": lambda t: 1e6 * t}, {"logits/real": lambda t: 1e3 * t}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_curve_is_found_and_a_weaker_one_is_not(log, name):
    ill, well = PLANTED[name]
    finding = found(log(ill))[name]
    assert finding.told
    assert finding.shown
    assert finding.causes
    assert set(found(log(well))) == set()


def test_one_look_at_strangers_is_no_memory(log):
    """Each look sees few: the last eight must agree, however short the log is."""
    for many, told in ((3, False), (6, True)):
        path = log({"heldout_gap": lambda t, many=many: 1.0 if t * 12 >= 12 - many else 0.1}, count=12)
        assert ("memorising discriminator" in found(path)) == told
    path = log({"heldout_gap": lambda t: 0.9})
    lines = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    for line in lines[:-7]:
        del line["heldout_gap"]
    (path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert not found(path)


CLASSICAL = {
    "low discriminator loss": ({"loss/discriminator": 0.1}, {"loss/discriminator": 0.2}),
    "loss imbalance": (
        {"loss/discriminator": 0.4, "loss/generator": 4.5}, {"loss/discriminator": 0.4, "loss/generator": 3.5},
    ),
    "undecided discriminator": ({"D(x)": 0.52, "D(G(z))": 0.48}, {"D(x)": 0.6, "D(G(z))": 0.48}),
}  # fmt: skip


@pytest.mark.parametrize("name", CLASSICAL)
def test_classical_checks_are_notes(log, name):
    for curves, expected in zip(CLASSICAL[name], (True, False), strict=True):
        curves = {"loss/discriminator": 1.2} | curves
        path = log({key: lambda t, value=value: value for key, value in curves.items()})
        notes = {f.name: f for f in diagnose(path) if f.status == "note"}
        assert (name in notes) == expected
        assert not expected or notes[name].advice.startswith("organza train dcgan")
        assert not set(CLASSICAL) & set(found(path))


def test_samples_that_do_not_listen_to_the_noise_are_few(log):
    path = log()
    names = {f.name for f in diagnose(path)}
    assert "few unique samples" not in names
    model = path / "model" / "model.safetensors"
    kept, weights = model.read_bytes(), load_file(model)
    try:
        deaf = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
        save_file(deaf, model, metadata={"format": "pt", "checksum": str(checksum(deaf))})
        finding = next(f for f in diagnose(path) if f.name == "few unique samples")
        assert finding.status == "problem"
        assert "of 500 samples only 1 are different" in finding.told
    finally:
        model.write_bytes(kept)


def test_a_healthy_log_raises_nothing(log):
    assert found(log()) == {}


def test_a_rate_far_above_the_recipes_own_is_named(log):
    path = log()
    kept = (path / "config.json").read_text()
    for factor, expected in ((20, {"large learning rate"}), (5, set())):
        config = json.loads(kept)
        for role in ("generator", "discriminator"):
            usual = rate_of(RECIPES["dcgan"]((1, 28, 28), "laptop"), role)
            config[role]["optimizer"]["lr"] = (factor if role == "generator" else 1) * usual
        (path / "config.json").write_text(json.dumps(config))
        assert set(found(path)) == expected
    (path / "config.json").write_text(kept)


def test_a_score_that_falls_says_go_on_and_a_flat_one_says_enough(log):
    notes = {f.name: f for f in diagnose(log({"score/fd-digits-2k": lambda t: 100 - 90 * t})) if f.status == "note"}
    assert "still improving" in notes
    assert "--resume" in notes["still improving"].advice
    flat = {f.name for f in diagnose(log()) if f.status == "note"}
    assert "still improving" not in flat


def test_a_run_that_has_hardly_begun_is_told_to_go_on_to_where_it_can_be_judged(log):
    path = log()
    kept = (path / "log.jsonl").read_text()
    (path / "log.jsonl").write_text("".join(kept.splitlines(keepends=True)[:1]))
    early = next(f for f in diagnose(path) if f.name == "too early")
    every = json.loads((path / "config.json").read_text())["output"]["log"]
    assert int(early.advice.split()[-1]) >= 12 * every
    (path / "log.jsonl").write_text(kept)


@pytest.mark.parametrize("name", PLANTED)
def test_every_advice_is_a_command_that_the_command_line_takes(log, name, capsys):
    words = shlex.split(found(log(PLANTED[name][0]))[name].advice)
    assert words[:3] == ["organza", "train", "dcgan"]
    main([*words[2:], "--device", "cpu", "--dry-run"])
    assert "nothing was written" in capsys.readouterr().out.lower() or not Path(words[-1]).exists()


def small_run(tmp_path, data, recipe="dcgan", changes=None):
    shape = (1, 28, 28)
    organza.train(
        recipe, data=str(data), images=32, out=tmp_path / "run", device="cpu",
        changes=shrunk(recipe, shape) | {"augment.policy": ""} | (changes or {}),
    )  # fmt: skip
    return tmp_path / "run"


def test_data_that_are_few_equal_or_dark(tmp_path):
    digits = organza.open_dataset("mnist").images[:600].numpy()
    for name, images, expected in (
        ("few", digits, {"little data"}),
        ("twice", np.tile(digits, (3, 1, 1, 1)), {"little data", "duplicates"}),
        ("dark", digits // 255, {"little data", "data range"}),
    ):
        np.save(tmp_path / f"{name}.npy", images)
        (tmp_path / name).mkdir()
        alarms = found(small_run(tmp_path / name, tmp_path / f"{name}.npy"))
        assert expected <= set(alarms), name
        assert ("data range" in alarms) == (name == "dark")
        assert ("duplicates" in alarms) == ((name != "few" and name == "twice") or len(set(map(bytes, images))) < 540)
    (tmp_path / "few.npy").unlink()
    findings = diagnose(tmp_path / "few" / "run")
    assert any("the data were not looked at" in f.told for f in findings if f.status == "note")


def test_a_generator_of_one_image_has_collapsed(trained, log, tmp_path):
    path = log()
    case = gather(path)
    assert case.gan is not None
    with torch.no_grad():
        for parameter in case.gan.generator.parameters():
            parameter.zero_()
    assert case.diversity < 1e-3
    (finding,) = [f for rule in RULES for f in rule(case) if f.name == "mode collapse"]
    assert finding.status == "problem"
    real = gather(path)
    real.__dict__["fake"] = organza.open_dataset("mnist", split="test").images[:500]
    assert 0.8 < real.diversity < 1.2
    assert 0.7 < real.coverage <= 1
    assert {f.name for rule in RULES for f in rule(real) if f.status in ALARMS} == set()


def test_one_class_that_repeats_itself(tmp_path):
    run = small_run(tmp_path, "mnist", "cgan")
    case = gather(run)
    labels = case.store.labels
    rows = torch.cat([(labels == c).nonzero()[:50, 0] for c in range(10)]).reshape(10, 50).T.flatten()
    fake = case.store.images[rows].clone()
    case.__dict__["fake"] = fake
    assert not [f for rule in RULES for f in rule(case) if f.name == "class collapse"]
    case = gather(run)
    fake[3::10] = fake[3]
    case.__dict__["fake"] = fake
    (finding,) = [f for rule in RULES for f in rule(case) if f.name == "class collapse"]
    assert "'3' (0.00)" in finding.told


def test_the_numbers_of_images():
    board = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8).repeat(8, 8)[None, None]
    smooth = torch.linspace(0, 255, 16).to(torch.uint8).expand(1, 1, 16, 16)
    assert high_frequencies(board) > 0.99
    assert high_frequencies(smooth) < 0.05
    assert at_the_ends(board) == 1
    assert at_the_ends(smooth) == pytest.approx(2 / 16)
    assert spread_of_values(smooth) == (0, 255)
    assert turns([1, -1, 1, -1]) == 3
    assert turns([0.0, 0.1, 0.9, 1.0]) == 1


def test_no_run_a_failed_one_and_one_that_just_began(tmp_path, log):
    with pytest.raises(ConfigError, match="no run at"):
        diagnose(tmp_path)
    path = log()
    summary = json.loads((path / "summary.json").read_text()) | {"status": "failed", "notes": ["x is not finite"]}
    (path / "summary.json").write_text(json.dumps(summary))
    assert found(path)["divergence"].told == "x is not finite"
    (path / "summary.json").write_text(json.dumps(summary | {"status": "finished", "notes": []}))
    young = diagnose(log(count=11))
    assert [(f.name, f.status) for f in young if f.name == "too early"] == [("too early", "note")]
    assert not [f for f in diagnose(log(count=12)) if f.name == "too early"]
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="is no configuration of a run"):
        diagnose(tmp_path)


def test_findings_are_kept_for_the_report(log):
    path = log({"heldout_gap": lambda t: 2.0})
    findings = diagnose(path)
    assert write_diagnosis(path, findings) == path / "diagnosis.json"
    page = write_report(path).read_text()
    assert "<h2>Diagnosis</h2>" in page
    assert "memorising discriminator" in page
    assert "--augment.policy color,translation,cutout" in page
    write_diagnosis(path, [])
    assert "Nothing wrong was found" in write_report(path).read_text()
    (path / "diagnosis.json").unlink()
    assert "Diagnosis" not in write_report(path).read_text()


class Told(Silent):
    def __init__(self):
        self.notes, self.steps = [], []

    def note(self, message):
        self.notes.append(message)

    def step(self, what, done, total):
        self.steps.append(what)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A training with all that happens at its end, of a D that does not learn: (folder, what was told)."""
    changes = shrunk("gan", (2,)) | {"discriminator.optimizer.lr": 1e-9, "output.log": 8, "output.pictures": True}
    out, told = tmp_path_factory.mktemp("runs") / "end", Told()
    organza.train("gan", data="ring", out=out, images=128, changes=changes, device="cpu", reporter=told)
    return out, told


def test_a_finished_training_is_diagnosed(judged):
    out, told = judged
    kept = json.loads((out / "diagnosis.json").read_text())
    assert [finding["name"] for finding in kept["findings"]] == [finding.name for finding in diagnose(out)]
    assert kept["images"] == 128
    page = (out / "report.html").read_text()
    assert "<h2>Diagnosis</h2>" in page
    assert "weak discriminator" in page
    assert "rules" in told.steps
    live, after = "look closer with: organza doctor", "what to try stands in"
    assert [note.split(":")[0] for note in told.notes if live in note] == ["weak discriminator"]
    new = {finding.name for finding in diagnose(out) if finding.status in ALARMS} - {"weak discriminator"}
    assert {note.split(":")[0] for note in told.notes if after in note} == new


def test_without_pictures_there_is_no_diagnosis(trained):
    assert not (trained / "diagnosis.json").exists()


def test_a_diagnosis_that_fails_costs_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr("organza.health.diagnosis.RULES", (lambda case: 1 / 0,))
    monkeypatch.setattr("organza.health.diagnosis.AT_ONCE", (lambda case: 1 / 0,))
    told = Told()
    changes = shrunk("gan", (2,)) | {"output.pictures": True}
    run = organza.train(
        "gan", data="ring", out=tmp_path / "run", images=32, changes=changes, device="cpu", reporter=told
    )
    assert run.summary["status"] == "finished"
    assert (run.path / "pictures/pictures.json").is_file()
    assert [note for note in told.notes if "no diagnosis" in note] == ["no diagnosis for the report: division by zero"]
    shown = json.loads((run.path / "pictures/pictures.json").read_text())["pictures"]
    page = (run.path / "report.html").read_text()
    assert shown
    assert all(picture["title"] in page for picture in shown)


def test_a_report_that_is_asked_for_has_a_diagnosis(judged, capsys):
    out, _ = judged
    (out / "diagnosis.json").unlink()
    write_the_report([str(out), "--no-pictures"])
    assert "Diagnosis" not in (out / "report.html").read_text()
    write_the_report([str(out)])
    assert "weak discriminator" in (out / "diagnosis.json").read_text()
    assert "<h2>Diagnosis</h2>" in (out / "report.html").read_text()


def test_a_diagnosis_of_an_earlier_moment_says_so(log):
    path = log()
    write_diagnosis(path, diagnose(path))
    assert "of the run at" not in write_report(path).read_text()
    images = json.loads((path / "diagnosis.json").read_text())["images"]
    with (path / "log.jsonl").open("a") as file:
        file.write(json.dumps({"images": 10 * images, **USUAL}) + "\n")
    assert f"of the run at {images:,} images" in write_report(path).read_text()
    (path / "diagnosis.json").unlink()


def test_samples_of_the_score_are_looked_at_while_it_trains(log):
    """Those that are there anyway: without them nothing is drawn."""
    path, digits = log(), organza.open_dataset("mnist").images
    assert early_alarms(path) == early_alarms(path, digits[:500]) == []
    (finding,) = early_alarms(path, digits[:1].expand(500, -1, -1, -1))
    assert (finding.name, finding.status) == ("few unique samples", "problem")
    assert "of 500 samples only 1 are different" in finding.told


@pytest.mark.parametrize(("variety", "score", "status"), [
    (0.1, lambda t: 10.0, ["problem"]), (0.3, lambda t: 10.0, ["warning"]), (0.6, lambda t: 10.0, []),
    (0.1, lambda t: 100 - 90 * t, []),
])  # fmt: skip
def test_a_collapse_is_told_while_it_trains_once_the_scores_stand_still(log, variety, score, status):
    """A young generator has little variety too."""
    path, digits = log({"score/variety": lambda t: variety, "score/fd-digits-2k": score}), organza.open_dataset("mnist")
    assert [f.status for f in early_alarms(path, digits.images[:500]) if f.name == "mode collapse"] == status


@pytest.mark.parametrize(("scores", "told"), [(3, False), (4, True)])
def test_three_scores_are_too_few_to_tell_a_collapse(log, scores, told):
    path, digits = log({"score/variety": lambda t: 0.1}), organza.open_dataset("mnist").images
    lines = [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
    for line in lines[:-scores]:
        del line["score/variety"], line["score/fd-digits-2k"]
    (path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert ("mode collapse" in [finding.name for finding in early_alarms(path, digits[:500])]) == told


def test_a_training_hands_the_samples_of_its_score_on(tmp_path):
    """A G whose weights stay what they are, here 0, makes one image again and again."""
    changes = shrunk("gan", (2,)) | {
        "generator.weight_clip": 1e-30, "output.log": 8, "output.checkpoint": 128, "output.score": True,
    }  # fmt: skip
    told = Told()
    organza.train("gan", data="ring", out=tmp_path / "run", images=256, changes=changes, device="cpu", reporter=told)
    assert [note for note in told.notes if note.startswith("few unique samples: of 500 samples only")]


def test_a_training_tells_what_it_sees_once(tmp_path):
    """D's accuracy and steps of a game whose D does not learn: told at a checkpoint, not again after a resume."""

    changes = shrunk("gan", (1, 28, 28)) | {
        "discriminator.optimizer.lr": 1e-9, "output.log": 8, "output.checkpoint": 64, "images": 256,
    }  # fmt: skip
    told = Told()
    out = tmp_path / "run"
    organza.train("gan", data="mnist", out=out, changes=changes, device="cpu", reporter=told)
    organza.train(out=out, resume=True, images=384, device="cpu", reporter=told)
    notes = json.loads((out / "summary.json").read_text())["notes"]  # a resumed run tells its earlier notes again
    assert [note.split(":")[0] for note in notes].count("weak discriminator") == 1
    assert f"organza doctor {out}" in next(note for note in told.notes if note.startswith("weak"))
    assert "weak discriminator" in (out / "report.html").read_text()
    assert early_alarms(out)


@pytest.mark.parametrize("autopilot", [False, True])
def test_a_look_that_fails_ends_no_training(tmp_path, monkeypatch, autopilot):
    """It is told once, and the networks are those of a run that nobody looks at."""
    changes, runs, notes = shrunk("gan", (2,)) | {"output.log": 8, "output.checkpoint": 64}, [], []
    for rules in ((), (lambda case: 1 / 0,)):
        monkeypatch.setattr("organza.health.diagnosis.OF_THE_LOG", rules)
        told, fields = Told(), changes | {"autopilot": autopilot and bool(rules), "images": 256}
        runs.append(organza.train("gan", data="ring", out=tmp_path / f"{len(rules)}", changes=fields, reporter=told))
        notes.append([note for note in told.notes if note.startswith("no look at the health")])
    said = "no look at the health of the run: ZeroDivisionError: division by zero; the training goes on without it"
    assert notes == [[], [said]]
    assert runs[1].summary["notes"].count(said) == 1
    assert [(run.summary["status"], run.summary["images"]) for run in runs] == [("finished", 256)] * 2
    one, two = (organza.load(run.path).sample(8, seed=0) for run in runs)
    assert torch.equal(one, two)


def test_an_answer_to_a_rollback_that_fails_is_told_too(tmp_path, monkeypatch):
    """The run ends as one without the autopilot does, and not by its fault."""
    monkeypatch.setattr("organza.training.autopilot.Autopilot.gentler", lambda *_: 1 / 0)
    huge = {"generator.optimizer.lr": 1e38, "generator.optimizer.name": "sgd", "autopilot": True, "images": 512}
    changes, told = shrunk("gan", (2,)) | {"output.log": 8, "output.checkpoint": 64} | huge, Told()
    with pytest.raises(BrokenError):
        organza.train("gan", data="ring", out=tmp_path / "run", changes=changes, reporter=told, device="cpu")
    assert sum("no look at the health of the run: ZeroDivisionError" in note for note in told.notes) == 1
