"""The report draws how evenly the experts share the tokens."""

from __future__ import annotations

from acc.report.training import _expert_load


def test_the_chart_says_how_many_experts_got_nothing() -> None:
    load = {"0/entropy": 0.9, "0/dead": 1, "1/entropy": 0.5, "1/dead": 2}
    drawn = str(_expert_load([{"step": 1, "experts": load}, {"step": 2}, {"step": 10, "experts": load}]))
    assert "In step 10 3 experts of all layers got no token" in drawn
    assert "least even layer" in drawn


def test_a_dense_student_has_no_chart() -> None:
    assert str(_expert_load([{"step": 1, "loss": 2.0}])) == ""
