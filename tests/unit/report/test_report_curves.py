import math
import random
import re
from xml.etree import ElementTree

import pytest

from organza.report.curves import POINTS, curve_svg, decimate, short


def drawn(svg):
    return ElementTree.fromstring(svg)


def test_the_drawing_is_whole_xml_with_a_title_and_a_description():
    root = drawn(curve_svg({"G": [(0, 1.0), (10, 2.0)], "D": [(0, 3.0), (10, 1.0)]}, "Loss", "images"))
    assert root.get("role") == "img"
    assert root.get("aria-label") == "Loss: G from 1 to 2, D from 3 to 1"
    assert root[0].tag == "title"
    assert root[0].text == "Loss"
    words = [element.text for element in root.iter("text")]
    assert "images" in words
    assert sum(word.startswith(("G", "D")) for word in words) == 2


def test_curves_differ_without_colour():
    svg = curve_svg({name: [(0, i), (1, i + 1)] for i, name in enumerate("abcd")}, "t", "x")
    groups = list(drawn(svg).iter("g"))
    looks = {
        (group.find("path").get("stroke-dasharray"), group[2].tag + group[2].get("d", "")[-20:]) for group in groups
    }
    assert len(groups) == len(looks) == 4


def test_names_are_escaped():
    svg = curve_svg({'<script>"&': [(0, 1)]}, "<b>'\"", "<i>")
    assert "<script>" not in svg
    assert "<b>" not in svg
    assert drawn(svg)[0].text == "<b>'\""


def test_values_that_are_not_finite_are_left_out():
    nan, inf = math.nan, math.inf
    svg = curve_svg({"a": [(0, 1.0), (1, nan), (2, inf), (3, -inf), (nan, 1.0), (4, 2.0)]}, "t", "x")
    assert "nan" not in svg
    assert "inf" not in svg
    assert next(drawn(svg).iter("g")).find("path").get("d").count("L") == 1


@pytest.mark.parametrize("points", [[], [(0, math.nan)], [(5, 5.0)], [(0, 0.0), (1, 0.0)], [(0, 1e308), (1, -1e308)]])
@pytest.mark.parametrize("log", [False, True])
def test_few_or_odd_values_still_give_a_drawing(points, log):
    root = drawn(curve_svg({"a": points}, "t", "x", log_scale=log))
    numbers = re.findall(r'"(-?[\d.]+e?[\d-]*)"', ElementTree.tostring(root, "unicode"))
    assert all(math.isfinite(float(n)) for n in numbers)


def test_no_series_says_so():
    assert "no values yet" in curve_svg({}, "t", "x")


def test_a_log_scale_leaves_out_what_has_no_logarithm():
    svg = curve_svg({"a": [(0, 0.0), (1, -1.0), (2, 0.001), (3, 1000.0)]}, "t", "x", log_scale=True)
    assert next(drawn(svg).iter("g")).find("path").get("d").count("L") == 1
    assert "log scale" in svg
    assert ">100<" in svg or ">10<" in svg


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.05), (0.3, 4.0), (3.0, 80.0), (1e-9, 1e9)])
def test_a_log_scale_has_a_few_ticks(low, high):
    root = drawn(curve_svg({"a": [(0, low), (1, high)]}, "t", "x", log_scale=True))
    ticks = [e for e in root.iter("text") if e.get("text-anchor") == "end"]
    assert 2 <= len(ticks) <= 8


def test_a_long_curve_is_thinned_but_keeps_its_extremes():
    generator = random.Random(0)
    points = [(i, generator.gauss(0, 1)) for i in range(10_000)]
    points[4321] = (4321, 99.0)
    points[8765] = (8765, -99.0)
    kept = decimate(points)
    assert len(kept) <= POINTS
    assert kept == sorted(set(kept))
    assert {points[0], points[-1], points[4321], points[8765]} <= set(kept)
    assert decimate(points[:POINTS]) == points[:POINTS]


@pytest.mark.parametrize("count", [601, 602, 899, 1200])
def test_thinning_never_leaves_too_many(count):
    assert len(decimate([(i, i % 7) for i in range(count)])) <= POINTS


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (5000, "5000"), (50_000, "50k"), (1_066_753, "1.067M"), (0.03124, "0.03124"), (2e-4, "2.0e-04"),
     (-1.5e9, "-1.5G"), (1e20, "1.00e+20"), (math.nan, "nan")],
)  # fmt: skip
def test_numbers_for_people(value, words):
    assert short(value) == words
