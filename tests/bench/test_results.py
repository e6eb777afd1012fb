"""Figures: computed, kept, read back and summed up."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.platform.core.errors import InvalidRequest
from tests.bench.compare import carried, comparison, line, next_rate
from tests.bench.facts import Fact
from tests.bench.results import (
    Middle,
    Recordings,
    Sample,
    Spread,
    faults,
    highest_rates,
    load,
    merged,
    percentile,
    save,
    table,
)

FINE = Spread(2.0, 8.0, 9.0, 12.0)
LATE = Spread(2.0, 200.0, 900.0, 1200.0)


def sample(side: str = "ours", kind: str = "fixed", rate: float = 5.0) -> Sample:
    return Sample(
        side=side,
        kind=kind,
        rate=rate,
        talk=4.0,
        calls=40,
        faults={},
        answer=FINE,
        ring=FINE,
        cpu={"asterisk": 40.0, "postgres": 2.0},
        generator=5.0,
        memory={"asterisk": 1e8, "postgres": 5e7},
        recorded=4_000_000,
        missing=0,
        off=0,
        short=0,
        difference=FINE,
        more={"round": 1},
    )


def hold(rate: float, number: int, answer: Spread = FINE, side: str = "ours") -> Sample:
    return replace(sample(side, "hold", rate), answer=answer, more={"round": number})


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([50.0, 95.0, 99.0, 100.0]))
def test_a_percentile_is_a_value_that_so_many_stay_below(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= len(ordered) * share / 100
    assert sum(value < found for value in ordered) < len(ordered) * share / 100


def test_nothing_measured_is_not_a_number() -> None:
    assert math.isnan(Spread.of([None, None]).p95)
    assert math.isnan(Middle.of([]).median)
    assert Middle.of([]).text() == "-"


def test_a_rate_holds_within_limits_and_without_failed_calls() -> None:
    assert sample().holds
    assert not replace(sample(), faults={"no consultant": 1}).holds
    assert not replace(sample(), answer=LATE).holds
    assert not replace(sample(), ring=LATE).holds
    assert not replace(sample(), ring=Spread.of([])).holds


def test_recordings_are_judged_for_calls_without_a_fault() -> None:
    given_facts = [
        Fact(1.0, 2.0, 3.0, None, 100, 50.0),
        Fact(1.0, 2.0, 3.0, None, 100, -200.0),
        Fact(1.0, 2.0, 3.0, None, 100, 200.0),
        Fact(1.0, 2.0, 3.0, None, 0, None),
        Fact(1.0, 2.0, None, "no consultant", 0, None),
    ]
    assert Recordings.of(given_facts) == Recordings(bytes=300, missing=1, off=2, short=1)
    assert faults(given_facts) == {"no consultant": 1}


def test_processes_of_one_kind_are_summed() -> None:
    assert merged({"line-1": 1.0, "line-2": 2.0, "web": 0.5}) == {"line": 3.0, "web": 0.5}


def test_the_search_begins_at_what_the_processors_carry() -> None:
    costing = replace(sample(), cpu={"asterisk": 40.0, "line": 20.0}, generator=20.0)
    assert carried(costing, 2) == round(0.85 * 2 / 0.08)
    assert carried(replace(costing, generator=9000.0), 1) == 1.0


@given(st.integers(1, 60), st.floats(0.5, 70))
def test_the_search_ends_between_a_passing_and_a_failing_rate(begin: int, limit: float) -> None:
    tried: list[Sample] = []
    rate: float | None = float(begin)
    while rate is not None:
        assert rate not in [each.rate for each in tried]
        tried.append(hold(rate, 1, FINE if rate <= limit else LATE))
        rate = next_rate(tried)
    held = [each.rate for each in tried if each.holds]
    failed = [each.rate for each in tried if not each.holds]
    if held:
        assert max(held) <= limit < min(failed)
        assert min(failed) <= max(max(held) + 1, max(held) / 0.8 + 1)
    else:
        assert limit < 1 == min(failed)


def test_the_highest_rate_is_the_best_in_every_round() -> None:
    samples = [
        hold(20.0, 1),
        hold(22.0, 1, LATE),
        hold(24.0, 2),
        hold(26.0, 2),
        hold(28.0, 3, LATE),
        hold(50.0, 1, side="plain"),
    ]
    assert highest_rates(samples, "ours") == [20.0, 26.0, 0.0]


@pytest.mark.parametrize("spread", [FINE, Spread.of([])])
def test_results_are_read_back_as_they_were_written(tmp_path: Path, spread: Spread) -> None:
    path = tmp_path / "results" / "one.json"
    written = [sample(), replace(hold(20.0, 2), ring=spread)]
    save(path, {"machine": "2 cores"}, written)
    about, read = load(path)
    assert about == {"machine": "2 cores"}
    assert repr(read) == repr(written)  # not-a-number is not equal to itself


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "about": {}, "samples": [{}]}']
)
def test_what_is_no_result_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(content)
    with pytest.raises(InvalidRequest, match=r"odd\.json"):
        load(path)


def test_files_hold_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    save(path, {}, [sample()])
    assert json.loads(path.read_text())["samples"][0]["answer"]["p95"] == 8.0


def test_a_table_has_its_columns_one_below_the_other() -> None:
    assert table([("a", "b"), ("long", "x")]) == "a     b\n----  -\nlong  x"


def test_the_comparison_tells_ratios_and_differences() -> None:
    samples = [sample("plain"), replace(sample(), answer=Spread(5.0, 9.0, 9.0, 9.0))]
    samples += [hold(40.0, 1, side="plain"), hold(30.0, 1)]
    shown = comparison(samples)
    assert "0.75 of plain" in shown
    assert "+3.0 ms" in shown
    assert "1.00 of plain" in shown


def test_a_line_of_progress_names_faults() -> None:
    failed = replace(sample(), faults={"no consultant": 2})
    assert "2 no consultant" in line(failed)
    assert "does not hold" in line(replace(failed, kind="hold"))
