"""What the recipe's raw `deepspeed:` section may not set: what acc derives, and what would make loss or sizes wrong."""

from __future__ import annotations

from typing import Any

SIZES = "sizes follow from train.global_batch, parallel.sequence and the number of processes"
PRECISION = "the precision is model.dtype"
SCALE = "it changes the scale of the gradients that the loss is averaged with"
TRAIN = "the optimizer and its schedule are those of the section train"
TRACKERS = "trackers are named in train.report_to, where the sources' policies are checked"
PARALLEL = "acc splits a step by data and by sequence only"
DATA = "which tokens a step sees is decided by pack and the sampler"
SAVING = "a checkpoint would lack what resuming and from_pretrained need"
STEP = "it takes the optimizer step in another way than the one whose loss, norm and skipped steps acc looks after"

REFUSED = {
    "train_batch_size": SIZES,
    "train_micro_batch_size_per_gpu": SIZES,
    "gradient_accumulation_steps": SIZES,
    "managed_gradient_accumulation": SIZES,
    "sequence_parallel_size": SIZES,
    "gradient_clipping": "it is train.max_grad_norm",
    "bf16": PRECISION,
    "bfloat16": PRECISION,
    "fp16": PRECISION,
    "torch_autocast": PRECISION,
    "prescale_gradients": SCALE,
    "gradient_predivide_factor": SCALE,
    "gradient_allreduce_op": SCALE,
    "disable_allgather": SCALE,
    "optimizer": TRAIN,
    "scheduler": TRAIN,
    "tensorboard": TRACKERS,
    "wandb": TRACKERS,
    "comet": TRACKERS,
    "csv_monitor": TRACKERS,
    "pipeline": PARALLEL,
    "tensor_parallel": PARALLEL,
    "expert_parallel": PARALLEL,
    "use_data_before_expert_parallelism": PARALLEL,
    "hybrid_engine": PARALLEL,
    "data_efficiency": DATA,
    "weight_quantization": "the checkpoint's weights would not be the trained ones",
    "checkpoint.load_universal": SAVING,
    "zero_optimization.stage3_gather_16bit_weights_on_model_save": SAVING,
    "zero_optimization.gather_16bit_weights_on_model_save": SAVING,
    "zero_optimization.stage3_gather_fp16_weights_on_model_save": SAVING,
    "zero_optimization.stage": "only stage 3 gives gradients of the right scale under sequence parallelism",
    "zero_optimization.reduce_scatter": "without it gradients come out about twice too large under sequence parallelism",
    "zero_optimization.zenflow": STEP,
    "zero_optimization.offload_optimizer.super_offload": STEP,
    "zero_optimization.offload_optimizer.ratio": STEP,
}
"""Setting → why not."""

ALLOWED = {"zero_optimization.stage": 3, "zero_optimization.reduce_scatter": True}
"""Values of refused settings that change nothing."""


def check_refused(section: dict[str, Any]) -> dict[str, Any]:
    """The section, if it sets nothing that acc can't allow.

    Raises:
        ValueError: it does; the message has a line for each setting.
    """
    found = [
        f"deepspeed.{name} can't be set here: {reason}. Leave it out"
        for name, reason in REFUSED.items()
        if (value := _value(section, name)) is not None and ALLOWED.get(name) != value
    ]
    if found:
        raise ValueError("\n".join(found))
    return section


def _value(section: Any, name: str) -> Any:
    """The value at a dotted name, or None."""
    for key in name.split("."):
        section = section.get(key) if isinstance(section, dict) else None
    return section


__all__ = ["check_refused"]
