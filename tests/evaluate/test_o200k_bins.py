"""Length bins are the official ones, and where they can't be had that is said, not guessed."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from acc.errors import UserError
from acc.evaluate import bins
from acc.evaluate.benchmarks import rows_of, write_rows
from acc.evaluate.synthetic import make_rows
from acc.recipe import recipe_from


class EveryWordAToken:
    """Stands for the encoding: a token a word."""

    def encode_ordinary_batch(self, texts, num_threads):
        return [text.split() for text in texts]


@pytest.fixture
def words(monkeypatch):
    monkeypatch.setattr(bins, "o200k", EveryWordAToken)


@pytest.fixture
def without_ranks(monkeypatch):
    monkeypatch.setattr(bins, "o200k", lambda: None)


def mrcr_row(words, needles=2):
    """A row of so many words in prompt and answer together, three of them the answer's."""
    conversation = [{"role": "user", "content": "w " * (words - 3)}]
    return {"prompt": json.dumps(conversation), "answer": "a b c", "random_string_to_prepend": "x", "n_needles": needles}


def entry(path, **filters):
    recipe = recipe_from({"evaluate": {"benchmarks": [{"name": "mrcr", "rows": str(path), **filters}]}})
    return recipe.evaluate.benchmarks[0], recipe


@pytest.mark.parametrize(
    ("tokens", "right_end"),
    [
        (1, 4_096), (4_095, 4_096), (4_096, 8_192), (8_192, 8_192), (8_193, 16_384), (16_384, 16_384), (131_072, 131_072),
        (131_073, 262_144), (1_048_576, 1_048_576), (1_048_577, 2_097_152),
    ],
)  # fmt: skip
def test_the_first_bin_holds_both_its_ends_and_the_others_their_right_end(tokens, right_end):
    assert bins.bin_of(tokens) == right_end


def test_a_row_is_as_long_as_its_messages_and_its_answer(words):
    assert [bins.o200k_bin(mrcr_row(n)) for n in (4_095, 4_096, 8_192, 8_193)] == [4_096, 8_192, 8_192, 16_384]
    row = {"prompt": "w " * 4_090, "answer_nodes": ["a", "b", "c"], "problem_type": "bfs"}
    assert bins.tokens_of(row, EveryWordAToken()) == 4_090 + len(("Final", "Answer:", "[a,", "b,", "c]"))
    assert bins.tokens_of({**row, "answer_nodes": []}, EveryWordAToken()) == 4_090 + 3


def test_rows_over_a_bin_are_left_out_before_the_limit(tmp_path, words):
    write_rows(tmp_path / "rows.parquet", [mrcr_row(n) for n in (5_000, 9_000, 20_000, 6_000, 16_384)])
    kept, _ = rows_of(*entry(tmp_path, max_bin_tokens=16_384), tmp_path / "out")
    assert [(i, row[bins.BIN]) for i, row in kept] == [(0, 8_192), (1, 16_384), (3, 8_192), (4, 16_384)]
    assert [i for i, _ in rows_of(*entry(tmp_path, max_bin_tokens=16_384, limit=2), tmp_path / "out")[0]] == [0, 3]
    with pytest.raises(
        UserError, match=r"max_bin_tokens: no row's length bin ends at 4096 or before\. Bins end at: 8192, 16384"
    ):
        rows_of(*entry(tmp_path, max_bin_tokens=4_096), tmp_path / "out")


def test_without_the_ranks_rows_have_no_bin_which_is_said_once_and_a_filter_by_bin_is_refused(tmp_path, without_ranks, capsys):
    write_rows(tmp_path / "rows.parquet", [mrcr_row(5_000), mrcr_row(9_000)])
    kept, _ = rows_of(*entry(tmp_path), tmp_path / "out")
    assert [row[bins.BIN] for _, row in kept] == [None, None]
    said = capsys.readouterr().err
    assert said.count("2 rows have no official length bin") == 1
    assert bins.SHA256 in said and "TIKTOKEN_CACHE_DIR" in said
    with pytest.raises(UserError, match=r"max_bin_tokens: .*ranks of o200k_base.*Set TIKTOKEN_CACHE_DIR"):
        rows_of(*entry(tmp_path, max_bin_tokens=8_192), tmp_path / "out")


def test_a_prompt_that_is_no_conversation_is_placed(tmp_path, words):
    write_rows(tmp_path / "rows.parquet", [mrcr_row(5_000), {**mrcr_row(5_000), "prompt": "not JSON"}])
    with pytest.raises(UserError, match="row 1: the prompt is not a JSON list"):
        rows_of(*entry(tmp_path), tmp_path / "out")


def test_a_wrong_file_in_the_cache_is_not_taken_and_offline_nobody_is_asked(tmp_path):
    (tmp_path / bins.CACHED_AS).write_bytes(b"IQ== 0\n")
    code = "from acc.evaluate import bins; bins.urlopen = None; print(bins.o200k())"
    env = {**os.environ, "TIKTOKEN_CACHE_DIR": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout == "None\n"


def ranks():
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    return Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache") / bins.CACHED_AS


@pytest.mark.skipif(not ranks().is_file(), reason="the ranks of o200k_base are not in tiktoken's cache (TIKTOKEN_CACHE_DIR)")
def test_with_the_real_ranks_bins_are_those_of_the_tokens_counted_message_by_message():
    import tiktoken

    assert hashlib.sha256(ranks().read_bytes()).hexdigest() == bins.SHA256
    encoding = tiktoken.get_encoding("o200k_base")
    assert encoding.encode("tapirs") == encoding.encode_ordinary("tapirs")
    for row in make_rows("mrcr", rows=3, tokens=11_000, seed=1, count=lambda text: len(text) // 4):
        messages = json.loads(row["prompt"])
        tokens = sum(len(encoding.encode(m["content"])) for m in messages) + len(encoding.encode(row["answer"]))
        assert bins.o200k_bin(row) == next(end for end in (8_192 << i for i in range(8)) if tokens <= end)
