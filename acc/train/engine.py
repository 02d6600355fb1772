"""The engine below the Trainer: process group, DeepSpeed ZeRO-3, Ulysses, and the Trainer's arguments. Nothing of the loss."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import DeepSpeedSequenceParallelConfig, ParallelismConfig
from torch.distributed import distributed_c10d
from transformers import TrainingArguments
from transformers.integrations import deepspeed as hf_deepspeed
from transformers.integrations import get_available_reporting_integrations
from transformers.integrations.deepspeed import set_hf_deepspeed_config, unset_hf_deepspeed_config
from transformers.utils.logging import disable_progress_bar

from acc.errors import UserError
from acc.recipe import Recipe
from acc.stage.seeds import seed_for
from acc.train.deepspeed_config import set_names, zero3
from acc.train.loading import count_experts
from acc.train.parallel import Sizes


@contextmanager
def processes(recipe: Recipe, sizes: Sizes) -> Iterator[None]:
    """Join the process group that the launcher's variables describe (gloo without a GPU, else NCCL); alone, do nothing unless
    DeepSpeed is used. Its collectives give up after launch.timeout_s, in whatever group.

    Threads: launch.threads, else what the launcher set, else the node's cores shared evenly. What transformers, accelerate
    and DeepSpeed keep as globals is reset at the end, so that a process can train again. The group itself stays.
    """
    # Notes of torch and transformers to the authors of DeepSpeed and accelerate, several a step.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed|transformers\.modeling_utils")
    if sizes.rank or not sys.stderr.isatty():
        disable_progress_bar()
    cores = len(os.sched_getaffinity(0))
    launcher = os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(recipe.launch.threads or (int(launcher) if launcher else max(1, cores // sizes.local_world)))
    os.environ.pop("ACCELERATE_USE_DEEPSPEED", None)  # accelerate launch sets it for one process too
    alone = {} if sizes.world > 1 else {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    if engine := uses_zero3(recipe, sizes):
        # Set before the state is made: without it accelerate would make the group without DeepSpeed's knowledge.
        os.environ.update(alone, ACCELERATE_USE_DEEPSPEED="true")
        # DeepSpeed builds its CPU communication with ninja, which came with this Python, and looks for it on PATH.
        programs = str(Path(sys.executable).parent)
        if programs not in os.environ.get("PATH", "").split(os.pathsep):
            os.environ["PATH"] = os.pathsep.join(filter(None, (programs, os.environ.get("PATH"))))
        timeout = timedelta(seconds=recipe.launch.timeout_s)
        # Groups that DeepSpeed makes later are made with torch's defaults: 10 minutes under NCCL.
        for name in ("default_pg_timeout", "default_pg_nccl_timeout"):
            setattr(distributed_c10d, name, timeout)
        PartialState._reset_state()
        if torch.cuda.is_available():
            PartialState(timeout=timeout)
        else:
            PartialState(backend="gloo", timeout=timeout)
    try:
        yield
    finally:
        for name in ["ACCELERATE_USE_DEEPSPEED", *(alone if engine else ())]:
            os.environ.pop(name, None)
        unset_hf_deepspeed_config()
        AcceleratorState._reset_state()
        GradientState._reset_state()
        if sizes.sequence > 1:
            from deepspeed.runtime.sequence_parallel import parallel_state_sp
            from deepspeed.utils import groups

            groups.mpu = None
            parallel_state_sp._SEQUENCE_PARALLEL_GROUP = None
            parallel_state_sp._SEQUENCE_DATA_PARALLEL_GROUP = None


def uses_zero3(recipe: Recipe, sizes: Sizes) -> bool:
    """Whether training runs under DeepSpeed's ZeRO-3: with several processes, with offload, or with settings for DeepSpeed."""
    return sizes.world > 1 or bool(recipe.parallel.offload or recipe.deepspeed)


def barrier() -> None:
    """Wait for every process."""
    if dist.is_initialized():
        dist.barrier()


def is_same_everywhere(text: str) -> bool:
    """Whether every process has the same text. All processes call this."""
    if not dist.is_initialized():
        return True
    number = int(sha256(text.encode()).hexdigest()[:15], 16)
    both = torch.tensor([number, -number], device="cuda" if torch.cuda.is_available() else "cpu")
    dist.all_reduce(both, op=dist.ReduceOp.MAX)
    return bool(both[0] == -both[1])


