"""What is wrong with a run, as far as its log, its samples and its data tell: `organza doctor RUN`.

Each rule reads evidence (`curves`, `samples`) and names what it found, where one sees it, how sure that is, likely
causes, and a command to try next. The borders were set on runs that were broken on purpose and on healthy ones:
`benchmarks/doctor.py`, whose table is in docs/doctor.md. Between two runs of one recipe a curve is compared better by
eye than by any border.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from organza.data.progress import SILENT, Progress
from organza.health import advice, command
from organza.health.curves import OF_THE_LOG, of_scores
from organza.health.evidence import Case, config_in_force, gather
from organza.health.finding import Finding, Rule, advised
from organza.health.samples import OF_SAMPLES, of_data
from organza.report.folder import read_folder
from organza.training.run import Run, write_json

NAME = "diagnosis.json"
SETTLES = 12  # lines of the log before which curves and samples tell nothing


def diagnose(path: str | Path, progress: Progress = SILENT, device: str | torch.device = "cpu") -> list[Finding]:
    """Every finding about the run in the folder `path`, problems first; nothing but notes for a healthy one.

    Raises ConfigError where there is no run.
    """
    case = gather(path, progress, device=device)
    found: list[Finding] = []
    rules = AT_ONCE if _is_young(case) else RULES
    for number, rule in enumerate(rules, 1):
        found += rule(case)
        progress.step("rules", number, len(rules))
    found = list({(finding.name, finding.told): finding for finding in found}.values())
    ill = any(finding.status != "note" for finding in found)
    kept = [finding for finding in found if not (ill and finding.name == "converged")]
    return sorted(kept, key=lambda finding: ("problem", "warning", "note").index(finding.status))


def early_alarms(path: Path, drawn: Tensor | None = None) -> list[Finding]:
    """Problems and warnings that its log, and samples that the score has drawn, tell of a run while it trains.

    Quick enough for every checkpoint.
    """
    run = read_folder(path)
    case = Case(run, config_in_force(run, Run(path).config), None, None, drawn=drawn)
    return [] if _is_young(case) else alarms(case)


def alarms(case: Case) -> list[Finding]:
    """Problems and warnings, the gravest first, by the rules that the parts of a case allow."""
    rules = OF_THE_LOG + (OF_SAMPLES if case.gan is not None or case.drawn is not None else ())
    found = [finding for rule in rules for finding in rule(case) if finding.status != "note"]
    return sorted(found, key=lambda finding: ("problem", "warning").index(finding.status))


def keep_diagnosis(
    path: str | Path, progress: Progress = SILENT, device: str | torch.device = "cpu"
) -> list[Finding]:  # fmt: skip
    """`diagnose`, kept beside the run for its report; raises OSError, too, where nothing can be written."""
    findings = diagnose(path, progress, device)
    write_diagnosis(path, findings)
    return findings


def write_diagnosis(path: str | Path, findings: list[Finding]) -> Path:
    """Keep findings beside the run, for its report; the file that was written."""
    folder = Path(path).expanduser()
    file, images = folder / NAME, read_folder(folder).images
    write_json(file, {"images": images, "findings": [asdict(finding) for finding in findings]})
    return file


def _is_young(case: Case) -> bool:
    return len(case.run.series.get("loss/generator", ())) < SETTLES


def _divergence(case: Case) -> Iterator[Finding]:
    if case.run.status == "failed" or any("not finite" in note for note in case.run.notes):
        yield advised(
            case, "divergence", "note" if case.mended("divergence") else "problem",
            next((n for n in case.run.notes if "not finite" in n), "the run failed"), "the notes and the losses",
            "sure", "a learning rate that is too high, bfloat16, or a penalty without bound",
            advice.slower(case, *advice.ROLES),
        )  # fmt: skip


def _early(case: Case) -> Iterator[Finding]:
    if _is_young(case) and case.run.status != "failed":
        lines = len(case.run.series.get("loss/generator", ()))
        yield Finding(
            "too early", "note", f"the log has {lines} lines, and curves and samples are judged from {SETTLES} on",
            "log.jsonl", "sure", f"a run of {case.run.images} images, with a line every {case.config.output.log}",
            command.go_on(case, SETTLES * case.config.output.log),
        )  # fmt: skip


def _unseen(case: Case) -> Iterator[Finding]:
    for reason in case.missing:
        yield Finding("not looked at", "note", reason, "", "sure", "", "")


AT_ONCE: tuple[Rule, ...] = (_divergence, of_data, _early, _unseen)
RULES: tuple[Rule, ...] = (_divergence, *OF_THE_LOG, *OF_SAMPLES, of_scores, _unseen)
