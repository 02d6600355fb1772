"""The stage: packed sequences and a student in, checkpoints and a log out. Runs in every training process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import TrainerCallback, set_seed

from acc.errors import ExitCode, UserError
from acc.recipe import Recipe
from acc.recipe.policy import check_trackers
from acc.records.sequences import SequenceStore
from acc.stage.manifest import Manifest, is_done
from acc.train.adapters import add_adapters, count_parameters, freeze_router, trainable_by_group
from acc.train.attention import choose_attention
from acc.train.batches import StepLoader
from acc.train.callbacks import stop_on_signal
from acc.train.capabilities import check_capabilities
from acc.train.checkpoints import find_resume
from acc.train.engine import arguments, barrier, is_same_everywhere, processes, set_leaf_modules, uses_zero3, whole_models
from acc.train.half_weights import load_master
from acc.train.key import train_inputs, train_key, train_sections
from acc.train.loading import build_student, load_config
from acc.train.parallel import sizes_of
from acc.train.rope import check_window
from acc.train.sampler import Sampler, make_sampler
from acc.train.trainer import LongContextTrainer
from acc.train.zero_loading import fill

REQUEUE = (
    "stopped after step {step} of {steps}, saved; the exit code {code} means: start again "
    "(torchrun and accelerate launch turn every code into 1)"
)


def train(
    recipe: Recipe,
    packed: Path,
    out: Path,
    callbacks: Sequence[TrainerCallback],
    *,
    optimizer: str,
    scores: Path | None = None,
) -> ExitCode:
    """Train, going on from the newest whole checkpoint in `out`; done already, return at once.

    Args:
        packed: folder of the pack stage.
        callbacks: before training begins, one that has `attach(log, likelihood)` gets the functions that log scores and measure
            the likelihood of answers (`LongContextTrainer.log_scores` and `.likelihood`).
        optimizer: its name in transformers.
        scores: scores.jsonl of the evaluation, whoever writes it.

    Returns:
        OK, or REQUEUE when SIGTERM or SIGUSR1 ended it after a checkpoint.

    Raises:
        UserError: the recipe, the student or the pack does not allow this training, or a source's policy a tracker.
    """
    check_trackers(recipe)
    sizes = sizes_of(recipe.parallel.sequence)
    key = train_key(recipe, packed)
    if is_done(out, key):
        return ExitCode.OK
    store = SequenceStore(packed)
    asked = recipe.train
    sampler = make_sampler(
        recipe.seed, store.steps, global_batch=asked.global_batch, epochs=asked.epochs, max_steps=asked.max_steps
    )
    accumulation = sizes.accumulation(sampler.per_step)
    config = load_config(recipe)
    check_capabilities(config)
    check_window(config, store.longest_document)
    sizes.check_heads(config.num_attention_heads, config.num_key_value_heads)
    attention = choose_attention(recipe.model.attention, recipe.model.dtype)
    out.mkdir(parents=True, exist_ok=True)
    with processes(recipe, sizes):
        if not is_same_everywhere(key):
            raise UserError(
                "the processes of this launch have different recipes or packs",
                where=str(packed),
                mend="Let all nodes read one shared folder, end what is left of an earlier launch, and start again",
            )
        resume = find_resume(out, key, sizes)
        source, revision = (str(resume.folder), None) if resume and not recipe.lora else (recipe.student, recipe.model.revision)
        args = arguments(
            recipe, sizes, out, attention=attention, accumulation=accumulation, steps=sampler.steps, optimizer=optimizer
        )
        # One process keeps float32 weights and casts as it goes; ZeRO-3 keeps its own float32 copy.
        half = recipe.model.dtype == "bfloat16" and uses_zero3(recipe, sizes)
        with whole_models():
            model = build_student(recipe, config, attention=attention, dtype=torch.bfloat16 if half else torch.float32)
        freeze_router(recipe, model)
        adapted = add_adapters(recipe, model)
        trainable, parameters = count_parameters(adapted)
        if sizes.rank == 0:
            groups = ", ".join(f"{group} {n:,}" for group, n in trainable_by_group(adapted).items())
            print(
                f"training {trainable:,} of {parameters:,} parameters ({groups}) with {attention}: {sampler.steps} steps of "
                f"{sampler.per_step} sequences, {sizes.data} data × {sizes.sequence} sequence processes, "
                f"{accumulation} micro-batches each",
                flush=True,
            )
        if zero3 := uses_zero3(recipe, sizes):
            set_leaf_modules(model)
        set_seed(args.seed)
        saved = resume.folder if resume and recipe.lora else None
        fill(adapted, source, sizes, zero3=zero3, revision=revision, adapters=saved, seed=recipe.seed)
        if resume and resume.exact:
            load_master(adapted, resume.folder)
        with stop_on_signal() as stop:
            loader = StepLoader(store, sampler, sizes)
            trainer = LongContextTrainer(
                recipe,
                adapted,
                args,
                loader=loader,
                stop=stop,
                resume=resume,
                key=key,
                out=out,
                scores=scores,
                callbacks=list(callbacks),
            )
            for callback in callbacks:
                if hasattr(callback, "attach"):
                    callback.attach(trainer.log_scores, trainer.likelihood)
            if resume is None or resume.step < sampler.steps:
                trainer.check_disk()
                # The student is cut and in place; what callbacks load from now on, to evaluate it, is theirs and whole.
                with whole_models():
                    trainer.train(resume_from_checkpoint=str(resume.folder) if resume and resume.exact else None)
                if (step := trainer.state.global_step) < sampler.steps:
                    if sizes.rank == 0:
                        print(REQUEUE.format(step=step, steps=sampler.steps, code=ExitCode.REQUEUE), flush=True)
                    return ExitCode.REQUEUE
        counts = {
            "steps": sampler.steps,
            "parameters": parameters,
            "trainable_parameters": trainable,
            "skipped_steps": trainer.guard.skipped,
        }
        if sizes.rank == 0:
            _manifest(recipe, packed, key, store, sampler, counts).write(out)
        barrier()
    return ExitCode.OK


def _manifest(
    recipe: Recipe, packed: Path, key: str, store: SequenceStore, sampler: Sampler, counts: dict[str, int]
) -> Manifest:
    """Records are visits of sequences; planned steps beyond train.max_steps are the rejected ones."""
    trained = sampler.steps * sampler.per_step
    left_out = max(0, len(store) - trained) if sampler.table else 0
    return Manifest(
        stage="train",
        key=key,
        seed=recipe.seed,
        recipe=train_sections(recipe),
        inputs=train_inputs(packed),
        records=trained + left_out,
        written=trained,
        rejected={"after_max_steps": left_out} if left_out else {},
        counts=counts,
    )
