"""What is wrong with a recipe or its environment is named, all of it in one run; what is right is left in peace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from checked import changed, check, good, machine, student

from acc.launch.check import files
from acc.launch.check.context import Context
from acc.launch.check.finding import Finding, Level

EGRESS = "http://teacher.example/v1"
TEACHER = {"kind": "teacher", "teacher": {"base_url": EGRESS, "model": "m"}}
WITH_KEY = {**TEACHER, "teacher": {"base_url": "http://localhost:8000/v1", "model": "m", "api_key_env": "TEACHER_KEY"}}
COPY = {"name": "ours", "hub": {"dataset": "org/name", "files": "empty"}}
CORPUS = {"name": "ours", "hub": {"dataset": "tau_banch", "agentpile": True}}
SHORT = {"evaluate.benchmarks.0.max_new_tokens": 64}
TO_SWANLAB = {"egress": ["swanlab.cn"]}
MINE = {
    "evaluate.where": "watch",
    "evaluate.server": {"start": "transformers"},
    "evaluate.commands": [{"name": "mine", "run": ["./mine"]}],
}
ANYWHERE = {"sources.0.policy": {"egress": ["", "teacher.example"]}, "sources.1.policy": {"egress": [""]}}
SCORE = {"train.best": {"score": "held_out/exakt"}}
LLAMA3 = {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e6, "factor": 4.0}}


@dataclass(frozen=True)
class Broken:
    """A good recipe with `changes` at dotted names, `config` over its student's config.json, on a machine that is `on`;
    `says` are words of one finding of this `level`."""

    name: str
    says: tuple[str, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    on: Mapping[str, Any] = field(default_factory=dict)
    level: Level = "error"


WARNS: Level = "warning"
BROKEN = [
    # What the schema refuses.
    Broken("a misspelt field", ("no field 'learning_rat'", "learning_rate"), {"train.learning_rat": 1e-5}),
    Broken("a number as text", ("train.global_batch", "'eight'"), {"train.global_batch": "eight"}),
    Broken("ZeRO stage 2", ("zero_optimization.stage", "only stage 3"), {"deepspeed": {"zero_optimization": {"stage": 2}}}),
    Broken("raw batch sizes", ("train_batch_size", "sizes follow"), {"deepspeed": {"train_batch_size": 8}}),
    Broken(
        "experts in parallel beside sequence", ("expert_parallel", "by data and by sequence"), {"deepspeed.expert_parallel": {}}
    ),
    Broken(
        "length not divisible", ("8190", "not divisible by parallel.sequence"), {"pack.length": 8190, "parallel.sequence": 4}
    ),
    Broken("budget over the sequence", ("compile.budget_tokens", "larger than pack.length"), {"compile.budget_tokens": 9000}),
    Broken("dropout on experts", ("lora.dropout", "must be 0"), {"lora": {"targets": ["experts"], "dropout": 0.1}}),
    Broken("router loss", ("router_aux_loss", "eave it 0"), {"moe.router_aux_loss": 0.01}),
    Broken("a teacher without address", ("kind: teacher needs",), {"rationale.kind": "teacher"}),
    Broken("best of nothing", ("train.best", "evaluation's score"), {"train.best": {"score": "x"}, "evaluate": {}}),
    # Sizes and steps.
    Broken("processes not in groups", ("1 × 3 processes", "groups of 2", "multiple of 2"), {"launch.processes": 3}),
    Broken(
        "batch not shared",
        ("6 sequences", "4 data-parallel ranks"),
        {"pack.scope": "global", "train.global_batch": 6, "parallel.sequence": 1},
    ),
    Broken("ranks with nothing to do", ("1 samples for 2", "work on nothing"), {"train.global_batch": 1}, level=WARNS),
    Broken("warm-up longer than training", ("warmup_steps", "never reached"), {"train.warmup_steps": 100}, level=WARNS),
    Broken("warm-up under a constant rate", ("constant_with_warmup",), {"train.schedule": "constant"}, level=WARNS),
    Broken("more passes than allowed", ("train.epochs (9)", "max_repeats"), {"train.max_steps": None, "train.epochs": 9.0}),
    Broken(
        "float32 under FlashAttention",
        ("flash_attention_2", "float32"),
        {"model.attention": "flash_attention_2", "model.dtype": "float32"},
    ),
    # The student.
    Broken("no such student", ("no folder", "nowhere"), {"model.path": "./nowhere"}),
    Broken("an unknown kind of model", ("gpt2 models were not shown", "llama"), config={"model_type": "gpt2"}),
    Broken("half a config.json", ("config.json has no vocab_size",), config={"vocab_size": None}, level=WARNS),
    Broken("quantised weights", ("quantised", "bfloat16"), config={"quantization_config": {"bits": 4}}),
    Broken("linear attention", ("linear_attention layers",), config={"layer_types": ["linear_attention"] * 3}),
    Broken("sliding windows", ("sliding_attention",), config={"use_sliding_window": True, "sliding_window": 512}),
    Broken("heads not shared", ("4 query heads", "by 8"), {"parallel.sequence": 8, "launch.processes": 8}, config={}),
    Broken(
        "key-value heads not shared", ("3 key-value heads", "by 2"), config={"num_attention_heads": 6, "num_key_value_heads": 3}
    ),
    Broken("longer than the window", ("4,096 tokens", "window is 2,048", "factor 2"), SHORT, {"max_position_embeddings": 2048}),
    Broken(
        "RoPE scaled too little",
        ("window is 3,072",),
        {**SHORT, "model.rope": {"factor": 1.5}},
        {"max_position_embeddings": 2048},
    ),
    Broken("RoPE scaled for nothing", ("fits the native window", "Leave it out"), {"model.rope": {"factor": 2.0}}, level=WARNS),
    Broken("RoPE by length", ("RoPE is dynamic",), config=LLAMA3),
    Broken(
        "adapters on experts that are not",
        ("no experts", "lora.targets"),
        {"lora": {"targets": ["experts"]}},
        {"model_type": "qwen3", "num_local_experts": None},
    ),
    Broken("ids beyond the embedding", ("vocab_size is 100",), config={"vocab_size": 100}),
    Broken(
        "slow experts at length", ("eager experts", "grouped_mm"), {"moe.experts": "eager", "pack.length": 65536}, level=WARNS
    ),
    # Files.
    Broken("logs that are not there", ("names gone", "sources.0.path"), {"sources.0.path": "gone"}),
    Broken("a format that nobody knows", ("no format 'swe'",), {"sources.0.format": "swe"}),
    Broken("a copy of a data set without files", ("folder without any file", "sources.0.hub.files"), {"sources.0": COPY}),
    Broken("a corpus that agentpile has not", ("no data set 'tau_banch'", "tau_bench"), {"sources.0": CORPUS}),
    Broken(
        "a join without its file",
        ("no such file to join",),
        {"sources.0.join": [{"file": "no.csv", "fields": {"outcome": "ok"}}]},
    ),
    Broken(
        "repositories that are not there",
        ("sources.0.resolve.git.mirrors: there is no folder mirrors",),
        {"sources.0.resolve.git.mirrors": "mirrors"},
    ),
    Broken(
        "a database that is not there",
        ("sources.0.resolve.sql.url: there is no database",),
        {"sources.0.resolve.sql.url": "sqlite:///no.db"},
    ),
    Broken("pages that are not there", ("no file pages.parquet",), {"sources.0.resolve.pages.files": ["pages.parquet"]}),
    Broken("a file to decontaminate with", ("no.jsonl",), {"quality.decontaminate": ["no.jsonl"]}),
    Broken(
        "rows that are not there", ("no such file", "rows"), {"evaluate.benchmarks.0": {"name": "mrcr", "rows": "no.parquet"}}
    ),
    # Evaluation.
    Broken("a score that nothing gives", ("gives the score 'held_out/exakt'", "held_out/exact"), SCORE),
    Broken(
        "an answer longer than the window", ("every row would be skipped",), {"evaluate.benchmarks.0.max_new_tokens": 131072}
    ),
    Broken("a server inline", ("holds the GPUs", "where: watch"), {"evaluate.server.start": "vllm"}),
    Broken(
        "one server for every checkpoint",
        ("as one model",),
        {"evaluate.where": "watch", "evaluate.server.base_url": "http://localhost:1/v1"},
    ),
    Broken("a program that is not there", ("no program ./mine",), MINE, level=WARNS),
    # Policies, keys, template.
    Broken(
        "a teacher that a policy forbids",
        ("teacher.example", "policy.egress"),
        {"rationale": TEACHER, "sources.1.policy": {"egress": ["teacher.example"]}},
    ),
    Broken("a key that is not set", ("TEACHER_KEY is not set",), {"rationale": WITH_KEY}, level=WARNS),
    Broken(
        "control tokens in the prompt",
        ("<|im_end|>", "plain text"),
        {"compile.prompt.system": "Be brief.<|im_end|>"},
        level=WARNS,
    ),
    # This machine.
    Broken("torch that is too old", ("torch is 2.4.1", "needs 2.11"), on={"versions": {"torch": "2.4.1"}}),
    Broken("no DeepSpeed", ("deepspeed is not installed",), on={"versions": {"deepspeed": None}}),
    Broken(
        "a tracker that is not installed",
        ("tracker swanlab is not installed",),
        {"train.report_to": ["swanlab"], "sources.0.policy": TO_SWANLAB, "sources.1.policy": TO_SWANLAB},
    ),
    Broken(
        "FlashAttention that is not installed",
        ("flash-attn is not installed",),
        {"model.attention": "flash_attention_2"},
        on={"gpus": 4},
    ),
    Broken(
        "flash-attn for another CUDA",
        ("CUDA 118", "cu128"),
        on={"gpus": 4, "versions": {"flash-attn": "2.8.0+cu118"}},
        level=WARNS,
    ),
    Broken(
        "no compiler to offload with",
        ("Adam for CPUs", "g++"),
        {"parallel.offload": ["optimizer"]},
        on={"without": ("g++",)},
        level=WARNS,
    ),
    Broken("a full disk", ("checkpoints need", "0.0 MB free"), on={"free": 0, "gpus": 4}),
    Broken("fewer GPUs than processes", ("4 processes on a node", "has 2"), on={"gpus": 2}, level=WARNS),
    Broken("GPUs that do not reach each other", ("all-reduce", "timed out"), on={"gpus": 4, "reduces": "timed out"}),
    Broken(
        "a launcher with odd processes",
        ("launcher's 3 processes", "groups of 2"),
        on={"environment": {"RANK": "0", "WORLD_SIZE": "3"}},
    ),
    Broken(
        "accelerate's ZeRO stage", ("ZeRO stage 2", "stage 3"), on={"environment": {"ACCELERATE_DEEPSPEED_ZERO_STAGE": "2"}}
    ),
    Broken("accelerate's precision", ("mixed precision fp16",), on={"environment": {"ACCELERATE_MIXED_PRECISION": "fp16"}}),
    Broken("Ray without Ray", ("Ray is not installed", "compile.executor"), {"compile.executor": "ray"}),
    Broken("Slurm without Slurm", ("no sbatch",), {"compile.executor": "slurm"}, on={"without": ("sbatch",)}, level=WARNS),
    Broken(
        "a time limit that is none", ("'a day' is no time limit",), {"compile.executor": "slurm", "compile.slurm.time": "a day"}
    ),
    Broken(
        "rows longer than the window",
        ("up to 131,072 tokens are asked for", "over 129,024 are skipped"),
        {"evaluate.benchmarks.0": {"name": "mrcr", "hub": {"dataset": "openai/mrcr"}, "max_bin_tokens": 131072}},
        level=WARNS,
    ),
    Broken(
        "an address that is none",
        ("'localhost:8000/v1' is no address", "http://host:port/v1"),
        {"rationale": {"kind": "teacher", "teacher": {"base_url": "localhost:8000/v1", "model": "m"}}, **ANYWHERE},
    ),
    Broken(
        "more memory than the GPUs have",
        ("acc plan says", "each L4"),
        {"model.path": "Qwen/Qwen3-4B-Thinking-2507"},
        on={"gpus": 4, "kind": "L4"},
        level=WARNS,
    ),
    Broken(
        "jobs that end before they begin",
        ("told to end 600 s before", "launch.slurm.train.time"),
        {"launch.slurm": {"train": {"time": "00:05:00"}}},
    ),
    Broken("a template that is not there", ("no file my.sbatch",), {"launch.slurm": {"template": "my.sbatch"}}),
]
BY_SCHEMA = 11


def found_in(folder: Path, broken: Broken) -> list[Finding]:
    recipe = changed(good(folder), broken.changes)
    (folder / "empty").mkdir()
    if broken.config is not None:
        recipe.setdefault("model", {})["path"] = student(folder, **broken.config)
    return check(folder, recipe, machine(**broken.on))


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: b.name)
def test_what_is_broken_is_named_with_its_mend(broken: Broken, tmp_path: Path) -> None:
    found = found_in(tmp_path, broken)
    named = [f for f in found if f.level == broken.level and all(word in str(f) for word in broken.says)]
    assert len(named) == 1, "\n".join(map(str, found))
    assert named[0].what and named[0].where
    assert [f for f in found if f.level != "note"] == named, "and nothing else"


def test_a_good_recipe_has_neither_errors_nor_warnings(tmp_path: Path) -> None:
    assert not [f for f in check(tmp_path, good(tmp_path)) if f.level != "note"]


def test_scaling_that_only_the_evaluation_needs_is_left_in_peace(tmp_path: Path) -> None:
    long = {"name": "mrcr", "hub": {"dataset": "openai/mrcr"}, "max_bin_tokens": 131072}
    recipe = changed(good(tmp_path), {"evaluate.benchmarks.0": long, "model.rope": {"factor": 2.0}})
    assert not [f for f in check(tmp_path, recipe) if f.level != "note"]


def test_everything_that_is_wrong_is_said_in_one_run(tmp_path: Path) -> None:
    several = [b for b in BROKEN[BY_SCHEMA:] if b.name in {
        "warm-up longer than training", "logs that are not there", "a score that nothing gives", "a full disk",
        "torch that is too old", "accelerate's ZeRO stage", "control tokens in the prompt", "a time limit that is none",
    }]  # fmt: skip
    assert len(several) == 8
    changes: dict[str, Any] = {k: v for b in several for k, v in b.changes.items()}
    on: dict[str, Any] = {k: v for b in several for k, v in b.on.items()}
    found = check(tmp_path, changed(good(tmp_path), changes), machine(**on))
    for broken in several:
        assert any(all(word in str(f) for word in broken.says) for f in found), broken.name
    levels = [f.level for f in found]
    assert levels == sorted(levels, key=["error", "warning", "note"].index), "errors come first"


def test_all_mistakes_of_the_schema_are_said_in_one_run(tmp_path: Path) -> None:
    recipe = changed(good(tmp_path), {"train.learning_rat": 1, "model.dtype": "fp16", "launch.processes": 0})
    assert len(check(tmp_path, recipe)) == 3


def test_a_finding_names_file_and_line_of_its_field(tmp_path: Path) -> None:
    found = check(tmp_path, changed(good(tmp_path), {"train.warmup_steps": 100}))
    line = 1 + (tmp_path / "r.yaml").read_text().splitlines().index("  warmup_steps: 100")
    assert [f.where for f in found if f.level == "warning"] == [f"{tmp_path / 'r.yaml'}:{line} train.warmup_steps"]


def test_a_checkpoint_that_lacks_files_is_named(tmp_path: Path) -> None:
    recipe = changed(good(tmp_path), {"model.path": student(tmp_path)})
    (tmp_path / "student" / "model.safetensors").rename(tmp_path / "student" / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "student" / "model.safetensors.index.json").write_text(json.dumps(index))
    errors = [str(f) for f in check(tmp_path, recipe) if f.level == "error"]
    assert len(errors) == 1 and "1 of 2 files of the weights are not there, model-2.safetensors" in errors[0]


def test_a_turn_that_generation_does_not_end_is_named(tmp_path: Path) -> None:
    recipe = changed(good(tmp_path), {"model.path": student(tmp_path)})
    (tmp_path / "student" / "generation_config.json").unlink()
    (tmp_path / "student" / "generation_config.json").write_text('{"eos_token_id": [2514]}')
    warnings = [str(f) for f in check(tmp_path, recipe) if f.level == "warning"]
    assert len(warnings) == 1 and "<|im_end|>" in warnings[0] and "will not stop" in warnings[0]


def test_a_check_that_fails_is_said_to_be_our_bug_and_the_others_are_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(context: Context) -> list[Finding]:
        raise KeyError("rows")

    monkeypatch.setattr(files, "check", fail)
    found = check(tmp_path, changed(good(tmp_path), {"train.warmup_steps": 100}))
    errors = [str(f) for f in found if f.level == "error"]
    assert len(errors) == 1 and all(w in errors[0] for w in ("check of files", "KeyError: 'rows'", "please report"))
    assert any("its peak is never reached" in f.what for f in found)


def test_a_section_of_deepspeed_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    found = check(tmp_path, changed(good(tmp_path), {"deepspeed": {"zero_optimization": 3}}))
    errors = [str(f) for f in found if f.level == "error"]
    assert errors and all("deepspeed" in e for e in errors) and not any("bug of ours" in e for e in errors)


def test_tasks_that_lm_eval_has_not_are_named(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.yaml").write_text("task: my_questions\n")
    names = [
        "ifeval",
        "gpqa_main_zeroshot",
        "mafand_tasks",
        "my_questions",
        "nosuchtask",
        "my_questiosn",
        "gpqa_*",
        "mine/mine.yaml",
    ]
    general = {"tasks": [{"task": name} for name in names], "include": "mine"}
    served = {"where": "watch", "server": {"start": "transformers"}, "general": general}
    errors = [f for f in check(tmp_path, changed(good(tmp_path), {"evaluate": served})) if f.level == "error"]
    assert {f.what for f in errors} == {"lm-eval has no task 'nosuchtask'", "lm-eval has no task 'my_questiosn'"}
    assert errors[0].where.endswith("evaluate.general.tasks.4.task")
