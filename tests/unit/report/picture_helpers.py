"""What the tests of pictures share."""

from engine_helpers import shrunk
from test_report_page import Page

import organza
from organza.health.evidence import Case, gather
from organza.report.folder import read_folder
from organza.report.page import write_report

PLANE, OF_IMAGES = {"manifold", "heat"}, {"neighbours", "realism", "strip", "spectrum"}


def trained(folder, recipe, data, changes=None, images=64):
    shape = organza.open_dataset(data).shape
    small = shrunk(recipe, shape) | (changes or {})
    organza.train(recipe, data=data, images=images, out=folder, changes=small, device="cpu")
    return folder


def drawn(run) -> dict[str, dict]:
    return {entry["name"]: entry for entry in read_folder(run).pictures["pictures"]}


def missing(run) -> set[str]:
    return {name for name, entry in drawn(run).items() if "missing" in entry}


def page_of(run) -> Page:
    return Page(write_report(run).read_text("utf-8"))


def case_of(run, fake=None) -> Case:
    case = gather(run, count=200)
    if fake is not None:
        case.__dict__["fake"] = fake
    return case
