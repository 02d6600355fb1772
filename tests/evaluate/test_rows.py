"""Rows from the hub at one commit, from files, and generated; filters that leave nothing are a sentence."""

import json

import pytest

from acc.errors import UserError
from acc.evaluate.benchmarks import rows_of, write_rows
from acc.evaluate.hub_rows import read_commits
from acc.recipe import recipe_from

OLD, NEW = "a" * 40, "b" * 40


def mrcr_rows(needles, text="hello"):
    prompt = json.dumps([{"role": "user", "content": text}])
    return [
        {"prompt": prompt, "answer": f"x{i}", "random_string_to_prepend": "x", "n_needles": n} for i, n in enumerate(needles)
    ]


def graph_rows(types):
    return [{"prompt": f"graph {i}", "answer_nodes": [], "problem_type": kind} for i, kind in enumerate(types)]


def asked(entry, out):
    recipe = recipe_from({"evaluate": {"benchmarks": [entry]}})
    return rows_of(recipe.evaluate.benchmarks[0], recipe, out)


MRCR = {"name": "mrcr", "hub": {"dataset": "openai/mrcr"}}


def test_the_commit_read_first_is_read_ever_after_wherever_main_goes(hub, tmp_path):
    hub(OLD, {"2needle/a.parquet": mrcr_rows([2, 2], "old"), "4needle/a.parquet": mrcr_rows([4], "old")})
    rows, hashes = asked(MRCR, tmp_path / "out")
    assert [(i, r["n_needles"]) for i, r in rows] == [(0, 2), (1, 2), (2, 4)]
    assert len(set(hashes)) == 2
    assert read_commits(tmp_path / "out") == {"openai/mrcr": {"asked": "main", "commit": OLD}}
    hub(NEW, {"2needle/a.parquet": mrcr_rows([2], "new")})
    assert asked(MRCR, tmp_path / "out") == (rows, hashes)
    assert "new" in asked(MRCR, tmp_path / "another")[0][0][1]["prompt"]
    # Another revision in the recipe is looked up anew.
    pinned = {"name": "mrcr", "hub": {"dataset": "openai/mrcr", "revision": NEW}}
    assert "new" in asked(pinned, tmp_path / "out")[0][0][1]["prompt"]
    assert read_commits(tmp_path / "out") == {"openai/mrcr": {"asked": NEW, "commit": NEW}}


def test_files_are_a_glob_that_reaches_the_top_and_folders(hub, tmp_path):
    files = {
        "short.parquet": graph_rows(["bfs"]),
        "long.parquet": graph_rows(["parents"]),
        "in/short.parquet": graph_rows(["bfs"]),
    }
    hub(OLD, files, "openai/graphwalks")
    entry = {"name": "graphwalks", "hub": {"dataset": "openai/graphwalks", "files": "**/short.parquet"}}
    assert len(asked(entry, tmp_path / "out")[0]) == 2
    assert len(asked({**entry, "hub": {"dataset": "openai/graphwalks"}}, tmp_path / "out")[0]) == 3
    with pytest.raises(UserError, match=r"graphwalks@a+: no file there is like \*\.csv\. Correct `files`"):
        asked({**entry, "hub": {"dataset": "openai/graphwalks", "files": "*.csv"}}, tmp_path / "out")


def test_what_cannot_be_had_is_a_sentence(hub, tmp_path):
    with pytest.raises(UserError, match=r"openai/mrcr@main: the hub can't be reached.*Go online once.*HF_HOME.*`rows`"):
        asked(MRCR, tmp_path / "out")
    with pytest.raises(UserError, match="not a name: the hub does not give") as caught:
        asked({"name": "mrcr", "hub": {"dataset": "a/b/c", "revision": "not a name"}}, tmp_path / "out")
    assert caught.value.mend == "Correct its name or revision"
    assert not (tmp_path / "out").exists(), "nothing is recorded of what was not read"
    (tmp_path / "out" / "rows").mkdir(parents=True)
    (tmp_path / "out" / "rows" / "hub.json").write_text('{"openai/mrcr": "main"}')
    with pytest.raises(UserError, match="record is damaged"):
        asked(MRCR, tmp_path / "out")


def test_two_revisions_of_one_data_set_are_refused():
    entries = [MRCR, {"name": "mrcr", "hub": {"dataset": "openai/mrcr", "revision": "other"}}]
    with pytest.raises(UserError, match="asks openai/mrcr at two revisions"):
        recipe_from({"evaluate": {"benchmarks": entries}})


def test_filters_keep_the_index_in_the_files_and_the_limit_comes_after_them(hub, tmp_path):
    write_rows(tmp_path / "rows" / "a.parquet", mrcr_rows([2, 4, 8, 2]))
    write_rows(tmp_path / "rows" / "b.parquet", mrcr_rows([8, 4, 4]))
    entry = {"name": "mrcr", "rows": str(tmp_path / "rows")}

    def kept(**filters):
        return [i for i, _ in asked({**entry, **filters}, tmp_path / "out")[0]]

    assert kept() == [0, 1, 2, 3, 4, 5, 6]
    assert kept(needles=[4]) == [1, 5, 6]
    assert kept(needles=[8, 2]) == [0, 2, 3, 4]
    assert kept(needles=[8, 2], limit=2) == [0, 3]
    with pytest.raises(UserError, match=r"rows needles: no row has the n_needles 3\. There are: 2, 4, 8"):
        kept(needles=[2, 3])


def test_problem_types_are_those_of_the_rows(hub, tmp_path):
    write_rows(tmp_path / "g.parquet", graph_rows(["bfs", "parents", "bfs"]))
    entry = {"name": "graphwalks", "rows": str(tmp_path / "g.parquet")}
    assert [i for i, _ in asked({**entry, "problem_types": ["bfs"]}, tmp_path / "out")[0]] == [0, 2]
    with pytest.raises(UserError, match=r"problem_types: no row has the problem_type parent\. There are: bfs, parents"):
        asked({**entry, "problem_types": ["parent"]}, tmp_path / "out")


def test_rows_that_are_none_are_a_sentence(hub, tmp_path):
    write_rows(tmp_path / "g.parquet", graph_rows(["bfs"]))
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.parquet").write_text("no parquet")
    write_rows(tmp_path / "many.parquet", [{"prompt": "p", "answer_nodes": [], "problem_type": "bfs"}] * 200)
    for name, rows, sentence in (
        ("mrcr", "g.parquet", "no column n_needles"),
        ("mrcr", "gone.parquet", "there is no such file"),
        ("mrcr", "empty", "no .parquet file in this folder"),
        ("mrcr", "text.parquet", "not a readable Parquet file"),
    ):
        with pytest.raises(UserError, match=sentence):
            asked({"name": name, "rows": str(tmp_path / rows)}, tmp_path / "out")
    found = asked({"name": "graphwalks", "rows": str(tmp_path / "many.parquet"), "limit": 3}, tmp_path / "out")[0]
    assert [i for i, _ in found] == [0, 66, 133], "rows beyond the first batch are counted on"


def test_generated_rows_are_filtered_like_the_others(tmp_path):
    write_rows(tmp_path / "made.parquet", mrcr_rows([2, 4, 8]))
    recipe = recipe_from({"evaluate": {"benchmarks": [{"name": "mrcr", "synthetic": {}, "needles": [8]}]}})
    found, hashes = rows_of(recipe.evaluate.benchmarks[0], recipe, tmp_path / "out", generated=tmp_path / "made.parquet")
    assert [i for i, _ in found] == [2] and len(hashes) == 1
