"""Two evaluations row by row."""

import argparse
import json

import pytest

from acc.errors import UserError
from acc.evaluate import cli
from acc.evaluate.compare import compare, responses_of
from acc.records.stats import mean, paired


def line(row, value, *, sample=0, condition="full", kind="2needle", bin="up_to_8_tokens", asked=None, **more):
    return {
        "row": row, "condition": condition, "sample": sample, "asked": asked or f"hash of {row}", "kind": kind, "bin": bin,
        "bin_o200k": None, "scores": {"official": value, "strip": 1.0}, **more,
    }  # fmt: skip


def write(folder, suite, lines):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{suite}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    return folder


def named(found):
    return {(c.suite, c.metric, c.condition, c.group): c for c in found}


@pytest.fixture
def runs(tmp_path):
    a = [
        line("a", 0.0),
        line("a", 1.0, sample=1),
        line("b", 0.25),
        line("c", 0.5, kind="4needle", bin="up_to_16_tokens"),
        line("d", 1.0),
    ]
    b = [line("z-b", 1.0, asked="hash of b"), line("a", 0.75), line("c", 0.0, kind="4needle"), line("e", 0.0)]
    one = write(tmp_path / "runs" / "x" / "evaluate" / "responses" / "0", "mrcr", a)
    other = write(tmp_path / "runs" / "x" / "evaluate" / "responses" / "40", "mrcr", b)
    return one, other


def test_rows_pair_by_what_was_asked_and_those_without_a_partner_are_counted(runs):
    found = named(compare(*runs))["mrcr", "official", "full", "all"]
    before, after = {"a": 0.5, "b": 0.25, "c": 0.5}, {"a": 0.75, "b": 1.0, "c": 0.0}
    assert found.a == mean(before.values())
    assert found.b == mean(after.values())
    assert (found.difference.mean, found.difference.n) == (pytest.approx(0.5 / 3), 3)
    assert sorted(found.difference.ci95) == sorted(paired(after, before).ci95)
    assert (found.only_a, found.only_b) == (1, 1)


def test_kinds_and_lengths_are_compared_by_the_first_ones_bins(runs):
    found = named(compare(*runs))
    assert found["mrcr", "official", "full", "4needle"].difference.mean == -0.5
    assert found["mrcr", "official", "full", "up_to_16_tokens"].difference.n == 1
    assert found["mrcr", "official", "full", "up_to_8_tokens"].difference.mean == 0.5
    assert (
        found["mrcr", "official", "full", "up_to_8_tokens"].only_a,
        found["mrcr", "official", "full", "2needle"].only_b,
    ) == (1, 1)
    overall = found["mrcr", "official", "full", "all_bins"]
    assert overall.difference.mean == pytest.approx((0.5 - 0.5) / 2)
    assert not any(metric == "strip" for _, metric, _, _ in found)


def test_held_out_conditions_are_compared_each(tmp_path):
    def held(nll, exact):
        return [
            line(r, 0, condition=c, nll=nll + i, exact=exact, kind="search")
            for i, r in enumerate("ab")
            for c in ("full", "no_support")
        ]

    found = named(
        compare(write(tmp_path / "1", "held_out", held(1.0, None)), write(tmp_path / "2", "held_out", held(0.5, 1.0)))
    )
    change = found["held_out", "nll", "no_support", "search"].difference
    assert (change.mean, change.ci95, change.n) == (-0.5, (-0.5, -0.5), 2)
    assert found["held_out", "exact", "full", "all"].difference.n == 0
    assert found["held_out", "exact", "full", "all"].only_b == 2


def test_a_users_own_benchmark_pairs_by_row_and_shows_its_first_metric(tmp_path):
    lines = [
        {"row": "task 1", "condition": "full", "kind": "", "bin": None, "bin_o200k": None, "scores": {"solved": 1.0, "x": 0.0}}
    ]
    found = compare(write(tmp_path / "1", "command_mine", lines), write(tmp_path / "2", "command_mine", lines))
    assert [(c.suite, c.metric, c.group, c.difference.n) for c in found] == [("command_mine", "solved", "all", 1)]


def main(*words):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.main(parser.parse_args(words))


def test_acc_eval_compare_prints_a_table_or_json(runs, tmp_path, capsys):
    run = str(tmp_path / "runs" / "x")
    assert main("compare", f"{run}@base", f"{run}@40") == 0
    table = capsys.readouterr().out.splitlines()
    assert table[1].split()[:4] == ["mrcr/official", "0.4167", "0.5833", "+0.1667"]
    assert table[1].endswith("n 3  without a partner: 1 of A, 1 of B")
    assert main("compare", str(runs[0]), str(runs[1]), "--json") == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert first["difference"]["n"] == 3 and first["only_a"] == 1


def test_a_wrong_name_is_a_sentence(runs, tmp_path):
    with pytest.raises(UserError, match="there are no responses"):
        responses_of("runs/none@40")
    with pytest.raises(UserError, match="'best' is no step"):
        responses_of("runs/x@best")
    with pytest.raises(UserError, match="acc eval compare A B"):
        main("compare", str(runs[0]))
    with pytest.raises(UserError, match="does not know"):
        main("runs/x")
    other = write(tmp_path / "o", "graphwalks", [line("a", 0.0)])
    with pytest.raises(UserError, match="no suite of responses in common"):
        compare(runs[0], other)
