"""One-line mutations of loss, attention and sampler, each of which a named test must notice.

The tree is copied; in the copy each mutation is applied in turn, its test is run and must fail, and the line is put back.
Before that all named tests must pass in the copy as it is.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("acc", "tests", "scripts", "recipes", "pyproject.toml")
AT_ONCE = 2
"""Mutations tested at the same time."""
SERVER = multiprocessing.get_context("forkserver")
LIBRARIES = [
    "pytest",
    "torch",
    "transformers.trainer",
    "transformers.models.qwen3_moe.modeling_qwen3_moe",
    "peft",
    "accelerate",
]
FAILED = 1
"""pytest's exit code when tests ran and failed; others mean that it found or could run none."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """`old`, found once in the file, becomes `new`; `test` must then fail."""

    file: str
    old: str
    new: str
    test: str


ORDER = "train/test_training_order.py::"
LOSS = "train/test_loss.py::"
ATTENTION = "train/test_attention.py::"
REDUCTION = "train/test_reductions.py::test_loss_and_every_update_are_those_of_the_reference"
TRAINING = "train/test_training.py::"
PLAN = "pack/test_plan.py::"
PARITY = "train/test_parity.py::test_however_it_is_split_it_is_the_same_training"
PARTS_ARE_WHOLE = f"{ORDER}test_the_parts_of_a_sequence_are_the_sequence"
RANKS_READ = f"{ORDER}test_every_sequence_goes_to_one_data_rank_and_all_of_its_sequence_ranks"
FULL_LOGITS = f"{LOSS}test_losses_and_gradients_are_those_of_the_full_logits"

