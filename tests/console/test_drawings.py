"""Charts, small multiples, marked notes and words: values in, marks out."""

from array import array
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from console.chart import Line, line_chart, nice_top
from console.lab import Leaned, reference_ranges, small_multiples
from console.note import pieces
from console.pulse import SPAN, Beat, quantiles, rates
from console.words import lasting, plain, share, short_key
from stream.labs import Analytes
from stream.points import FLAG_BELOW, POINT, encode_points

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
NOTHING = Leaned.of({})


@pytest.mark.parametrize(("greatest", "top"), [(0, 1), (0.3, 0.5), (1, 1), (1.2, 2), (230, 500), (float("nan"), 1)])
def test_a_scale_ends_at_a_round_number_above_the_greatest(greatest, top):
    assert nice_top(greatest) == top


def test_a_curve_is_broken_where_nothing_was_measured():
    times = [NOW + timedelta(seconds=second) for second in range(4)]
    svg = line_chart([Line(name="scan", values=[1, None, 2, 3])], times, title="Depth", unit="events")
    assert svg.partition(' d="')[2].partition('"')[0].count("M") == 2


def test_what_a_chart_shows_last_is_also_its_text():
    svg = line_chart([Line(name="scan", values=[1, 7])], [NOW, NOW + timedelta(seconds=5)], title="Depth", unit="events")
    assert 'aria-label="Depth: scan 7 events"' in svg


def test_an_empty_chart_says_so():
    assert "nothing measured yet" in line_chart([Line(name="scan", values=[])], [], title="Depth", unit="events")


def beat(second: int, done: int, latency: dict[float, float]) -> Beat:
    counts = {"scan": done}
    buckets = {"scan": (tuple(latency), array("d", latency.values()))}
    return Beat(at=NOW + timedelta(seconds=second), received=counts, done=counts, depth={}, oldest={}, latency=buckets)


def test_a_rate_is_that_of_the_last_beats_and_never_below_zero():
    beats = [beat(5 * place, 10 * place, {}) for place in range(SPAN + 3)]
    assert rates(beats, "done", "scan")[0] is None
    assert rates(beats, "done", "scan")[-1] == pytest.approx(120)
    assert rates([*beats, beat(100, 0, {})], "done", "scan")[-1] == 0


def test_a_quantile_is_that_of_what_came_in_between():
    before, after = beat(0, 0, {1.0: 100, 2.0: 100, float("inf"): 100}), beat(5, 10, {1.0: 100, 2.0: 110, float("inf"): 110})
    assert quantiles([before, after], 0.5, "scan") == [None, pytest.approx(1.5)]


def test_a_quantile_beyond_the_last_bound_is_that_bound():
    beats = [beat(0, 0, {1.0: 0, float("inf"): 0}), beat(5, 1, {1.0: 0, float("inf"): 1})]
    assert quantiles(beats, 0.5, "scan")[-1] == 1.0


def window(*rows: tuple[str, float, float, int]) -> bytes:
    return encode_points(np.array([(code.encode(), *rest) for code, *rest in rows], POINT))


def test_each_analyte_is_drawn_in_its_unit_beside_its_range(tmp_path):
    content = window(("2951-2", 60, 150, 0), ("2951-2", 120, 140, 0), ("2823-3", 60, 4, 0))
    ranges = reference_ranges(tmp_path)
    potassium, sodium = small_multiples(content, Analytes.read(), ranges, hours=48, leaned=NOTHING)
    assert (sodium["name"], sodium["unit"], sodium["n"], sodium["last"], sodium["range"]) == (
        "Sodium",
        "mmol/L",
        2,
        "140",
        "135 to 145",
    )
    assert (sodium["outside"], potassium["outside"]) == (1, 0)
    assert sodium["svg"].count("outside") == 1


def test_the_installations_own_reference_range_replaces_the_shipped_one(tmp_path: Path):
    (tmp_path / "reference_ranges.csv").write_text("analyte,low,high\nNa,130,\n")
    assert reference_ranges(tmp_path)["Na"] == (130, None)