def reduce_sum(values: torch.Tensor) -> torch.Tensor:
    """Sum a tensor over all processes, in place."""
    if dist.is_initialized():
        dist.all_reduce(values)
    return values


def arguments(
    recipe: Recipe, sizes: Sizes, out: Path, *, attention: str, accumulation: int, steps: int, optimizer: str
) -> TrainingArguments:
    """The Trainer's arguments, with DeepSpeed's where it is used (see `uses_zero3`).

    Saving, epochs and the log are ours (`acc.train.callbacks`), so the Trainer's own are off.

    Args:
        optimizer: its name in transformers.
    """
    train = recipe.train
    check_installed(train.report_to)
    gpu = torch.cuda.is_available()
    engine: dict[str, Any] = {}
    if uses_zero3(recipe, sizes):
        engine["deepspeed"] = zero3(recipe, gpu=gpu)
        if recipe.deepspeed and sizes.rank == 0:
            print(f"deepspeed: {', '.join(set_names(recipe.deepspeed))}: not tried by acc", flush=True)
        engine["accelerator_config"] = {"use_configured_state": True}
    if sizes.sequence > 1:
        handler = DeepSpeedSequenceParallelConfig(sp_seq_length_is_variable=True, sp_attn_implementation="sdpa")
        handler.sp_attn_implementation = attention  # the constructor knows the stock names only
        engine["parallelism_config"] = ParallelismConfig(
            sp_size=sizes.sequence, sp_backend="deepspeed", dp_shard_size=sizes.data, sp_handler=handler
        )
    names = {f.name for f in fields(TrainingArguments)}
    recompute = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    engine[recompute] = train.gradient_checkpointing
    arguments = TrainingArguments(
        output_dir=str(out),
        seed=seed_for(recipe.seed, "train") % 2**32,
        max_steps=steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=accumulation,
        learning_rate=train.learning_rate,
        lr_scheduler_type=train.schedule,
        warmup_steps=train.warmup_steps,
        weight_decay=train.weight_decay,
        adam_beta1=train.betas[0],
        adam_beta2=train.betas[1],
        max_grad_norm=train.max_grad_norm,
        optim=optimizer,
        bf16=recipe.model.dtype == "bfloat16",
        use_cpu=not gpu,
        logging_steps=train.log_every_steps,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=train.report_to or "none",
        run_name=recipe.name,
        remove_unused_columns=False,
        ignore_data_skip=True,
        disable_tqdm=True,
        **engine,
    )
    # One process is one GPU: with more in sight transformers would wrap the model in DataParallel.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments


def check_installed(trackers: list[str]) -> None:
    """Raise a `UserError` if a tracker's package is missing: transformers would end in the middle of making the Trainer."""
    available = get_available_reporting_integrations()
    for name in trackers:
        if name not in available:
            raise UserError(
                f"the tracker {name} is not installed",
                where="train.report_to",
                mend=f"pip install {name}, or take it out; log.jsonl is always written",
            )


@contextmanager
def whole_models() -> Iterator[None]:
    """Inside, a model is loaded whole by each process that loads one; outside, ZeRO-3 cuts every model as it is read."""
    config = _hf_config()
    unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if config is not None:
            set_hf_deepspeed_config(config)


def _hf_config() -> Any:
    """What transformers asks whether ZeRO-3 is on."""
    reference = hf_deepspeed._hf_deepspeed_config_weak_ref
    return reference() if reference is not None else None


def set_leaf_modules(model: torch.nn.Module) -> int:
    """Tell ZeRO-3 to gather each mixture-of-experts block as a whole, and return how many there are.

    Processes route to different experts; gathering expert by expert, they would wait for each other for ever.

    Raises:
        RuntimeError: the model says that it has experts but no block with experts is found.
    """
    from deepspeed.utils import set_z3_leaf_modules

    classes = {type(m) for m in model.modules() if isinstance(getattr(m, "experts", None), torch.nn.Module)}
    found = len(set_z3_leaf_modules(model, list(classes))) if classes else 0
    if (experts := count_experts(model.config)) and not found:
        raise RuntimeError(f"{type(model).__name__} has {experts} experts but no block that holds them was found")
    return found
