"""The sections of the GPU stages: model, moe, lora, parallel, train."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from acc.recipe.base import Count, Fraction, Positive, Rate, Section


class Rope(Section):
    """RoPE scaling, for sequences beyond the model's native window; every checkpoint's config.json carries it."""

    kind: Literal["yarn", "linear"] = "yarn"
    """Way of scaling, by its name in transformers. Not dynamic, which follows the longest document of a packed sequence."""
    factor: Annotated[float, Field(gt=1)]
    """Longest sequence ÷ native window."""
    native_window: Positive | None = None
    """Window that the model was trained for, tokens; None takes the config's max_position_embeddings."""


class Model(Section):
    """The student: the checkpoint that is fine-tuned, its tokenizer and its chat template."""

    path: str = "embedded:tiny-base"
    """Folder (relative to the recipe), hub id, or embedded:tiny-base, the toy that comes with the package."""
    revision: str | None = None
    """Revision on the hub; None takes the newest."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Type of weights and activations in the forward pass; the optimizer's copy is float32."""
    attention: Literal["auto", "documents_sdpa", "torch_varlen", "flash_attention_2", "flash_attention_3"] = "auto"
    """Attention of packed sequences. auto, with a GPU: FlashAttention where it is installed, else torch's varlen attention
    where torch has it; else SDPA per document."""
    rope: Rope | None = None
    """RoPE scaling; None leaves the model as it is, and sequences beyond its window are refused."""
    trust_remote_code: bool = False
    """Run Python code that comes with the checkpoint."""


class MoE(Section):
    """Mixture of experts; ignored by dense models."""

    experts: Literal["grouped_mm", "batched_mm", "eager"] = "grouped_mm"
    """Implementation of the experts' matrix products."""
    router: Literal["trained", "frozen"] = "trained"
    """Whether the router's weights are trained."""
    router_aux_loss: Rate = 0.0
    """Weight of the load-balancing loss. Only 0: it pools all tokens of a packed sequence, and under sequence parallelism its
    gradient is not exact."""
    log_every_steps: Positive | None = 10
    """Steps between those whose expert load is counted, and logged by layer (largest share, entropy, dead experts), number;
    the first and the last step are too. None for never."""

    @model_validator(mode="after")
    def _no_router_loss(self) -> MoE:
        if self.router_aux_loss:
            raise ValueError(
                "moe.router_aux_loss: the load-balancing loss is not exact under packing and sequence parallelism; leave it 0"
            )
        return self


class Lora(Section):
    """Low-rank adapters instead of full fine-tuning."""

    rank: Positive = 16
    """Rank of the adapters, number."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """Scale: the update is alpha / rank × B·A."""
    targets: list[Literal["attention", "mlp", "experts", "router"]] = Field(default=["attention"], min_length=1)
    """Where adapters go; mlp is that of dense layers."""
    dropout: Fraction = 0.0
    """Dropout in front of the adapters. Only 0 with experts or router, for whose fused parameters PEFT has none."""

    @model_validator(mode="after")
    def _dropout_fits(self) -> Lora:
        if self.dropout and {"experts", "router"} & set(self.targets):
            raise ValueError(
                "lora.dropout must be 0 with the targets experts or router: PEFT has none for fused parameters. Leave it out"
            )
        return self


class Parallel(Section):
    """How one step is split. world = data × sequence; data follows from the number of processes."""

    sequence: Positive = 1
    """Ulysses sequence parallelism: processes that share one sequence, number. It divides the processes and the query heads,
    and divides or is divided by the key-value heads."""
    offload: list[Literal["optimizer", "parameters"]] = Field(default=[])
    """What ZeRO-3 keeps in the host's memory instead of the GPU's."""


class Guard(Section):
    """What a step does whose loss or gradient norm is not a number, or jumps."""

    not_a_number: Literal["stop", "skip"] = "stop"
    """stop: end with the last checkpoint in place; skip: leave the weights as they are, count it, and go on."""
    spike: Literal["ignore", "skip", "stop"] = "ignore"
    """The same for a gradient norm above `spike_factor` × the median of the last `window` steps."""
    spike_factor: Annotated[float, Field(gt=1)] = 10.0
    """How far above the median a spike begins."""
    window: Positive = 50
    """Steps that the median is taken over, number; no spike is seen before so many steps."""
    max_skipped: Positive = 20
    """Skipped steps after which training stops, number."""


class Best(Section):
    """The checkpoint with the best score of an evaluation is kept, whatever is rotated, and named in best.json."""

    score: str
    """Name of the score as in log.jsonl, for example held_out/exact."""
    better: Literal["higher", "lower"] = "higher"
    """Which way is up."""


class Train(Section):
    """Fine-tuning."""

    epochs: Annotated[float, Field(gt=0)] = 1.0
    """Passes over the training samples (of the largest weighted source), number."""
    max_steps: Positive | None = None
    """Stop after so many optimizer steps, number; None: as epochs say."""
    global_batch: Positive = 16
    """Samples per optimizer step with pack.scope step; packed sequences per optimizer step with pack.scope global."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-5
    """Peak learning rate of AdamW."""
    schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    """Learning rate schedule after the warm-up, as in transformers."""
    warmup_steps: Count = 0
    """Steps of linear warm-up, number."""
    weight_decay: Rate = 0.0
    """Decoupled weight decay."""
    betas: Annotated[tuple[Fraction, Fraction], Field(strict=False)] = (0.9, 0.95)
    """AdamW's decay rates of the two moments."""
    max_grad_norm: Rate = 1.0
    """Gradient norm above which gradients are scaled down; 0 for no clipping."""
    loss_reduction: Literal["token", "sample"] = "token"
    """token: every labelled token of a step weighs the same; sample: every sample does, and its tokens share its weight."""
    guard: Guard = Guard()
    """Steps that go wrong."""
    best: Best | None = None
    """Keep the best checkpoint by an evaluation's score."""
    gradient_checkpointing: bool = True
    """Recompute activations in the backward pass."""
    save_every_steps: Positive | None = None
    """Steps between checkpoints, number; None saves at the end of each epoch. The last step is always saved."""
    keep_checkpoints: Positive = 2
    """Checkpoints kept with optimizer state, number; of older ones only the weights stay."""
    keep_weights: Positive | None = None
    """Checkpoints kept with weights, number; None for all. The best one stays beside them, and so does one that is not
    evaluated yet where the recipe evaluates."""
    log_every_steps: Positive = 1
    """Steps between lines of the log, number."""
    report_to: list[str] = Field(default=[])
    """Trackers by their names in transformers (wandb, tensorboard, trackio…); log.jsonl is always written."""

    @model_validator(mode="after")
    def _weights_of_what_has_state(self) -> Train:
        if self.keep_weights is not None and self.keep_weights < self.keep_checkpoints:
            raise ValueError(
                f"train.keep_weights ({self.keep_weights}) is below train.keep_checkpoints ({self.keep_checkpoints}): "
                "a checkpoint with optimizer state has its weights too. Raise one, or lower the other"
            )
        return self


__all__ = ["Best", "Guard", "Lora", "MoE", "Model", "Parallel", "Rope", "Train"]
