"""Scores follow from lines: rows, not samples, are what means and intervals are over."""

import pytest

from acc.evaluate.scoring import asked_otherwise, benchmark_scores, held_out_scores
from acc.records.stats import RESAMPLES, Mean, mean, mean_of_bins, paired


def line(row, value, *, sample=0, bin="up_to_8_tokens", kind="2needle", official=None, **more):
    return {
        "row": row, "condition": "full", "sample": sample, "asked": f"hash of {row}", "response": "r", "finish": "stop",
        "tokens": 10, "thinking_tokens": 4, "seconds": 2.0, "failed": False, "kind": kind, "bin": bin, "bin_o200k": official,
        "screen": False, "scores": {"official": value, "strip": value / 2}, **more,
    }  # fmt: skip


def scored(lines, **options):
    return {s.name: s for s in benchmark_scores(10, "mrcr", lines, quoted=("official",), **options)}


def value(score):
    return Mean(score.mean, score.ci95, score.n)


def test_a_row_is_the_mean_of_its_samples_and_the_interval_is_over_rows():
    drawn = {"a": [1.0, 1.0, 0.0], "b": [0.0, 0.0, 0.0], "c": [0.5, 1.0, 0.3]}
    lines = [line(row, x, sample=k) for row, values in drawn.items() for k, x in enumerate(values)]
    found = scored(lines)["mrcr/official"]
    rows = [2 / 3, 0.0, 0.6]
    assert found.mean == pytest.approx((2 / 3 + 0 + 0.6) / 3)
    assert value(found) == mean(rows)
    over_samples = mean([x for values in drawn.values() for x in values])
    assert found.n == 3 and over_samples.n == 9
    assert found.ci95[1] - found.ci95[0] > over_samples.ci95[1] - over_samples.ci95[0]


def test_every_convention_for_all_rows_and_the_quoted_ones_for_slices():
    lines = [line("a", 1.0), line("b", 0.5, kind="4needle", bin="up_to_16_tokens", official=8192)]
    found = scored(lines)
    assert found["mrcr/strip"].mean == pytest.approx(0.375)
    assert found["mrcr/official/4needle"].mean == 0.5
    assert found["mrcr/official/up_to_8_tokens"].n == 1
    assert found["mrcr/official/o200k_8192"].mean == 0.5
    assert "mrcr/strip/4needle" not in found


def test_bins_weigh_the_same_in_the_overall_of_bins_and_rows_in_the_other():
    lines = [line("a", 1.0), line("b", 0.0), line("c", 0.5), line("d", 0.2, bin="up_to_16_tokens")]
    found = scored(lines)
    assert found["mrcr/official"].mean == pytest.approx(1.7 / 4)
    overall = found["mrcr/official/all_bins"]
    # up_to_16 has the mean 0.2, up_to_8 the mean 0.5.
    assert (overall.mean, overall.n) == (pytest.approx(0.35), 4)
    assert overall.extra["bins"] == "student"
    # A bin of one row does not vary, so the interval is half as wide as that of the other bin.
    whole = mean([1.0, 0.0, 0.5]).ci95
    assert overall.ci95[1] - overall.ci95[0] == pytest.approx((whole[1] - whole[0]) / 2, abs=0.03)


def test_official_bins_weigh_where_rows_have_them():
    lines = [line("a", 1.0, official=8192), line("b", 0.0, official=8192), line("c", 0.0, official=16384)]
    overall = scored(lines)["mrcr/official/all_bins"]
    assert (overall.mean, overall.extra["bins"]) == (0.25, "o200k")
    # Where one has none, the student's bins weigh for all: here they are one.
    some = scored([*lines[:2], line("c", 0.0)])["mrcr/official/all_bins"]
    assert (some.mean, some.extra["bins"]) == (pytest.approx(1 / 3), "student")


def test_the_bootstrap_of_bins_draws_within_bins():
    # Were rows drawn over all, a bin's size would vary and so would the mean of these.
    assert mean_of_bins([[1.0] * 3, [0.0] * 5]) == Mean(0.5, (0.5, 0.5), 8)
    assert mean_of_bins([[], []]) == Mean(0.0, (0.0, 0.0), 0)
    assert mean_of_bins([[1.0, 0.0], []]) == mean_of_bins([[1.0, 0.0]]) == mean([1.0, 0.0])
    assert RESAMPLES == 2000