MUTATIONS = [
    # The loss.
    Mutation(
        "acc/train/loss.py",
        "F.pad(labels[..., 1:], (0, 1), value=IGNORE)",
        "F.pad(labels[..., :-1], (1, 0), value=IGNORE)",
        PARTS_ARE_WHOLE,
    ),
    Mutation("acc/train/loss.py", "targets.ne(IGNORE).nonzero()[:, 0]", "targets.ne(IGNORE).nonzero()[:-1, 0]", FULL_LOGITS),
    Mutation(
        "acc/train/loss.py",
        "return kept if len(kept) else kept.new_zeros(1)",
        "return kept",
        f"{LOSS}test_a_part_without_labels_gives_nothing_and_reaches_every_parameter",
    ),
    Mutation("acc/train/loss.py", 'reduction == "sample" else labelled', 'reduction == "none" else labelled', REDUCTION),
    Mutation(
        "acc/train/loss.py",
        'sum(int(b["targets"].ne(IGNORE).sum()) for b in batches)',
        'int(batches[0]["targets"].ne(IGNORE).sum()) * len(batches)',
        REDUCTION,
    ),
    Mutation("acc/train/loss.py", 'sum(int(b["labelled_samples"]) for b in batches)', "len(batches)", REDUCTION),
    Mutation(
        "acc/train/loss.py",
        "return 0 if sequence_rank else sum(",
        "return sum(",
        "train/test_reductions.py::test_a_sample_weighs_one_however_it_is_cut",
    ),
    Mutation(
        "acc/train/loss.py", "hidden.to(ctx.dtype).split(CHUNK)", "hidden.to(ctx.dtype).flip(0).split(CHUNK)", FULL_LOGITS
    ),
    Mutation("acc/train/loss.py", 'reduction="none")', 'reduction="none", label_smoothing=0.1)', FULL_LOGITS),
    Mutation(
        "acc/train/loss.py",
        "if len(head.targets) > CHUNK:",
        "if len(head.targets) > 99 * CHUNK:",
        f"{LOSS}test_no_tensor_of_sequence_times_vocabulary",
    ),
    Mutation("acc/train/loss.py", "y.clamp(min=0)] -= 1", "y.clamp(min=0)] -= 0", FULL_LOGITS),
    Mutation("acc/train/loss.py", "to_weight += scaled.T @ h", "to_weight = scaled.T @ h", FULL_LOGITS),
    Mutation(
        "acc/train/loss.py",
        "torch.zeros_like(weight, dtype=exact)",
        "torch.zeros_like(weight)",
        f"{LOSS}test_the_heads_gradient_is_as_exact_in_many_chunks_as_in_one",
    ),
    Mutation(
        "acc/train/loss.py",
        "F.linear(hidden, weight, bias).float()",
        "F.linear(hidden, weight).float()",
        f"{LOSS}test_a_bias_and_adapters_get_the_gradients_of_the_full_logits",
    ),
    Mutation(
        "acc/train/loss.py",
        "if not torch.equal(head.losses, losses.detach()):",
        "if losses.isnan().any():",
        f"{LOSS}test_a_model_that_scales_its_logits_is_refused",
    ),
    Mutation("acc/train/trainer.py", "(losses * weights).sum()", "(losses * weights).mean()", REDUCTION),
    Mutation("acc/train/trainer.py", "num_items_in_batch.clamp(min=1)", "max(1, len(kept))", REDUCTION),
    Mutation("acc/train/trainer.py", 'documents_at(inputs["bounds"])', 'documents_at(inputs["bounds"][[0, -1]])', REDUCTION),
    Mutation("acc/train/trainer.py", "* self.sizes.world)", ")", PARITY),
    Mutation(
        "acc/train/trainer.py",
        "return reduce_sum(torch.tensor(weight, device=device))",
        "return torch.tensor(weight, device=device)",
        PARITY,
    ),
    # What the processes get.
    Mutation("acc/train/batches.py", "pad = -length % sizes.sequence", "pad = 0", PARTS_ARE_WHOLE),
    Mutation("acc/train/batches.py", "tail = torch.arange(pad)", "tail = torch.arange(pad) + length", PARTS_ARE_WHOLE),
    Mutation("acc/train/batches.py", "torch.full_like(tail, IGNORE)", "torch.zeros_like(tail)", PARTS_ARE_WHOLE),
    Mutation("acc/train/batches.py", "start = sizes.sequence_rank * part", "start = 0", PARTS_ARE_WHOLE),
    Mutation(
        "acc/train/batches.py", 'bounds_of(whole["position_ids"])', 'bounds_of(batch["position_ids"][0])', PARTS_ARE_WHOLE
    ),
    Mutation("acc/train/batches.py", "sharers[of].clamp(min=1)", "torch.ones_like(of)", REDUCTION),
    Mutation("acc/train/batches.py", "[self.sizes.data_rank :: self.sizes.data]", "[:: self.sizes.data]", RANKS_READ),
    Mutation("acc/train/batches.py", "range(self.first_step(), self.sampler.steps)", "range(self.sampler.steps)", RANKS_READ),
    Mutation(
        "acc/train/batches.py",
        "if self.sampler.table:",
        "if self.sampler.steps:",
        f"{ORDER}test_a_global_packs_step_is_shared_out_evenly_and_stays_the_same_step",
    ),
    Mutation("acc/train/parallel.py", "return self.rank // self.sequence", "return self.rank % self.data", RANKS_READ),
    Mutation(
        "acc/train/parallel.py",
        "if sequences_per_step % self.data:",
        "if sequences_per_step % self.sequence:",
        f"{ORDER}test_sequences_of_a_step_must_be_shared_evenly",
    ),
    Mutation(
        "acc/records/sequences.py",
        "kept[:1] = IGNORE",
        "kept[:0] = IGNORE",
        "records/test_sequences.py::test_the_first_token_of_a_document_is_never_predicted",
    ),
    # Attention.
    Mutation("acc/train/attention.py", "is_causal=True", "is_causal=False", REDUCTION),
    Mutation(
        "acc/train/attention.py",
        "lengths = _documents(query, attention_mask, position_ids, documents, others).lengths",
        "lengths = [query.shape[2]]",
        f"{ATTENTION}test_packed_is_separate",
    ),
    Mutation(
        "acc/train/attention.py",
        "documents is None or documents.length != length:",
        "documents is None:",
        f"{ATTENTION}test_documents_of_another_sequence_are_refused",
    ),
    Mutation(
        "acc/train/attention.py",
        "if others.get(name) is not None:",
        "if others.get(name) is True:",
        f"{ATTENTION}test_a_sliding_window_is_refused_and_not_ignored",
    ),
    Mutation(
        "acc/train/attention.py",
        "kernel(q, k, v, found, scaling, dropout)",
        "kernel(q, k, v, found, None, dropout)",
        f"{ATTENTION}test_kernels_get_what_makes_them_the_same_attention",
    ),
    Mutation(
        "acc/train/documents.py",
        "position_ids[1:].eq(0)",
        "position_ids[1:].eq(1)",
        f"{ATTENTION}test_documents_are_found_where_positions_begin_anew",
    ),
    Mutation(
        "acc/train/canary.py",
        "if reduce_sum(torch.tensor(len(wrong), device=device)):",
        "if len(wrong) > 3:",
        "train/test_canary.py::test_attention_that_ignores_documents_is_refused",
    ),
    Mutation(
        "acc/train/canary.py",
        "if not found <= limit]",
        "if found > limit]",
        "train/test_canary.py::test_numbers_that_are_none_are_refused",
    ),
    # The order.
    Mutation(
        "acc/train/sampler.py",
        "first = step * self.per_step",
        "first = step * self.per_step + step",
        f"{ORDER}test_global_order_is_a_new_permutation_each_epoch_without_a_gap",
    ),
    Mutation(
        "acc/train/sampler.py",
        "self.seed, i // self.sequences, self.sequences",
        "self.seed, 0, self.sequences",
        f"{ORDER}test_global_order_is_a_new_permutation_each_epoch_without_a_gap",
    ),
    Mutation(
        "acc/train/sampler.py",
        "permutation(self.seed, i",
        "permutation(0, i",
        f"{ORDER}test_a_step_asked_alone_is_the_step_reached",
    ),
    Mutation(
        "acc/train/sampler.py",
        "self.table[step % len(self.table)]",
        "self.table[-1 - step % len(self.table)]",
        f"{ORDER}test_planned_steps_are_followed",
    ),
    Mutation(
        "acc/train/sampler.py",
        "if len(sizes) > 1:",
        "if len(sizes) > 2:",
        f"{ORDER}test_steps_of_different_size_are_refused",
    ),
    Mutation(
        "acc/pack/plan.py",
        "per_step = -(-max(map(len, packed)) // data_parallel) * data_parallel",
        "per_step = max(map(len, packed))",
        f"{PLAN}test_a_step_holds_exactly_its_samples_in_a_fixed_number_of_sequences",
    ),
    Mutation(
        "acc/pack/plan.py",
        "held[i] or [filler]) for",
        "held[slot] or [filler]) for",
        f"{PLAN}test_neighbours_in_cost_share_a_micro_batch",
    ),
    Mutation(
        "acc/records/balance.py",
        "key=lambda i: -int(costs[i]))",
        "key=lambda i: -i)",
        f"{PLAN}test_micro_batches_hold_sequences_alike_in_cost_and_ranks_get_as_much",
    ),
    # What the log says of it.
    Mutation(
        "acc/train/counts.py",
        "self._sums.zero_()",
        "self._sums.abs_()",
        f"{TRAINING}test_the_log_has_a_line_a_step_with_counts_by_source",
    ),
    Mutation("acc/train/counts.py", "losses.double() * weights.double()", "losses.double()", REDUCTION),
]


