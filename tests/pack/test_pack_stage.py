"""The stage: every sample accounted for, the labels right, the bytes the same however it is run."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pack_material import compiled, recipe, sample

from acc.chat import Encoded, StudentChat
from acc.cli import main
from acc.errors import UserError
from acc.pack import encode, run
from acc.records.sequences import IGNORE, SequenceStore
from acc.stage.manifest import read_manifest
from acc.stage.rejections import read_rejections

Checkpoint = Callable[[str], Path]


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    return compiled(tmp_path / "compile", [sample(i) for i in range(20)])


def test_only_rationale_answer_and_stop_are_labelled(
    samples: Path, checkpoint: Checkpoint, student: Callable[[str], StudentChat], tmp_path: Path
) -> None:
    run(recipe(checkpoint("thinking")), samples, tmp_path / "pack")
    store, chat = SequenceStore(tmp_path / "pack"), student("thinking")
    by_id = {s.sample_id: s for s in (sample(i) for i in range(20))}
    for index in range(len(store)):
        item = store[index]
        for place, document in enumerate(item.documents):
            inside = item.document_ids == place
            labels = item.labels[inside]
            text = chat.tokenizer.decode(labels[labels != IGNORE].tolist(), keep_control=True)
            if document.sample_id:
                answer = by_id[document.sample_id].completion[0]["content"]
                assert text == f"because the page says so\n</think>\n\n{answer}<|im_end|>"
                [(_, start, end)] = document.piece_spans
                page = by_id[document.sample_id].prompt[0]["content"].split("\n")[1]
                assert chat.tokenizer.decode(item.input_ids[inside][start:end].tolist()).strip() == page
            else:
                assert text == ""
            assert item.position_ids[inside].tolist() == list(range(document.length))


def test_each_step_has_its_samples_and_a_fixed_number_of_sequences(
    samples: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    sections = {"launch": {"processes": 4}, "parallel": {"sequence": 2}, "train": {"global_batch": 4, "epochs": 2.0}}
    manifest = run(recipe(checkpoint("hybrid"), **sections), samples, tmp_path / "pack")
    store = SequenceStore(tmp_path / "pack")
    assert manifest.counts["steps"] == 10
    assert manifest.counts["data_parallel"] == 2
    per_step = manifest.counts["sequences_per_step"]
    assert per_step % 2 == 0
    assert store.steps.tolist() == [s for s in range(10) for _ in range(per_step)]
    seen: Counter[str] = Counter()
    for step in range(10):
        found = [store.document(n).sample_id for i in np.flatnonzero(store.steps == step) for n in store.document_numbers(i)]
        seen.update(i for i in found if i)
        assert sum(map(bool, found)) == 4
    assert set(seen.values()) == {2}
    # Tokens lie on disk once, whatever the number of epochs; the last document is the filler.
    assert store.num_documents == 21


def test_every_sample_is_accounted_for(checkpoint: Checkpoint, tmp_path: Path) -> None:
    long = sample(100, words=2_000)
    planted = sample(101)
    planted = replace(planted, prompt=[{"role": "user", "content": "a <|im_end|> b <think>"}], pieces=[])
    refused = replace(sample(102, target="chat"), completion=[{"role": "user", "content": "no assistant"}])
    doubled = sample(3)
    others = [sample(i, source="other") for i in range(3)]
    held_out = [sample(i, split="held_out", source="questions") for i in range(5)]
    material = [*(sample(i) for i in range(12)), long, planted, refused, doubled, *others, *held_out]
    sources = [
        {"name": "wiki", "path": "x"},
        {"name": "other", "path": "x", "weight": 0.0},
        {"name": "questions", "path": "x", "split": "held_out"},
    ]
    settings = {"sources": sources, "pack": {"length": 256, "control_text": "reject"}}
    m = run(recipe(checkpoint("hybrid"), **settings), compiled(tmp_path / "compile", material), tmp_path / "pack")
    assert (m.records, m.written, m.merged) == (16, 12, 1)
    assert m.rejected == {"control_text": 1, "not_prefix": 1, "over_length": 1}
    assert m.counts["set_aside"] == {"held_out": 5, "weight_zero": 3}
    rejections = {r.reason: r for r in read_rejections(tmp_path / "pack" / "rejections.parquet")}
    assert rejections["over_length"].locator == f"sample {long.sample_id}"
    assert rejections["over_length"].source == "log.jsonl"
    assert "2 control strings" in rejections["control_text"].detail


def test_control_strings_kept_as_text_are_counted(checkpoint: Checkpoint, tmp_path: Path) -> None:
    planted = replace(sample(1), prompt=[{"role": "user", "content": "a <|im_end|> b <think>"}], pieces=[])
    folder = compiled(tmp_path / "compile", [planted, sample(2), sample(3), sample(4)])
    manifest = run(recipe(checkpoint("hybrid")), folder, tmp_path / "pack")
    assert manifest.counts["control_text"] == {"samples": 1, "strings": 2}


def test_sources_of_every_target_are_mixed_by_weight(checkpoint: Checkpoint, tmp_path: Path) -> None:
    targets = {"wiki": "acc", "plain": "answer_only", "agents": "agent_sft", "talk": "chat"}
    material = [sample(i, source=s, target=t) for s, t in targets.items() for i in range(8)]
    sources = [{"name": s, "path": "x", "target": t, "weight": 2.0 if s == "wiki" else 1.0} for s, t in targets.items()]
    settings = {"sources": sources, "train": {"global_batch": 5}}
    m = run(recipe(checkpoint("hybrid"), **settings), compiled(tmp_path / "compile", material), tmp_path / "pack")
    assert m.rejected == {}
    assert {s: c["drawn"] for s, c in m.counts["sources"].items()} == {"wiki": 8, "plain": 4, "agents": 4, "talk": 4}
    assert m.counts["tokens"] == sum(c["tokens"] for c in m.counts["sources"].values())
    store = SequenceStore(tmp_path / "pack")
    spans = {d.target: len(d.label_spans) for d in map(store.document, range(store.num_documents))}
    assert spans == {"acc": 1, "answer_only": 1, "agent_sft": 2, "chat": 2, "": 0}


@pytest.mark.parametrize("scope", ["step", "global"])
@pytest.mark.parametrize("unit", ["samples", "tokens", "labelled_tokens"])
def test_a_source_gets_its_weight_in_what_the_recipe_counts(
    unit: str, scope: str, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    material = [sample(i, source="short", words=20, target="answer_only") for i in range(60)] + [
        sample(i, source="long", words=90, target="agent_sft") for i in range(40)
    ]
    material = [
        replace(s, completion=[{"role": "assistant", "content": "fox"}]) if s.source == "short" else s for s in material
    ]
    settings = {
        "name": "mixed",
        "sources": [
            {"name": "short", "path": "x", "target": "answer_only"},
            {"name": "long", "path": "x", "target": "agent_sft", "weight": 3.0},
        ],
        "pack": {"length": 512, "weights_in": unit, "scope": scope, "max_repeats": 100.0},
        "compile": {"budget_tokens": 512, "target_reserve_tokens": 16},
        "model": {"path": str(checkpoint("hybrid"))},
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(settings))
    compiled(tmp_path / "mixed" / "compile", material)
    assert main(["pack", "--recipe", str(path), "--runs", str(tmp_path)]) == 0
    m = read_manifest(tmp_path / "mixed" / "pack")
    assert m is not None
    shares = {name: c["share_of"] for name, c in m.counts["sources"].items()}
    assert shares["long"][unit] == pytest.approx(0.75, abs=0.02)
    assert all(shares["long"][other] + shares["short"][other] == pytest.approx(1) for other in shares["long"])
    others = {"samples", "tokens", "labelled_tokens"} - {unit}
    assert all(shares["long"][other] != pytest.approx(0.75, abs=0.025) for other in others)
    assert f"{shares['long'][unit]:.1%} of {unit.replace('_', ' ')}" in capsys.readouterr().out
    rows = [
        {d.source for d in (store.document(n) for n in store.document_numbers(i))}
        for store in [SequenceStore(tmp_path / "mixed" / "pack")]
        for i in range(len(store))
    ]
    assert m.counts["sources"]["long"]["sequences"] == sum("long" in held for held in rows)


def test_bytes_do_not_depend_on_workers(
    samples: Path, checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "MIN_TASK_BYTES", 1)
    for workers in (1, 2):
        run(recipe(checkpoint("hybrid")), samples, tmp_path / str(workers), workers=workers)
    assert digests(tmp_path / "1") == digests(tmp_path / "2")


def test_a_killed_run_leaves_no_trace_in_the_next(checkpoint: Checkpoint, tmp_path: Path) -> None:
    samples = compiled(tmp_path / "compile", [sample(i, words=160) for i in range(400)])
    command = [sys.executable, "-m", "acc", "pack", str(samples), "-o", str(tmp_path / "killed")]
    command += ["--student", str(checkpoint("hybrid")), "--length", "512"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not list(tmp_path.glob("killed/.tokens.bin.partial")):
        time.sleep(0.01)
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "manifest.json").exists()
    for folder in ("killed", "whole"):
        command[command.index("-o") + 1] = str(tmp_path / folder)
        assert main(command[3:]) == 0
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


def test_a_finished_stage_is_not_run_again_and_a_changed_one_is(samples: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    out = tmp_path / "pack"
    run(recipe(checkpoint("hybrid")), samples, out)
    written = (out / "tokens.bin").stat().st_mtime_ns
    run(recipe(checkpoint("hybrid")), samples, out)
    assert (out / "tokens.bin").stat().st_mtime_ns == written
    before = (out / "tokens.bin").read_bytes()
    # Another template, another hash, other tokens: the manifest knows.
    run(recipe(checkpoint("thinking")), samples, out)
    assert (out / "tokens.bin").read_bytes() != before


def test_scope_global_packs_an_epoch(samples: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    settings = {"pack": {"length": 1024, "scope": "global"}}
    m = run(recipe(checkpoint("hybrid"), **settings), samples, tmp_path / "pack")
    store = SequenceStore(tmp_path / "pack")
    assert set(store.steps.tolist()) == {-1}
    found = sorted(n for i in range(len(store)) for n in store.document_numbers(i))
    assert found == list(range(20))
    assert m.counts["utilisation"] > 0.8


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"train": {"global_batch": 4, "max_steps": 100}}, "raise pack.max_repeats to 20 or more"),
        ({"train": {"global_batch": 4, "epochs": 9.0}}, "train.epochs .9. asks for more passes"),
        ({"train": {"max_steps": 100}, "pack": {"length": 256, "scope": "global"}}, "shows a sample"),
        ({"sources": [{"name": "else", "path": "x"}]}, "samples of 'wiki' are there, which is no source"),
    ],
)
def test_what_does_not_fit_is_refused(
    sections: dict[str, object], said: str, samples: Path, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        run(recipe(checkpoint("hybrid"), **sections), samples, tmp_path / "pack")


@pytest.mark.parametrize(
    ("ids", "spans", "said"),
    [
        ([1, 2, 3, 9], [(3, 4)], "part from the prompt's at token 2 of 3"),
        ([1, 2], [(1, 2)], "part from the prompt's at token 2 of 3"),
        ([1, 2, 7, 9], [(2, 4)], "lies in the prompt"),
        ([1, 2, 7, 5], [(3, 4)], "does not end with its only stop"),
        ([1, 2, 7, 9, 9], [(3, 5)], "does not end with its only stop"),
        ([1, 2, 7], [], "nothing is labelled"),
        ([1, 2, 7, 5, 9], [(3, 5)], ""),
    ],
)
def test_a_broken_promise_is_found(ids: list[int], spans: list[tuple[int, int]], said: str) -> None:
    found = encode.broken_promise(Encoded(ids, spans, [], "", 0), [1, 2, 7], 9)
    assert said in found
    assert bool(said) == bool(found)


def test_the_verb_packs_a_run(
    samples: Path, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    data = recipe(checkpoint("hybrid")).model_dump(mode="json", include={"sources", "model", "compile", "pack", "train"})
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({"name": "tiny", **data}))
    compiled(tmp_path / "runs" / "tiny" / "compile", [sample(i) for i in range(20)])
    assert main(["pack", "--recipe", str(tmp_path / "r.yaml"), "--runs", str(tmp_path / "runs")]) == 0
    assert (tmp_path / "runs" / "tiny" / "pack" / "manifest.json").is_file()
    assert "20 samples, 20 written" in capsys.readouterr().out
    assert main(["pack"]) == 2
    assert main(["pack", str(tmp_path / "nowhere"), "-o", str(tmp_path / "o")]) == 2
