"""The way of a sample is shown whole, and a purge takes it out of all compiled and packed data with the account kept."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from acc.compile import run as compile_logs
from acc.lineage.runs import matching, open_runs, places, seen_by
from acc.pack import run as pack
from acc.recipe import Recipe, recipe_from
from acc.records.sample import Sample, read_samples
from acc.records.sequences import SequenceStore
from acc.stage.files import write_json, write_text
from acc.stage.manifest import read_manifest
from acc.train.key import train_key
from acc.trajectories.record import ObservationResult, Outcome, Step, ToolCall, Trajectory, to_atif


def asked(n: int, name: str, page: str = "") -> Trajectory:
    call = ToolCall("c1", "visit", {"url": f"https://w.example/{name}/{n}"})
    seen = ObservationResult(page or f"The keeper of house {n} of {name} is Person{n}. " + f"word{n} " * 30, "c1")
    steps = [
        Step(1, "user", f"Who keeps house {n} of {name}?"),
        Step(2, "agent", "", tool_calls=[call], observation=[seen]),
        Step(3, "agent", f"Person{n}", f"The page says Person{n}."),
    ]
    return Trajectory(
        trajectory_id=f"{name}-{n}", question=steps[0].message, steps=steps, final_answer=f"Person{n}", domain="search",
        model_name="agent-1", outcome=Outcome("success", "test"),
    )  # fmt: skip


def made(folder: Path, student: Path, scope: str) -> tuple[Path, Recipe]:
    """A run of two sources, compiled and packed, with two checkpoints whose markers are all there is of them."""
    run = folder / "runs" / "demo"
    recipe = recipe_from(
        {
            "name": "demo",
            "sources": [
                {"name": "ours", "path": "ours", "policy": {"licence": "MIT"}},
                {"name": "theirs", "path": "theirs", "policy": {"licence": "CC BY-NC 4.0"}},
            ],
            "compile": {"budget_tokens": 4000, "target_reserve_tokens": 200, "workers": 1},
            "pack": {"length": 4096, "scope": scope},
            "train": {"global_batch": 4, "epochs": 1},
            "model": {"path": str(student)},
        }
    )
    inputs = {}
    for name in ("ours", "theirs"):
        runs = [asked(n, name) for n in range(8)]
        if name == "ours":
            runs += [asked(3, name), asked(9, name, "Person9 (maria.keller@acme-mail.com) keeps house 9. " + "and so on " * 20)]
        text = "".join(json.dumps(to_atif(t)) + "\n" for t in runs)
        write_text(folder / name / "logs.jsonl", text)
        inputs[name] = [folder / name]
    write_text(run / "recipe.json", recipe.model_dump_json())
    compile_logs(recipe, inputs, run / "compile")
    pack(recipe, run / "compile", run / "pack", workers=1)
    for step in (1, 2):
        marker = {"step": step, "key": train_key(recipe, run / "pack"), "seed": 0, "world": 1, "sequence": 1, "state": True}
        write_json(run / "train" / f"checkpoint-{step}" / "acc_checkpoint.json", {**marker, "files": {}})
    return run, recipe


@pytest.fixture(params=["step", "global"])
def demo(request: pytest.FixtureRequest, tmp_path: Path, checkpoint: Callable[[str], Path]) -> tuple[Path, Recipe]:
    return made(tmp_path, checkpoint("hybrid"), request.param)


def samples(run: Path) -> dict[str, Sample]:
    return {s.trajectory_id: s for s in read_samples(run / "compile" / "samples.parquet")}


def acc(*words: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "acc", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_a_sample_is_traced_from_its_record_to_the_checkpoints(demo: tuple[Path, Recipe], tmp_path: Path) -> None:
    run, _ = demo
    wanted = samples(run)["ours-3"]
    shown = acc("trace", wanted.sample_id[:12], folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert f"sample {wanted.sample_id}" in shown.stdout
    assert f"logs.jsonl [3], hash {wanted.record_hash}" in shown.stdout
    for text in (
        "licence      MIT",
        "generator    agent-1",
        "1 support from log",
        "logs.jsonl [8], copies",
        "checkpoint-2",
        "labelled",
    ):
        assert text in shown.stdout, text
    assert "redacted" not in shown.stdout
    other = acc("trace", samples(run)["ours-9"].sample_id, "--run", run, folder=tmp_path)
    assert "redacted     1 personal_email" in other.stdout
    assert "maria" not in other.stdout


def test_checkpoints_before_the_first_step_did_not_see_it(demo: tuple[Path, Recipe]) -> None:
    run, _ = demo
    (opened,) = open_runs([run])
    store = SequenceStore(run / "pack")
    for sample in samples(run).values():
        found = places(opened, [sample.sample_id])
        assert [store.document(p.document).sample_id for p in found] == [sample.sample_id] * len(found)
        assert all(p.document in store.document_numbers(p.sequence) for p in found)
        if found and found[0].step >= 0:
            assert [c.step for c in seen_by(opened, found)] == [s for s in (1, 2) if s > found[0].step]


def test_a_purge_lists_first_and_then_takes_all_of_it_out(demo: tuple[Path, Recipe], tmp_path: Path) -> None:
    run, recipe = demo
    before, whole = samples(run), SequenceStore(run / "pack")
    journal = run / "compile" / "teacher.jsonl"
    lines = [json.dumps({"key": n, "sample_id": s.sample_id, "response": "text"}) for n, s in enumerate(before.values())]
    journal.write_text("\n".join(lines) + "\n")
    files = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    listed = acc("purge", run, "--where", "licence=CC*", folder=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "8 samples match" in listed.stdout
    assert "nothing was changed" in listed.stdout
    assert "checkpoint-2 saw some of them" in listed.stdout
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == files

    kept = run.parent / "base_answers"
    kept.mkdir()
    purged = acc("purge", run, "--where", "licence=CC*", "--yes", folder=tmp_path)
    assert purged.returncode == 0, purged.stderr
    assert str(kept) in purged.stdout, "answers that other runs take over may hold the text"
    assert "weights keep what they were trained on" in purged.stdout
    assert {name.split("-")[0] for name in samples(run)} == {"ours"}
    compiled, packed = read_manifest(run / "compile"), read_manifest(run / "pack")
    assert compiled is not None
    assert packed is not None
    assert (compiled.written, compiled.purged, packed.written, packed.purged) == (9, 8, 9, 8)
    compiled.check()
    packed.check()
    assert compiled.counts["sources"]["theirs"]["written"] == 0
    assert compiled.counts["sources"]["theirs"]["purged"] == 8

    store = SequenceStore(run / "pack")
    assert store.sources == ["", "ours"]
    assert len(store) == len(whole)
    assert (store.steps == whole.steps).all()
    tokens = {d.sample_id: whole.tokens(d) for n in range(whole.num_documents) if (d := whole.document(n))}
    for n in range(store.num_documents):
        document = store.document(n)
        assert (store.tokens(document) == tokens[document.sample_id]).all()
    for n in range(len(store)):
        kept = [d.sample_id for d in whole[n].documents if d.source == "ours"]
        assert [d.sample_id for d in store[n].documents] == (kept or [""])
    drawn = sum(len(store[n].input_ids) for n in range(len(store)) if store[n].documents[0].sample_id)
    assert packed.counts["tokens"] == drawn
    assert packed.counts["sources"]["theirs"] == {
        "samples": 0, "drawn": 0, "repeats": 0.0, "unused": 0, "tokens": 0, "labelled_tokens": 0, "labelled_share": 0.0,
        "sequences": 0, "share_of": {"samples": 0.0, "tokens": 0.0, "labelled_tokens": 0.0},
    }  # fmt: skip
    assert journal.read_text().count("\n") == 9
    assert (run / "pack" / "tokens.bin").stat().st_size == 4 * sum(
        len(t) for i, t in tokens.items() if i == "" or i in ids(run)
    )

    again = pack(recipe, run / "compile", run / "pack", workers=1)
    assert again.purged == 8, "the purged pack is done; it is not made anew"
    assert acc("purge", run, "--where", "licence=CC*", "--yes", folder=tmp_path).stdout.count("0 samples match") == 1


def test_a_run_that_is_not_packed_is_purged_too(tmp_path: Path, checkpoint: Callable[[str], Path]) -> None:
    run, _ = made(tmp_path, checkpoint("hybrid"), "step")
    alone = tmp_path / "alone"
    (run / "compile").rename(alone)
    shown = acc("purge", alone, "--where", "source=ours", "--where", "trajectory_id=*-2", "--yes", folder=tmp_path)
    assert "1 samples match" in shown.stdout, shown.stderr
    assert len(list(read_samples(alone / "samples.parquet"))) == 16
    (opened,) = open_runs([alone])
    assert list(matching(opened, {"trajectory_id": "ours-2"})) == []
    assert np.array_equal([r["record_index"] for r in matching(opened, {"source": "theirs", "record_index": "4"})], [4])


def test_mistakes_end_in_a_sentence(tmp_path: Path, checkpoint: Callable[[str], Path]) -> None:
    run, _ = made(tmp_path, checkpoint("hybrid"), "step")
    for words, said in (
        (("purge", run, "--where", "question=x"), "a sample has no field 'question'"),
        (("purge", run, "--where", "licence"), "is no FIELD=VALUE"),
        (("purge", tmp_path, "--where", "licence=x"), "there is no samples.parquet"),
        (("trace", "zzz"), "no sample begins with 'zzz'"),
        (("trace", ""), "samples begin with ''"),
    ):
        shown = acc(*words, folder=tmp_path)
        assert shown.returncode == 2, shown.stdout
        assert said in shown.stderr


def ids(run: Path) -> set[str]:
    return {s.sample_id for s in samples(run).values()}
