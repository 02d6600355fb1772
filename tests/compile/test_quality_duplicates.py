"""Duplicates: what is one and what only looks alike, which of them is kept, and that the account holds."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from compile_material import Act, recipe_for, run_of, write_runs

from acc.compile import run
from acc.compile.fates import Fates, Row
from acc.compile.quality.duplicates import marks, named, normalised, signature, similarity
from acc.recipe import Recipe, recipe_from
from acc.records.sample import Piece, Sample, read_samples
from acc.stage.manifest import Manifest
from acc.stage.rejections import Rejection, read_rejections, write_rejections
from acc.trajectories.record import Outcome, Trajectory

WORDS = [f"{a}{b}" for a in ("stone", "lamp", "river", "glass", "wind", "salt", "moss") for b in range(60)]


def page(seed: int, words: int = 300, changed: int = 0) -> str:
    """A page of random words; `changed` of them, at its end, are others."""
    drawn = random.Random(seed).choices(WORDS, k=words)
    return " ".join([*drawn[: words - changed], *(f"new{n}" for n in range(changed))])


def visit(text: str, n: int = 1) -> Act:
    return ("visit", {"url": f"https://w.example/{n}"}, text)


def asked(question: str, answer: str, text: str, *, name: str, **fields: Any) -> Trajectory:
    """A run that opens one page and answers."""
    return run_of(question, [visit(f"{text} {answer}")], answer, domain="search", name=name, **fields)


@pytest.fixture
def compiled(checkpoint: Callable[[str], Path], tmp_path: Path) -> Callable[..., Manifest]:
    """Compile runs of the source `logs`, and others of a held-out source where given."""

    def do(runs: list[Trajectory], held_out: list[Trajectory] | None = None, near: float | None = 0.9, **how: Any) -> Manifest:
        recipe: Recipe = recipe_for(checkpoint("hybrid"), source={"accept_unverified": True}, **how)
        inputs = {"logs": [write_runs(tmp_path / "logs" / "runs.jsonl", runs)]}
        data = recipe.model_dump(mode="json", exclude_unset=True)
        data["quality"] = {"near_duplicates": near}
        if held_out:
            data["sources"].append({"name": "held", "path": "held", "split": "held_out", "accept_unverified": True})
            inputs["held"] = [write_runs(tmp_path / "held" / "runs.jsonl", held_out)]
        return run(recipe_from(data), inputs, tmp_path / "out")

    return do


def kept(folder: Path) -> set[str]:
    return {s.trajectory_id for s in read_samples(folder / "out" / "samples.parquet")}


def merged(manifest: Manifest) -> dict[str, int]:
    return {k: v for k, v in manifest.counts["all"].items() if k.startswith("merged_")}


def test_one_question_and_one_answer_keep_the_best_verified(compiled: Callable[..., Manifest], tmp_path: Path) -> None:
    runs = [
        asked("Who built the pier?", "Ada Lind", page(1), name="nobody", outcome=Outcome()),
        asked("Who built  the PIER", "Ada Lind", page(2), name="matched", outcome=Outcome("success", "answer_match")),
        asked("Who built the pier?", "ada lind.", page(3), name="rewarded", outcome=Outcome("success", "reward")),
        asked("Who built the pier?", "Ada Lind", page(4), name="later", outcome=Outcome("success", "reward")),
    ]
    manifest = compiled(runs)
    assert kept(tmp_path) == {"rewarded"}
    assert merged(manifest) == {"merged_same_answer": 3}
    rows = pq.read_table(tmp_path / "out" / "merged.parquet").to_pylist()
    (sample,) = read_samples(tmp_path / "out" / "samples.parquet")
    assert [(r["source"], r["index"], r["reason"], r["into"]) for r in rows] == [
        ("runs.jsonl", n, "merged_same_answer", sample.sample_id) for n in (0, 1, 3)
    ]


def test_a_shared_context_with_another_question_is_no_duplicate(compiled: Callable[..., Manifest], tmp_path: Path) -> None:
    text, long = page(1), "In the great and well known chronicle of the town, how many ships came in"
    runs = [
        asked("Who built the pier?", "Ada Lind", text, name="pier"),
        asked("Who keeps the lighthouse?", "Ada Lind", text, name="keeper"),
        *(asked(f"{long} {year} to its old harbour?", "3", text, name=str(year)) for year in (1911, 1912)),
    ]
    manifest = compiled(runs)
    assert (manifest.written, manifest.merged) == (4, 0)


def test_the_same_question_over_other_evidence_with_another_answer_is_no_duplicate(compiled: Callable[..., Manifest]) -> None:
    manifest = compiled([asked("Who won?", f"Person{n}", page(n), name=f"r{n}") for n in range(5)])
    assert (manifest.written, manifest.merged) == (5, 0)


def test_near_identical_question_and_support_are_one(compiled: Callable[..., Manifest], tmp_path: Path) -> None:
    question = (
        "Who was the very first keeper of the old lighthouse at the mouth of the river, as the chronicle of the town tells"
    )
    runs = [
        asked(f"{question}?", "Ada Lind", page(1, 900), name="matched", outcome=Outcome("success", "answer_match")),
        asked(f"{question} it?", "Ada Lind", page(1, 900, changed=6), name="rewarded"),
        asked(f"{question} it?", "Bo Ek", page(1, 900, changed=4), name="another answer", outcome=Outcome()),
        asked(f"{question}?", "Cy Holm", page(1, 900, changed=300), name="another page"),
    ]
    manifest = compiled(runs)
    assert kept(tmp_path) == {"rewarded", "another page"}
    assert manifest.merged == 2
    assert merged(manifest) == {"merged_near": 2}
    assert compiled(runs, near=None).merged == 0


def test_of_copies_of_a_run_the_most_complete_is_kept(tmp_path: Path) -> None:
    rows = [entry(n, run="r", completeness=c, sample=f"s{n}" if c != 9 else "") for n, c in enumerate((1, 5, 5, 2))]
    assert fates(tmp_path, rows) == [("merged_copies", "s1"), ("", ""), ("merged_copies", "s1"), ("merged_copies", "s1")]
    rejected = [entry(0, run="r", completeness=9, sample=""), entry(1, run="r", completeness=3)]
    assert fates(tmp_path, rejected) == [("", ""), ("merged_copies", "")]


def test_training_loses_what_is_held_out(compiled: Callable[..., Manifest], tmp_path: Path) -> None:
    question = (
        "Who was the very first keeper of the old lighthouse at the mouth of the river, as the chronicle of the town tells"
    )
    held = [
        asked(f"{question}?", "Ada Lind", page(1, 900), name="near"),
        asked("Who keeps it?", "Bo Ek", page(2), name="same"),
    ]
    runs = [
        asked(f"{question} it?", "Ada Lind", page(1, 900, changed=5), name="t1", outcome=Outcome("success", "reward")),
        asked("Who keeps it?", "Bo Ek", page(2), name="t2", model_name="another"),
        asked("Who keeps it?", "Cy Holm", page(3), name="t3"),
        asked(f"{question}?", "Ada Lind", page(9, 900), name="t4", outcome=Outcome("success", "answer_match")),
    ]
    manifest = compiled(runs, held)
    assert kept(tmp_path) == {"near", "same", "t3"}, "the same question with another answer is another one"
    assert manifest.rejected == {"in_held_out": 3}
    assert manifest.merged == 0
    assert {r.index for r in read_rejections(tmp_path / "out" / "rejections.parquet")} == {0, 1, 3}


def test_what_is_held_out_is_trained_on_under_no_target(tmp_path: Path) -> None:
    rows = [
        entry(0, sample="h", split="held_out", target="acc", question="q", answer="a"),
        entry(1, sample="x", target="answer_only", question="q", answer="a"),
        entry(2, sample="y", target="agent_sft", question="q"),
        entry(3, sample="z", target="agent_sft", question="another"),
        entry(4, sample="w", target="answer_only", question="q", answer="b"),
    ]
    assert [fate for fate, _ in fates(tmp_path, rows)] == ["", "in_held_out", "in_held_out", "", ""]


def test_a_merge_into_what_is_merged_names_the_sample_that_is_kept(tmp_path: Path) -> None:
    rows = [
        entry(0, run="r", completeness=1),
        entry(1, run="r", completeness=2, sample="b", question="q", answer="a", sufficiency=2),
        entry(2, sample="c", question="q", answer="a", sufficiency=0),
    ]
    assert fates(tmp_path, rows) == [("merged_copies", "c"), ("merged_same_answer", "c"), ("", "")]


def test_targets_and_splits_are_kept_apart(tmp_path: Path) -> None:
    rows = [
        entry(0, run="r", target="acc", question="q", answer="a"),
        entry(1, run="r", target="agent_sft", question="q"),
        entry(2, sample="same", split="held_out"),
        entry(3, sample="same"),
    ]
    assert [fate for fate, _ in fates(tmp_path, rows)] == ["", "", "", "in_held_out"]


def test_the_order_of_the_rows_decides_nothing(tmp_path: Path) -> None:
    draw = random.Random(5)
    texts = [page(n, 60) for n in range(6)]
    rows = []
    for n in range(300):
        text, question = draw.choice(texts), f"Who was number {draw.randrange(12)}?"
        signed = signature(question, [text])
        rows.append(
            entry(n, run=f"r{draw.randrange(250)}", sample=f"s{draw.randrange(280)}", question=question, named=question,
                  answer=str(draw.randrange(3)), verified=draw.randrange(3), signature=signed,
                  split=draw.choice(["train", "train", "held_out"]))
        )  # fmt: skip
    want = dict(zip([r.record for r in rows], fates(tmp_path, rows), strict=True))
    draw.shuffle(rows)
    assert dict(zip([r.record for r in rows], fates(tmp_path, rows), strict=True)) == want
    assert {fate for fate, _ in want.values()} >= {"", "merged_copies", "merged_same_answer", "merged_near", "in_held_out"}


def test_a_signature_does_not_depend_on_the_order_of_the_pieces() -> None:
    assert signature("Why?", [page(1), page(2)]) == signature(" why ", [page(2), page(1)])
    assert similarity(signature("Why?", [page(1)]), signature("Why?", [page(2)]))[1] < 0.1
    asked_near, shown_near = similarity(signature("Who is it?", [page(1, 900)]), signature("Who is it?", [page(1, 900, 30)]))
    assert asked_near == 1
    assert 0.85 < shown_near < 0.99


def test_normal_forms() -> None:
    assert normalised(" Who  IS it?\n") == normalised("who is it.") == "who is it"
    assert normalised("a < b") != normalised("a <= b")
    assert normalised("-3.5") != normalised("35")
    assert named("Where did Ada Lind and x86 go in 1911? Nobody knows.") == ["1911", "ada", "lind", "x86"]


def test_only_support_is_compared_and_conversations_by_all_that_is_said() -> None:
    base = Sample(
        sample_id="s", target="acc", domain="search", source="x", split="train", question="Why?", ground_truth_answer="so",
        prompt=[{"role": "user", "content": "one two three four five six"}],
        completion=[{"role": "assistant", "content": "so"}],
        pieces=[Piece("a", "support", 0, 13), Piece("b", "distractor", 14, 27)],
    )  # fmt: skip
    other = replace(base, prompt=[{"role": "user", "content": "one two three NINE TEN ELEVEN"}])
    assert marks(base) == marks(other)
    assert marks(base).rank == (2, 3, -2)
    assert marks(base, signed=False).signature == ""
    talk, talked = replace(base, target="chat"), replace(other, target="chat")
    assert marks(talk).signature != marks(talked).signature
    assert marks(talk).answer == ""


def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    peaks = []
    for n in (2_000, 40_000):
        command = [sys.executable, "-c", GROWING, str(Path(__file__).parent), str(n), str(tmp_path / "index.sqlite")]
        counted, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert int(counted) == n
        peaks.append(int(peak) / (2**20 if sys.platform == "darwin" else 2**10))
    assert peaks[1] < peaks[0] + 40, "megabytes"


GROWING = """
import resource, sys
from pathlib import Path
folder, n, index = sys.argv[1:]
sys.path.insert(0, folder)
from acc.compile.fates import Fates
from test_quality_duplicates import entry
own = ({"run": f"r{i}", "sample": f"{i:032}", "question": f"q{i}", "answer": f"a{i}"} for i in range(int(n)))
made = Fates(Path(index), (entry(i, signature=bytes(384), **fields) for i, fields in enumerate(own)))
made.decide({}, 0.9)
print(sum(1 for _ in made.each()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_rejections_are_written_sorted_whatever_their_order(tmp_path: Path) -> None:
    made = [Rejection("compile", f"reason_{n % 3}", f"é{n % 7}", n, f"record {n}", "why") for n in range(40_000)]
    random.Random(1).shuffle(made)
    write_rejections(tmp_path / "a.parquet", iter(made))
    write_rejections(tmp_path / "b.parquet", reversed(made))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert read_rejections(tmp_path / "a.parquet") == sorted(made)


def entry(n: int, **fields: Any) -> Row:
    """A record that gave a sample of its own, unless said otherwise."""
    base = Row(0, 0, 0, n, "f", "train", "acc", "", 0, f"s{n}", "", "", "", 0, 0, 0, b"")
    return base._replace(**fields)


def fates(folder: Path, rows: list[Row], near: float | None = 0.9) -> list[tuple[str, str]]:
    made = Fates(folder / "index.sqlite", rows)
    made.decide({}, near)
    return list(made.each())