def prove() -> bool:
    """Whether the tests pass as they are, and each mutation turns its test red."""
    SERVER.set_forkserver_preload(LIBRARIES)
    begin, free = time.monotonic(), SimpleQueue[Path]()
    with tempfile.TemporaryDirectory() as name:
        for n in range(AT_ONCE):
            free.put(_copy(Path(name) / str(n)))
        tree = free.get()
        code, output = _test(tree, sorted({m.test for m in MUTATIONS}))
        free.put(tree)
        if code:
            print(f"  without a mutation the tests do not pass:\n{output[-3000:]}")
            return False

        def noticed(mutation: Mutation) -> bool:
            tree = free.get()
            try:
                return _is_noticed(tree, mutation)
            finally:
                free.put(tree)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            killed = list(pool.map(noticed, MUTATIONS))
    print(f"  {sum(killed)} of {len(killed)} mutations noticed, in {(time.monotonic() - begin) / 60:.0f} minutes")
    return all(killed)


def _is_noticed(tree: Path, mutation: Mutation) -> bool:
    path = tree / mutation.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.old) != 1:
        print(f"  {mutation.file}: {mutation.old!r} is there {text.count(mutation.old)} times, not once", flush=True)
        return False
    path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        code, output = _test(tree, [mutation.test])
    finally:
        path.write_text(text, encoding="utf-8")
    said = "noticed" if code == FAILED else "NOT NOTICED" if code == 0 else f"pytest ended with {code}: {output[-500:]}"
    print(f"  {mutation.file}: {mutation.new}: {said} by {mutation.test.rpartition('::')[2]}", flush=True)
    return code == FAILED


def _test(tree: Path, tests: list[str]) -> tuple[int, str]:
    """Exit code and output of pytest in a copy: in a process forked from one that has imported the libraries already."""
    output = tree / "output.txt"
    child = SERVER.Process(target=_run_pytest, args=(tree, output, [f"tests/{test}" for test in tests]))
    child.start()
    child.join()
    return child.exitcode if child.exitcode is not None else -1, output.read_text(encoding="utf-8", errors="replace")


def _run_pytest(tree: Path, output: Path, tests: list[str]) -> None:
    out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.chdir(tree)
    sys.path.insert(0, str(tree))
    # The package's hook for recipes imported acc, from the working tree, when Python started.
    for name in [name for name in sys.modules if name.partition(".")[0] == "acc"]:
        del sys.modules[name]
    # A mutation takes less than the second in which Python would not see that its bytecode is old.
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    import pytest
    import torch

    torch.set_num_threads(1)
    os._exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests])))


def _copy(folder: Path) -> Path:
    folder.mkdir()
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, folder / part)
    return folder
