"""Contamination: what shares a run of words with a benchmark or a named file is found, and what all rows share is not."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from acc.compile.quality import grams
from acc.compile.quality.contamination import Contamination, contamination_of
from acc.errors import UserError
from acc.recipe import recipe_from


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def words(seed: int, count: int) -> str:
    return " ".join(f"w{n}" for n in random.Random(seed).choices(range(5_000), k=count))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def looking(path: Path, ngram: int = 13) -> Contamination:
    return Contamination([str(path)], ngram, Path)


def mrcr(seed: int) -> dict[str, Any]:
    """A row in the layout of MRCR."""
    request = "Write a social media post about tapirs that people will like and share with all of their friends today"
    messages = [
        {
            "role": "user",
            "content": f"Here are some examples of conversations, and so on, which stand in every row. {words(0, 40)}",
        },
        {"role": "user", "content": request},
        {"role": "assistant", "content": words(seed, 60)},
        {"role": "user", "content": "Prepend aYooSG8CQg to the 2nd (1 indexed) social media post about tapirs. Nothing else."},
    ]
    answer = f"aYooSG8CQg{words(seed, 60)}"
    return {"prompt": json.dumps(messages), "answer": answer, "random_string_to_prepend": "aYooSG8CQg", "n_needles": 2}


def graphwalks(seed: int) -> dict[str, Any]:
    """A row in the layout of GraphWalks."""
    draw = random.Random(seed)
    edges = "\n".join(f"{draw.randrange(16**10):010x} -> {draw.randrange(16**10):010x}" for _ in range(30))
    return {
        "prompt": "You will be given a graph as a list of directed edges. All nodes are at least degree 1. You will also get a "
        "description of an operation.\n<begin example>\nThe graph has the following edges:\nuvwx -> alke\nabcd -> uvwx\n"
        "abcd -> efgh\nefgh -> uvwx\nabcd -> one1\nabcd -> two2\n<end example>\nHere is the graph to operate on:\n"
        f"The graph has the following edges:\n{edges}\n\nOperation:\nFind the parents of node {edges[:10]}.\n\n"
        "You should immediately return the "
        "set of nodes that the operation results in, with no additional text. Return your final answer as a list of nodes.",
        "answer_nodes": [],
    }


def test_a_run_of_words_is_found_whatever_stands_around_it(tmp_path: Path) -> None:
    row = words(1, 200)
    found = looking(write(tmp_path / "test.jsonl", [{"question": row, "id": 3}]))
    shared = row.split()[50:63]
    text = f"{words(2, 500)}\n\n{'; '.join(shared).upper()}!\n{words(3, 500)}"
    assert found.finds(text) == f'test.jsonl: "{" ".join(shared)}"'
    assert found.finds(words(2, 500), "no", text) is not None
    assert found.finds(text.replace(shared[6].upper(), "other")) is None
    assert found.finds(f"{words(2, 500)} {' '.join(shared[:12])} {words(3, 500)}") is None
    assert found.finds("", "short") is None


def test_the_length_of_the_run_is_the_recipes(tmp_path: Path) -> None:
    path = write(tmp_path / "test.jsonl", [{"question": words(1, 200)}])
    run = " ".join(words(1, 200).split()[20:25])
    assert looking(path, 5).finds(f"before {run} after") is not None
    assert looking(path, 6).finds(f"before {run} after") is None


@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl"])
def test_of_mrcr_what_the_assistant_wrote_is_looked_up(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "mrcr" / name, [mrcr(n) for n in range(1, 4)])
    found = looking(path)
    assert found.finds(words(2, 60)) is not None
    for message in json.loads(mrcr(9)["prompt"]):
        if message["role"] == "user":
            assert found.finds(message["content"]) is None


def test_of_graphwalks_the_graph_is_looked_up_and_not_what_all_rows_say(tmp_path: Path) -> None:
    found = looking(write(tmp_path / "graphwalks.parquet", [graphwalks(n) for n in range(3)]))
    assert found.finds(graphwalks(1)["prompt"]) is not None
    assert found.finds(graphwalks(7)["prompt"]) is None


def test_what_most_rows_of_a_file_share_is_their_form(tmp_path: Path) -> None:
    form = words(99, 30)
    found = looking(write(tmp_path / "test.jsonl", [{"prompt": f"{form}\n{words(n, 40)}"} for n in range(20)]))
    assert found.finds(f"as it says: {form}") is None
    assert found.finds(words(7, 40)) is not None


def test_lines_of_one_word_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "test.txt").write_text("0 0 1 0 0 0 0 1 0 0 0 0 0 0 0 0 1\n" + words(1, 50))
    found = looking(tmp_path / "test.txt")
    assert found.finds("0 0 1 0 0 0 0 1 0 0 0 0 0 0 0 0 1 0 0 0") is None
    assert found.finds(words(1, 50)) is not None


def test_a_benchmark_that_is_evaluated_on_rows_of_its_own_is_looked_up_there(tmp_path: Path) -> None:
    path = write(tmp_path / "rows" / "2needle.parquet", [mrcr(n) for n in range(3)])
    recipe = recipe_from(
        {
            "sources": [{"name": "x", "path": "x"}],
            "quality": {"decontaminate": ["mrcr"]},
            "evaluate": {"benchmarks": [{"name": "mrcr", "rows": str(path.parent)}]},
        }
    )
    found = contamination_of(recipe)
    assert (found.finds(words(1, 60)) or "").startswith('mrcr: "')
    again = contamination_of(recipe)
    assert again.fingerprint == found.fingerprint
    write(path, [mrcr(n) for n in range(3, 6)])
    assert contamination_of(recipe).fingerprint != found.fingerprint
    assert contamination_of(recipe).finds(words(1, 60)) is None


def test_a_benchmark_that_is_evaluated_on_rows_of_the_hub_is_looked_up_in_all_of_that_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    commit = "c" * 40
    snapshot = tmp_path / "hub" / "datasets--me--longer-mrcr" / "snapshots" / commit
    write(snapshot / "2needle" / "a.parquet", [mrcr(1)])
    write(snapshot / "4needle" / "a.parquet", [mrcr(2)])

    def recipe(**quality: Any) -> Any:
        hub = {"dataset": "me/longer-mrcr", "revision": commit, "files": "2needle/*.parquet"}
        evaluated = {"benchmarks": [{"name": "mrcr", "hub": hub}]}
        return recipe_from({"sources": [{"name": "x", "path": "x"}], "quality": quality, "evaluate": evaluated})

    found = contamination_of(recipe(decontaminate=["mrcr"]))
    assert found.finds(words(1, 60)) and found.finds(words(2, 60)), "rows that are not asked are the benchmark's too"
    assert found.finds(words(3, 60)) is None
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty"))
    assert contamination_of(recipe()).finds(words(1, 60)) is None, "nothing is fetched that nobody asked to look in"


def test_mistakes_end_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"openai/mrcr@main: the hub can't be reached, and its cache.*Go online once"):
        Contamination(["mrcr"], 13, Path)
    with pytest.raises(UserError, match="is not there"):
        looking(tmp_path / "none.jsonl")
    (tmp_path / "bad.parquet").write_text("rubbish")
    with pytest.raises(UserError, match="cannot be read"):
        looking(tmp_path / "bad.parquet")
    for broken in ("{", '{"prompt": [], "random_string_to_prepend": ""}', '{"prompt": "[1]", "random_string_to_prepend": ""}'):
        (tmp_path / "bad.jsonl").write_text(broken)
        with pytest.raises(UserError, match="cannot be read"):
            looking(tmp_path / "bad.jsonl")
    (tmp_path / "poem.txt").write_text("a poem")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "poem.txt"))
    with pytest.raises(UserError, match="the cache cannot be written"):
        looking(tmp_path / "poem.txt")


def test_words_are_hashed_alike_wherever_they_stand_and_blocks_end(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "The quick, BROWN fox—étude 東京 x_1\n" * 3_000
    whole = grams.word_hashes(text)
    assert len(whole) == 3_000 * 7
    assert len(np.unique(whole)) == 7
    assert grams.words_of(text[:40])[:7] == ["the", "quick", "brown", "fox", "étude", "東京", "x_1"]
    monkeypatch.setattr(grams, "_BLOCK", 1_000)
    grams._powers.cache_clear()
    assert (grams.word_hashes(text) == whole).all()
    grams._powers.cache_clear()
    assert len(grams.word_hashes("")) == 0
    assert len(grams.grams(whole[:5], 13)) == 1


def test_it_reads_many_megabytes_a_second(tmp_path: Path) -> None:
    found = looking(write(tmp_path / "test.jsonl", [{"question": words(n, 300)} for n in range(100)]))
    text = words(1_000, 300_000)
    found.finds(text)
    start = time.process_time()
    assert found.finds(text, text, text) is None
    assert 3 * len(text) / (time.process_time() - start) > 20e6