def test_the_share_of_cut_answers_is_told_for_every_length():
    lines = [
        line("a", 0.0, finish="length", sample=0),
        line("a", 1.0, sample=1),
        line("b", 0.0, finish="length", bin="up_to_16_tokens"),
        line("c", 1.0, bin="up_to_16_tokens", tokens=40, thinking_tokens=20, seconds=5.0),
    ]
    found = scored(lines)
    assert found["mrcr/cut"].mean == pytest.approx((0.5 + 1 + 0) / 3)
    assert found["mrcr/cut/up_to_8_tokens"].mean == 0.5
    assert found["mrcr/cut/up_to_16_tokens"].mean == 0.5
    assert found["mrcr/tokens"].mean == pytest.approx(20)
    assert found["mrcr/thinking_tokens/up_to_16_tokens"].mean == 12
    assert found["mrcr/seconds"].mean == 3
    assert found["mrcr/cut/2needle"].n == 3 and "mrcr/seconds/2needle" not in found


def test_differences_with_the_base_are_paired_by_row_and_only_where_the_same_was_asked():
    now = [line("a", 1.0), line("a", 0.0, sample=1), line("b", 0.8), line("c", 0.4)]
    base = [line("a", 0.2), line("b", 0.9), {**line("c", 0.0), "asked": "something else"}, line("d", 0.0)]
    found = scored(now, base=base)["mrcr/official_minus_base"]
    assert value(found) == paired({"a": 0.5, "b": 0.8}, {"a": 0.2, "b": 0.9})
    assert (found.mean, found.n) == (pytest.approx(0.1), 2)
    assert "mrcr/official_minus_base" not in scored(now)
    assert scored(now, base=base)["mrcr/official_minus_base/all_bins"].mean == pytest.approx(0.1)


def test_the_screen_has_scores_of_its_own_over_its_rows():
    lines = [line("a", 1.0, screen=True), line("b", 0.0)]
    skipped = [line("c", 0.0, screen=True), line("d", 0.0)]
    found = scored(lines, skipped=skipped, screen=True)["screen_mrcr/official"]
    assert (found.mean, found.n, found.skipped) == (1.0, 1, 1)
    whole = scored(lines, skipped=skipped)["mrcr/official"]
    assert (whole.mean, whole.n, whole.skipped) == (0.5, 2, 2)


def test_failed_answers_count_as_nothing_and_by_row():
    lines = [line("a", 0.0, sample=k, failed=k < 2) for k in range(3)] + [line("b", 1.0)]
    found = scored(lines)["mrcr/official"]
    assert (found.n, found.failed) == (2, 1)


def test_what_others_measured_needs_no_tokens_and_no_bins():
    lines = [line(row, 0.5, kind="", bin=None, tokens=0) for row in "ab"]
    found = benchmark_scores(0, "command_mine", lines)
    assert [s.name for s in found] == ["command_mine/official", "command_mine/strip"]


def held(row, condition, nll, exact=None, **more):
    return line(row, 0.0, condition=condition, nll=nll, exact=exact, kind=more.pop("kind", "search"), **more)


def test_held_out_conditions_are_compared_by_row_in_every_domain_and_length():
    rows = {"a": (1.0, 3.0, "search", "up_to_8_tokens"), "b": (2.0, 2.5, "database", "up_to_16_tokens")}
    lines = [
        held(row, condition, x, kind=kind, bin=bin)
        for row, (full, without, kind, bin) in rows.items()
        for condition, x in (("full", full), ("no_support", without))
    ]
    found = {s.name: s for s in held_out_scores(10, lines, not_asked={"no_support": 2})}
    assert value(found["held_out/nll_minus_no_support"]) == paired({"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 2.5})
    assert found["held_out/nll_minus_no_support"].mean == pytest.approx(-1.25)
    assert found["held_out/nll_minus_no_support/search"].mean == -2
    assert found["held_out/nll_minus_no_support/up_to_16_tokens"].mean == -0.5
    assert found["held_out/nll/no_support"].skipped == 2
    assert found["held_out/nll"].skipped == 0
    assert not any("exact" in name for name in found), "what was not measured has no score"


def test_what_was_asked_in_another_way_is_no_pair():
    now = [line(row, 0.5, how="greedy") for row in "abc"]
    base = [line("a", 0.1, how="greedy"), line("b", 0.1, how="sampled"), line("c", 0.1)]
    assert scored(now, base=base)["mrcr/official_minus_base"].n == 2, "of c nobody said how"
    assert asked_otherwise(base, now) == 1


@pytest.mark.parametrize("side", ["base", "now"])
def test_a_row_that_a_server_failed_on_is_in_no_difference(side):
    lines = {name: [line(row, 0.5) for row in "abc"] for name in ("base", "now")}
    lines[side][0] |= {"finish": "failed", "failed": True, "scores": {"official": 0.0, "strip": 0.0}}
    compared = scored(lines["now"], base=lines["base"])["mrcr/official_minus_base"]
    assert (compared.mean, compared.n) == (0.0, 2)
