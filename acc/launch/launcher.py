"""What a launcher said and the recipe says otherwise.

The recipe decides parallelism, DeepSpeed and precision; whoever starts its processes differently is told so before anything is
computed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, MutableMapping

from acc.errors import UserError, UserErrors
from acc.recipe import Recipe


def check_launcher(recipe: Recipe, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a launch that the recipe disagrees with.

    Raises:
        UserError: the launcher's numbers of processes or machines, or settings of `accelerate launch`, are not the recipe's.
    """
    errors = [*process_disagreements(recipe, environment), *accelerate_disagreements(recipe, environment)]
    if errors:
        raise errors[0] if len(errors) == 1 else UserErrors(errors)


def drop_agreed(environment: MutableMapping[str, str] = os.environ) -> None:
    """Take accelerate's DeepSpeed settings out of the environment, once they are known to say what the recipe says: in process
    accelerate refuses them beside the recipe's own.
    """
    ours = ("ACCELERATE_DEEPSPEED_", "ACCELERATE_CONFIG_DS_FIELDS", "ACCELERATE_GRADIENT_")
    for name in [n for n in environment if n.startswith(ours)]:
        del environment[name]


def check_alone(recipe: Recipe) -> None:
    """Refuse to start, on this machine alone, processes that the recipe has on several.

    Raises:
        UserError: launch.nodes is more than one.
    """
    if recipe.launch.nodes > 1:
        raise UserError(
            f"the recipe trains on {recipe.launch.nodes} machines, and nothing started the others",
            where="launch.nodes",
            mend="Give the run to Slurm with `acc submit`, or start it on each machine with `accelerate launch` or torchrun",
        )


def process_disagreements(recipe: Recipe, environment: Mapping[str, str]) -> Iterator[UserError]:
    """Processes that a launcher has started against launch.nodes × launch.processes, over which pack shares a step."""
    if "WORLD_SIZE" not in environment or "RANK" not in environment:
        return
    launch, world = recipe.launch, int(environment["WORLD_SIZE"])
    planned, local = launch.nodes * launch.processes, int(environment.get("LOCAL_WORLD_SIZE", str(launch.processes)))
    if world != planned:
        yield UserError(
            f"the launcher has {world} process{'es' if world > 1 else ''}, and the recipe's launch.nodes × launch.processes is "
            f"{launch.nodes} × {launch.processes}, over which pack shares a step",
            where="launch.processes",
            mend=f"Start {planned}, or set launch.nodes and launch.processes to what is started",
        )
    elif local != launch.processes:
        yield UserError(
            f"the launcher has {local} process{'es' if local > 1 else ''} on this machine, and launch.processes is "
            f"{launch.processes}",
            where="launch.processes",
            mend=f"Start {launch.processes} on each machine, or set launch.nodes and launch.processes to what is started",
        )


def accelerate_disagreements(recipe: Recipe, environment: Mapping[str, str]) -> Iterator[UserError]:
    """Settings of `accelerate launch` or of its configuration file, which it hands on in variables, that the recipe decides
    otherwise. Its `--use_deepspeed`, `--multi_gpu` and neither are all the same to the recipe.
    """
    said = {name.removeprefix("ACCELERATE_"): value for name, value in environment.items() if name.startswith("ACCELERATE_")}

    def disagrees(theirs: str, ours: str, mend: str) -> UserError:
        return UserError(f"accelerate's settings say {theirs}, and {ours}", where="environment", mend=mend)

    for name, what in (
        ("USE_FSDP", "FSDP"),
        ("USE_MEGATRON_LM", "Megatron-LM"),
        ("USE_PARALLELISM_CONFIG", "parallelism of their own"),
    ):
        if said.get(name, "").lower() == "true":
            yield disagrees(what, "acc trains with ZeRO-3", "Launch with --multi_gpu, with --use_deepspeed, or with neither")
    if (precision := said.get("MIXED_PRECISION", "no")) not in ("no", {"bfloat16": "bf16"}.get(recipe.model.dtype)):
        yield disagrees(f"mixed precision {precision}", f"model.dtype is {recipe.model.dtype}", "Leave --mixed_precision out")
    if (backend := said.get("DYNAMO_BACKEND", "no")).lower() != "no":
        yield disagrees(f"torch.compile with {backend.lower()}", "acc trains without it", "Leave --dynamo_backend out")
    if file := said.get("DEEPSPEED_CONFIG_FILE"):
        ours = "the recipe makes DeepSpeed's settings"
        yield disagrees(f"DeepSpeed's settings are in {file}", ours, "Leave it out; what else is needed goes into deepspeed")
    if (stage := said.get("DEEPSPEED_ZERO_STAGE", "3")) != "3":
        yield disagrees(f"ZeRO stage {stage}", "acc trains with stage 3", "Leave --zero_stage out")
    if (steps := said.get("GRADIENT_ACCUMULATION_STEPS", "1")) not in ("1", "auto"):
        yield disagrees(f"{steps} steps of accumulation", "they follow from train.global_batch", "Leave them out")
    clipping, norm = said.get("GRADIENT_CLIPPING", "auto"), recipe.train.max_grad_norm
    if clipping != "auto" and float(clipping) != norm:
        yield disagrees(
            f"gradients are clipped at {clipping}", f"train.max_grad_norm is {norm}", "Leave --gradient_clipping out"
        )
    for name, part in (("OPTIMIZER", "optimizer"), ("PARAM", "parameters")):
        device = said.get(f"DEEPSPEED_OFFLOAD_{name}_DEVICE")
        offloaded = "cpu" if part in recipe.parallel.offload else "none"
        if device not in (None, offloaded):
            yield disagrees(
                f"{part} offloaded to {device}",
                f"parallel.offload says {offloaded}",
                f"Leave --offload_{name.lower()}_device out, and say it in parallel.offload",
            )
