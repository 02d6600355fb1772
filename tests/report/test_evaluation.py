"""The page of an evaluated run holds the numbers of the score file, the published ones apart, and the worst answers to read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from evaluated_run import BINS, make_evaluated
from example_run import HOSTILE, make_run
from test_report import Page

from acc import report
from acc.html.numbers import percent, points, signed
from acc.recipe.policy import KEPT_OUT
from acc.records.published import ACC, BASE, PUBLISHED, of_benchmark
from acc.records.sample import read_samples
from acc.records.scores import Score, read_scores
from acc.records.stats import paired
from acc.report.answers import split_thinking
from acc.report.boards import bin_title, boards
from acc.report.files import RunFiles

SHARES = ("official", "none", "lstrip", "strip", "f1", "official_f1", "strict_f1", "precision", "recall", "exact")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_evaluated(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def html(run: Path) -> str:
    return report.run(run).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def scores(run: Path) -> list[Score]:
    return read_scores(run / "evaluate/scores.jsonl")


def section(html: str, anchor: str) -> str:
    """The visible text of one section."""
    found = re.search(rf'<section id="{anchor}">.*?</section>', html, re.S)
    assert found
    return Page(found[0]).text


def one(scores: list[Score], **wanted: object) -> Score:
    wanted = {"screen": False, "synthetic": False, "group": "all", **wanted}
    (found,) = (s for s in scores if all(getattr(s, k) == v for k, v in wanted.items()))
    return found


def lines(run: Path, step: int, suite: str) -> list[dict]:
    return [json.loads(x) for x in (run / f"evaluate/responses/{step}/{suite}.jsonl").read_text().splitlines()]


def test_every_convention_stands_beside_the_headline_with_n_and_interval(html: str, scores: list[Score]) -> None:
    text = section(html, "benchmarks")
    for benchmark, first in (("mrcr", "official"), ("graphwalks", "f1")):
        for s in scores:
            if s.benchmark == benchmark and s.group == "all" and s.metric in SHARES:
                low, high = percent(s.ci95[0]).rstrip("%"), percent(s.ci95[1])
                assert f"{percent(s.mean)} {low}–{high} n {s.n}" in text
        assert f"Headline: {first}." in text


def test_the_overall_is_given_by_rows_and_by_bins_and_paired_with_the_base(html: str, scores: list[Score]) -> None:
    text = section(html, "benchmarks")
    for step, before in ((0, "bins weighted alike, official bins "), (60, "")):
        bins = one(scores, step=step, benchmark="mrcr", metric="official", group="all_bins")
        low, high = percent(bins.ci95[0]).rstrip("%"), percent(bins.ci95[1])
        assert f"{before}{percent(bins.mean)} {low}–{high} n 45" in text
    gain = one(scores, step=60, benchmark="mrcr", metric="official_minus_base")
    interval = f"[{points(gain.ci95[0])} to {points(gain.ci95[1])}]"
    assert f"paired difference {points(gain.mean)} {interval} points (n {gain.n})" in text


@pytest.mark.parametrize("family", ["up_to_{}_tokens", "o200k_{}"])
def test_each_bin_shows_the_score_and_the_share_cut_by_length(html: str, scores: list[Score], family: str) -> None:
    rows = re.findall(r"<tr><th scope=\"row\">(base|step \d+)</th>(.*?)</tr>", html)
    cells = {(name, value) for name, cells in rows for value in re.findall(r"<td class=\"number h\d+\">([^<]+)", cells)}
    for step, name in ((0, "base"), (60, "step 60")):
        for end in BINS:
            for metric in ("official", "cut"):
                score = one(scores, step=step, benchmark="mrcr", metric=metric, group=family.format(end))
                assert (name, percent(score.mean)) in cells
    assert "n 0, 1 skipped" in section(html, "benchmarks")


def test_the_screen_is_apart_and_named(html: str, scores: list[Score]) -> None:
    text = section(html, "benchmarks")
    screen = one(scores, step=20, benchmark="mrcr", metric="official", screen=True)
    assert "MRCR, screen, official, by checkpoint" in text
    assert f"{percent(screen.mean)}" in text
    assert not [s for s in scores if s.step == 20 and s.benchmark == "mrcr" and not s.screen]


def test_published_numbers_are_marked_and_stand_beside_official_rows_only(html: str) -> None:
    tables = re.findall(r'<div class="table"><p class="caption">([^<]*beside the paper[^<]*)</p>(.*?)</table>', html, re.S)
    assert [name for name, _ in tables] == [
        "MRCR, official, beside the paper&#39;s numbers",
        "GraphWalks, precision, beside the paper&#39;s numbers",
    ]
    for name, body in tables:
        text = Page(body).text
        assert text.count("published, not measured") == 3
        assert text.count("measured here") == 2
        for number in of_benchmark("mrcr" if "MRCR" in name else "graphwalks"):
            assert f"{100 * number.value:.2f}%" in text
        # With 8 needles among the rows the overall is not the paper's.
        assert text.count("not the paper's rows") == (2 if "MRCR" in name else 0)


def test_published_numbers_are_the_papers() -> None:
    values = {(p.model, p.benchmark, p.group): p.value for p in PUBLISHED}
    assert (values[BASE, "mrcr", "all"], values[ACC, "mrcr", "all"]) == (0.5019, 0.6828)
    assert (values[BASE, "graphwalks", "all"], values[ACC, "graphwalks", "all"]) == (0.6992, 0.7751)
    assert {p.metric for p in of_benchmark("graphwalks")} == {"precision"}


def test_a_synthetic_run_stands_beside_no_published_number(tmp_path: Path) -> None:
    assert "published" not in report.run(make_run(tmp_path)).read_text(encoding="utf-8")


def test_a_preserved_capability_is_a_statement_with_a_number(run: Path, html: str, scores: list[Score]) -> None:
    text = section(html, "general")
    fell = one(scores, step=60, benchmark="general_ifeval", metric="prompt_level_strict_acc,none_minus_base")
    shown = f"{points(fell.mean)} {points(fell.ci95[0])} to {points(fell.ci95[1])} n 80 fell"
    assert shown in text
    assert "house_agent solved" in text and "rose" in text
    assert "clock minutes saved 12.5 n 1" in text and "one number, no interval" in text
    # A metric that is not the headline is paired from the rows themselves.
    now, base = ({x["row"]: x["scores"]["second_metric"] for x in lines(run, s, "general_ifeval")} for s in (60, 0))
    assert paired(now, base).ci95 == (0.0, 0.0)
    assert "no row changed" in text


def test_the_gap_of_each_condition_is_paired_by_question(run: Path, html: str) -> None:
    text = section(html, "effect")

    def nll(step: int, condition: str) -> dict[str, float]:
        return {x["row"]: x["nll"] for x in lines(run, step, "held_out") if x["condition"] == condition}

    for condition, name in (("no_support", "support removed"), ("exchanged", "distractors removed")):
        gaps = {s: paired(nll(s, condition), nll(s, "full")) for s in (0, 60)}
        for gap in gaps.values():
            assert f"{name} {signed(gap.mean)} [{signed(gap.ci95[0])} to {signed(gap.ci95[1])}]" in text
    assert "NLL gap by domain, support removed" in text
    assert "NLL gap by length, support removed" in text
    for name in ("search", "software", "database", "≤ 1K", "≤ 4K"):
        assert name in text


def test_the_worst_rows_are_those_with_the_lowest_means_and_the_largest_drops(run: Path, html: str) -> None:
    text = section(html, "worst")
    means: dict[int, dict[str, list[float]]] = {0: {}, 60: {}}
    for step, found in means.items():
        for x in lines(run, step, "mrcr"):
            found.setdefault(x["row"], []).append(x["scores"]["official"])
    last, base = ({row: sum(v) / len(v) for row, v in means[s].items()} for s in (60, 0))
    part = text[text.index(" MRCR Step 60") : text.index("GraphWalks Step 60")]
    lowest = part[part.index("Lowest (") : part.index("Step 40")]
    shown = re.findall(r"Row ([\w-]+): ([\d.]+%) mean of 3 answers · base", lowest)
    assert sorted(last.values())[:6] == pytest.approx([last[row] for row, _ in shown[:6]])
    assert [percent(last[row]) for row, _ in shown] == [value for _, value in shown]
    drops = sum(last[row] < base[row] for row in last)
    assert f"{drops} score less than the base did" in part
    assert "Step 40, the best" in text


def test_an_answer_is_shown_with_prompt_gold_scores_and_folded_thinking(html: str) -> None:
    text = section(html, "worst")
    for words in ("user: write a poem about tapirs", "the middle is left out", "x7Qw0pLm2Z", "All answers:", "cut by length"):
        assert words in text
    assert re.search(r"This answer: official [\d.]+%, none [\d.]+%, lstrip [\d.]+%, strip [\d.]+%\.", text)
    assert "<details><summary>Thinking, answer" in html
    assert HOSTILE in text
    assert "<script" not in html and "<img" not in html


def test_the_page_stays_small_however_long_the_answers(tmp_path: Path) -> None:
    run = make_evaluated(tmp_path)
    for path in (run / "evaluate/responses/60").glob("*mrcr.jsonl"):
        found = [json.loads(x) for x in path.read_text().splitlines()]
        for line in found:
            line |= {"response": "&" * 100_000, "prompt_start": "<" * 90_000, "gold": "'" * 50_000, "kind": "k" * 10_000}
        path.write_text("".join(json.dumps(x) + "\n" for x in found))
    assert report.run(run).stat().st_size < 2_000_000


def test_a_source_that_is_kept_out_of_reports_shows_none_of_its_answers(tmp_path: Path) -> None:
    run = make_evaluated(tmp_path)
    recipe = json.loads((run / "recipe.json").read_text())
    for source in recipe["sources"]:
        source["policy"]["text_in_report"] = False
    (run / "recipe.json").write_text(json.dumps(recipe))
    for step in (0, 40, 60):
        path = run / f"evaluate/responses/{step}/held_out.jsonl"
        path.write_text(path.read_text().replace('"response": "', '"response": "SECRET'))
    html = report.run(run).read_text(encoding="utf-8")
    text = section(html, "worst")
    held_out = text[: text.index(" MRCR Step 60")]
    assert KEPT_OUT in held_out
    assert "SECRET" not in html
    assert not any(s.question in held_out for s in read_samples(run / "compile/samples.parquet"))


def test_the_cost_is_the_sum_of_the_lines(run: Path, html: str) -> None:
    text = section(html, "cost")
    found = [x for step in (0, 20, 40, 60) for x in lines(run, step, "mrcr")]
    sums = [sum(x[k] for x in found) for k in ("prompt_tokens", "tokens", "thinking_tokens", "seconds")]
    assert f"MRCR {len(found):,} {' '.join(f'{n:,.0f}' for n in sums)}" in text


def test_the_largest_drops_come_first_and_unknown_costs_are_lower_bounds(tmp_path: Path) -> None:
    run = make_run(tmp_path, until="recipe")
    for step, values in ((0, [1.0] * 6), (1, [0.9, 0.5, 0.1, 0.7, 0.3, 0.2])):
        path = run / f"evaluate/responses/{step}/command_own.jsonl"
        path.parent.mkdir(parents=True)
        known = {"tokens": 7, "response": "yes", **({"seconds": 1.5} if step else {})}
        path.write_text(
            "".join(json.dumps({"row": str(i), "scores": {"won": v}, **known}) + "\n" for i, v in enumerate(values))
        )
    html = report.run(run).read_text(encoding="utf-8")
    drops = section(html, "worst").partition("Largest drops")[2]
    assert re.findall(r"Row (\d)", drops) == ["2", "5", "4", "1"]
    assert "own 12 not recorded 84 not recorded ≥ 9 1.5" in section(html, "cost")


def test_a_run_evaluated_before_these_measures_has_a_page(tmp_path: Path) -> None:
    text = Page(report.run(make_run(tmp_path)).read_text(encoding="utf-8")).text
    assert "There are no answers whose tokens are known" in text
    assert "There are none: the recipe asks for none" in text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"response": "yes"}, ("", "yes")),
        ({"response": "<think>\nhm\n</think>\n\nyes"}, ("hm", "yes")),
        ({"response": "hm\n</think>\n\nyes"}, ("hm", "yes")),
        ({"response": "hm </think> so\n</think>\n\nyes"}, ("hm </think> so", "yes")),
        ({"response": "yes", "reasoning": "hm"}, ("hm", "yes")),
        ({"response": "<think>\nhm"}, ("hm", "")),
        ({"response": "hm", "failed": True, "thinking_tokens": 1}, ("hm", "")),
        ({"response": "", "reasoning": "hm", "failed": True, "thinking_tokens": 1}, ("hm", "")),
        ({"response": "HTTP 500", "failed": True, "thinking_tokens": 0}, ("", "HTTP 500")),
        ({"response": None}, ("", "")),
    ],
)
def test_thinking_is_told_from_the_answer(line: dict, expected: tuple[str, str]) -> None:
    assert split_thinking(line) == expected


def test_boards_tell_conventions_kinds_and_bins_apart(run: Path) -> None:
    found = {b.title: b for b in boards(RunFiles(run))}
    board = found["GraphWalks"]
    assert board.conventions[:2] == ["f1", "official_f1"]
    assert board.kinds == ["bfs", "parents"]
    assert [bin_title(b) for b in board.bins("o200k")] == ["≤ 8K", "≤ 16K", "≤ 32K", "≤ 64K", "≤ 128K"]
    assert list(found)[:4] == ["MRCR", "MRCR, screen", "GraphWalks", "GraphWalks, screen"]
    assert found["ifeval"].kind == "general" and found["clock"].kind == "command"
