"""A recipe through the launchers that its users know, by their literal commands; what the recipe disagrees with is refused."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from acc.errors import UserError, UserErrors
from acc.launch.launcher import check_alone, check_launcher, drop_agreed
from acc.recipe import Recipe, recipe_from

BIN = Path(sys.executable).parent
RECIPE = """\
name: small
sources:
  - {name: simulated, synth: {search: 8, database: 4, seed: 3, min_tokens: 512, max_tokens: 768}}
compile: {budget_tokens: 2048, target_reserve_tokens: 128}
pack: {length: 2048}
model: {dtype: float32}
parallel: {sequence: 2}
train: {global_batch: 4, max_steps: 1, gradient_checkpointing: false}
launch: {processes: 2, threads: 1}
"""
CONFIG = """\
compute_environment: LOCAL_MACHINE
distributed_type: DEEPSPEED
deepspeed_config: {zero_stage: 2, offload_optimizer_device: cpu, gradient_accumulation_steps: 4}
mixed_precision: bf16
num_machines: 1
num_processes: 2
machine_rank: 0
main_process_port: 0
"""


def start(folder: Path, *command: str) -> subprocess.Popen[str]:
    program = [str(BIN / command[0]), *command[1:]]
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(program, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def said(folder: Path, *command: str) -> tuple[int, str]:
    """The exit code of a command and what it printed."""
    child = start(folder, *command)
    return child.wait(), child.communicate()[0]


def free_port() -> str:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "small.yaml").write_text(RECIPE)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


@pytest.mark.processes
def test_torchrun_trains_a_recipe_that_evaluates_nothing(folder: Path) -> None:
    code, printed = said(folder, "torchrun", "--nproc_per_node", "2", "recipes/small.yaml", "--set", "train.learning_rate=1e-4")
    assert code == 0, printed
    assert (folder / "runs" / "small" / "train" / "checkpoint-1" / "model.safetensors").is_file()
    assert printed.count("acc run: report: runs/small/report.html") == 1


@pytest.mark.processes
def test_accelerate_launch_starts_a_recipe_on_two_machines(folder: Path) -> None:
    options = ("--multi_gpu", "--num_machines", "2", "--num_processes", "2", "--main_process_ip", "127.0.0.1")
    options = (*options, "--main_process_port", free_port(), "--machine_rank")
    more = ("recipes/small.yaml", "--set", "launch.nodes=2", "--set", "launch.processes=1", "--until", "pack")
    machines = [start(folder, "accelerate", "launch", *options, rank, *more) for rank in "01"]
    printed = [machine.communicate()[0] for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0], printed
    assert "acc run: pack: " in printed[0] and "acc run" not in printed[1], "the first process of all prepares"


@pytest.mark.processes
def test_a_configuration_file_of_accelerate_that_says_otherwise_is_refused(folder: Path) -> None:
    command = ("accelerate", "launch", "--config_file", "config.yaml", "-m", "acc", "recipes/small.yaml")
    code, printed = said(folder, *command, "--set", "launch.processes=3")
    assert code
    for sentence in (
        "acc run: launch.processes: the launcher has 2 processes, and the recipe's launch.nodes × launch.processes is 1 × 3",
        "accelerate's settings say ZeRO stage 2, and acc trains with stage 3",
        "accelerate's settings say mixed precision bf16, and model.dtype is float32",
        "accelerate's settings say 4 steps of accumulation, and they follow from train.global_batch",
        "accelerate's settings say optimizer offloaded to cpu, and parallel.offload says none",
    ):
        assert sentence in printed, printed
    assert not (folder / "runs").exists(), "nothing is computed before"


@pytest.mark.processes
def test_accelerate_launch_without_gpus_leaves_the_processes_to_the_recipe(folder: Path) -> None:
    # It starts one process there, whatever --num_processes says, and acc the recipe's own: no disagreement.
    command = ("accelerate", "launch", "--num_processes", "2", "recipes/small.yaml", "--set", "sources=[{name: a, path: gone}]")
    code, printed = said(folder, *command)
    assert code and "acc run: source 'a' names recipes/gone, which is not there" in printed, printed


def test_python_m_acc_runs_a_recipe(folder: Path) -> None:
    code, printed = said(folder, "python", "-m", "acc", "recipes/small.yaml", "--set", "sources=[{name: a, path: gone}]")
    assert code == 2 and printed.startswith("acc run: source 'a' names "), printed


def recipe(**sections: object) -> Recipe:
    return recipe_from({"sources": [{"name": "a", "path": "a"}], **sections})


def refused(environment: dict[str, str], **sections: object) -> str:
    with pytest.raises(UserError) as e:
        check_launcher(recipe(**sections), environment)
    return str(e.value)


def test_what_the_recipe_does_not_decide_or_agrees_with_is_accepted() -> None:
    launch = {"nodes": 2, "processes": 8}
    check_launcher(recipe(), {})
    check_launcher(recipe(launch=launch), {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"})
    agreeing = {
        "USE_DEEPSPEED": "true",
        "USE_FSDP": "false",
        "DEEPSPEED_ZERO_STAGE": "3",
        "MIXED_PRECISION": "bf16",
        "DYNAMO_BACKEND": "NO",
        "GRADIENT_ACCUMULATION_STEPS": "1",
        "GRADIENT_CLIPPING": "1.0",
        "DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE": "cpu",
        "DEEPSPEED_OFFLOAD_PARAM_DEVICE": "none",
        "DEEPSPEED_ZERO3_INIT": "true",
    }
    check_launcher(recipe(parallel={"offload": ["optimizer"]}), {f"ACCELERATE_{k}": v for k, v in agreeing.items()})


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("USE_FSDP", "true", "say FSDP, and acc trains with ZeRO-3"),
        ("USE_MEGATRON_LM", "true", "say Megatron-LM"),
        ("USE_PARALLELISM_CONFIG", "true", "say parallelism of their own"),
        ("DEEPSPEED_ZERO_STAGE", "2", "say ZeRO stage 2, and acc trains with stage 3. Leave --zero_stage out"),
        ("DEEPSPEED_CONFIG_FILE", "ds.json", "say DeepSpeed's settings are in ds.json"),
        ("MIXED_PRECISION", "fp16", "say mixed precision fp16, and model.dtype is bfloat16"),
        ("DYNAMO_BACKEND", "INDUCTOR", "say torch.compile with inductor"),
        ("GRADIENT_ACCUMULATION_STEPS", "8", "say 8 steps of accumulation"),
        ("GRADIENT_CLIPPING", "0.5", "say gradients are clipped at 0.5, and train.max_grad_norm is 1.0"),
        ("DEEPSPEED_OFFLOAD_PARAM_DEVICE", "nvme", "say parameters offloaded to nvme, and parallel.offload says none"),
    ],
)
def test_each_setting_that_the_recipe_decides_otherwise_is_refused(name: str, value: str, sentence: str) -> None:
    assert f"accelerate's settings {sentence}" in refused({f"ACCELERATE_{name}": value})


def test_agreed_settings_of_deepspeed_are_taken_out_because_accelerate_refuses_them_beside_the_recipes_own() -> None:
    kept = {"PATH": "/bin", "ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_MIXED_PRECISION": "no"}
    environment = {**kept, "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3", "ACCELERATE_CONFIG_DS_FIELDS": "zero_stage"}
    drop_agreed(environment)
    assert environment == kept


def test_processes_that_are_not_the_recipes_are_refused() -> None:
    one = refused({"RANK": "0", "WORLD_SIZE": "8"})
    assert "the launcher has 8 processes" in one and "1 × 1" in one and "Start 1" in one
    spread = refused({"RANK": "0", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}, launch={"processes": 8})
    assert "has 4 processes on this machine, and launch.processes is 8" in spread


def test_all_disagreements_are_named_at_once() -> None:
    with pytest.raises(UserErrors) as e:
        check_launcher(recipe(), {"RANK": "0", "WORLD_SIZE": "8", "ACCELERATE_USE_FSDP": "true"})
    assert len(e.value.errors) == 2


def test_two_machines_are_not_started_from_one() -> None:
    with pytest.raises(UserError, match=r"the recipe trains on 2 machines.*acc submit"):
        check_alone(recipe(launch={"nodes": 2}))