def test_every_reference_range_is_of_a_known_analyte_and_within_what_is_plausible(tmp_path):
    known = Analytes.read().by_name
    for name, (low, high) in reference_ranges(tmp_path).items():
        least, most = known[name].plausible
        assert low is None or least <= low <= most
        assert high is None or least <= high <= most


def test_what_the_model_leaned_on_most_comes_first():
    content = window(("2951-2", 60, 140, 0), ("2823-3", 60, 4, 0))
    leaned = Leaned.of({"analytes": {"Na": -0.5, "K": 0.1}, "hours": [0.2, -0.4], "matrix": {"Na": [0.5, -0.5]}})
    sodium, potassium = small_multiples(content, Analytes.read(), {}, hours=48, leaned=leaned)
    assert (sodium["analyte"], sodium["share"], potassium["share"]) == ("Na", 1.0, pytest.approx(0.2))
    assert [one["way"] for one in leaned.hour_bars()] == ["towards", "against"]
    assert [one["way"] for one in sodium["stretches"]] == ["towards", "against"]


def test_a_bound_is_drawn_hollow_and_a_code_that_nobody_knows_is_drawn_by_its_code():
    (one,) = small_multiples(window(("99999-9", 60, 1, FLAG_BELOW)), Analytes.read(), {}, hours=48, leaned=NOTHING)
    assert one["name"] == "99999-9"
    assert 'class="dot bound"' in one["svg"]


def test_a_window_without_results_draws_nothing():
    assert small_multiples(b"", Analytes.read(), {}, hours=48, leaned=NOTHING) == []


def test_a_window_that_is_no_window_is_said():
    with pytest.raises(ValueError, match="buffer"):
        small_multiples(b"x", Analytes.read(), {}, hours=48, leaned=NOTHING)


def token(start: int, end: int, weight: float) -> dict:
    return {"token": "", "start": start, "end": end, "weight": weight}


def test_a_note_is_whole_and_its_weighty_words_are_marked():
    text = "stones in the left kidney"
    shown = pieces(text, [token(19, 25, 1.0), token(0, 6, -0.5), token(7, 9, 0.01)])
    assert "".join(one["text"] for one in shown) == text
    assert [(one["text"], one["css"]) for one in shown if one["css"]] == [("stones", "against step3"), ("kidney", "towards step5")]


@pytest.mark.parametrize("tokens", [[], [token(0, 3, 0.0)], [token(90, 99, 1.0)], [token(5, 2, 1.0)]])
def test_tokens_that_mark_nothing_leave_the_note_as_it_is(tokens):
    assert "".join(one["text"] for one in pieces("a note", tokens)) == "a note"


def test_words_that_overlap_are_marked_once():
    assert "".join(one["text"] for one in pieces("abcdef", [token(0, 4, 1.0), token(2, 6, 1.0)])) == "abcdef"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.99997, ">99.9\u00a0%"),
        (1.0, "100.0\u00a0%"),
        (0.0001, "<0.1\u00a0%"),
        (0.5, "50.0\u00a0%"),
        (0.0, "0.0\u00a0%"),
        (None, "–"),
    ],
)
def test_what_is_nearly_certain_is_never_written_as_certain(value, words):
    assert share(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0001, "<1 ms"), (0.25, "250 ms"), (1.5, "1.5 s"), (61, "61 s"), (600, "10 min 0 s"), (3 * 86400, "3.0 days"), (None, "–")],
)
def test_a_duration_has_the_units_that_matter(seconds, words):
    assert lasting(seconds) == words


def test_json_is_one_line_and_an_empty_list_is_none():
    assert plain({"refused_points": [], "n": 1200, "complete": True}) == "refused points none, n 1,200, complete yes"


def test_a_key_is_cut_and_whole_in_its_title():
    assert short_key("a" * 32).count("a") >= 42
