"""Generation with transformers in process, for models small enough to sit beside the training: batched, with a KV cache.

A batch is padded on the left, with an attention mask and positions that count from each prompt's first token, so a row's
tokens are those that the model generates for it alone (up to rounding). The gold answer's likelihood comes from a copy of the
same cache: the prompt, which is nearly all of the work, is read once.
"""

from __future__ import annotations

import copy
import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache
from transformers.integrations import deepspeed as hf_deepspeed
from transformers.utils import logging as hf_logging

from acc.errors import UserError
from acc.evaluate.questions import Answer, Question
from acc.records.adapters import BASE
from acc.stage.seeds import seed_for

MAX_PARAMETERS = 3_000_000_000
"""The largest model generated from in process: 12 GB in float32."""
MAX_ELEMENTS = 2**28
"""Largest temporary tensor of a batch (its attention mask, its target's logits), elements; 1 GiB in float32."""


class InProcess:
    """A checkpoint that answers questions in this process (a `Backend`).

    Args:
        checkpoint: a folder, or a hub id.
        stop_id: the token that ends a turn.
        decode: token ids → text with control tokens.
        batch_tokens: longest batch of prompts, tokens with padding; a longer prompt goes alone.
        device: where it runs; None takes this process's GPU, or the CPU.
        temperature: 0 is greedy.
        seed: of sampling; a row's draws depend on it and the row alone.

    Raises:
        UserError: the checkpoint is not there, too large, or not whole.
    """

    def __init__(
        self,
        checkpoint: str,
        *,
        stop_id: int,
        decode: Callable[[list[int]], str],
        batch_tokens: int = 65_536,
        revision: str | None = None,
        trust_remote_code: bool = False,
        device: torch.device | None = None,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.stop_id, self.decode, self.batch_tokens = stop_id, decode, batch_tokens
        self.temperature, self.seed = temperature, seed
        self.device = device or _device()
        options = {"revision": revision, "trust_remote_code": trust_remote_code}
        self._model = _load(checkpoint, options).to(self.device).eval()
        config = self._model.config.get_text_config()
        self.scores_targets = True
        self.window: int = config.max_position_embeddings
        """Longest prompt and answer together, tokens."""
        self._vocab: int = config.vocab_size
        self.fingerprint = _fingerprint(self._model)
        """Hash of the weights: another checkpoint never inherits this one's answers."""

    def answer(self, questions: Sequence[Question]) -> Iterator[list[tuple[Question, Answer]]]:
        """Answer questions, the shortest first; yields each batch as soon as it is done."""
        for batch in batches(questions, self.batch_tokens, self._vocab):
            yield list(zip(batch, self._answer(batch), strict=True))

    def close(self) -> None:
        """Give the memory back."""
        del self._model
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _answer(self, batch: list[Question]) -> list[Answer]:
        longest = max(len(q.prompt) for q in batch)
        pads = [longest - len(q.prompt) for q in batch]
        # A pad is any id: it is masked, and its position is never read.
        ids = self._tensor([[0] * pad + list(q.prompt) for pad, q in zip(pads, batch, strict=True)])
        mask = (torch.arange(longest, device=self.device) >= self._tensor(pads)[:, None]).long()
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        cache = DynamicCache(config=self._model.config)
        out = self._forward(ids, mask, positions, cache, last_only=True)
        losses = (
            self._likelihoods(batch, mask, copy.deepcopy(cache), out) if any(q.target for q in batch) else [None] * len(batch)
        )
        generated, stopped = self._decode(batch, mask, cache, out[:, -1])
        return [
            Answer(self.decode(ids), len(ids), "stop" if stop else "length", nll=nll)
            for ids, stop, nll in zip(generated, stopped, losses, strict=True)
        ]

    def _decode(
        self, batch: list[Question], mask: torch.Tensor, cache: DynamicCache, logits: torch.Tensor
    ) -> tuple[list[list[int]], list[bool]]:
        """Decode from the prompts' cache. `logits` [batch, vocabulary] are those of the last prompt token."""
        draws = [self._generator(q) for q in batch]
        generated: list[list[int]] = [[] for _ in batch]
        stopped = [False] * len(batch)
        position = mask.sum(1)
        while True:
            tokens = self._pick(logits, draws)
            for i, token in enumerate(tokens.tolist()):
                if not stopped[i] and len(generated[i]) < batch[i].max_new_tokens:
                    stopped[i] = token == self.stop_id
                    if not stopped[i]:
                        generated[i].append(token)
            if all(s or len(g) >= q.max_new_tokens for s, g, q in zip(stopped, generated, batch, strict=True)):
                return generated, stopped
            mask = torch.cat([mask, mask.new_ones(len(batch), 1)], dim=1)
            logits = self._forward(tokens[:, None], mask, position[:, None], cache, last_only=True)[:, -1]
            position = position + 1

    def _likelihoods(
        self, batch: list[Question], mask: torch.Tensor, cache: DynamicCache, last: torch.Tensor
    ) -> list[float | None]:
        """Mean NLL of each row's scored target tokens. `last` [batch, 1, vocabulary] predicts the target's first token."""
        longest = max(len(q.target) for q in batch)
        targets = self._tensor([list(q.target) + [0] * (longest - len(q.target)) for q in batch])
        # Padding on the right needs no mask: no scored token comes after it.
        grown = torch.cat([mask, mask.new_ones(len(batch), longest)], dim=1)
        positions = mask.sum(1, keepdim=True) + torch.arange(longest, device=self.device)
        logits = self._forward(targets, grown, positions, cache, last_only=False)
        logits = torch.cat([last, logits[:, :-1]], dim=1)
        losses: list[float | None] = []
        for i, question in enumerate(batch):
            start, end = question.scored
            loss = torch.nn.functional.cross_entropy(logits[i, start:end].float(), targets[i, start:end])
            losses.append(float(loss) if end > start else None)
        return losses

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache, *, last_only: bool
    ) -> torch.Tensor:
        """Logits [batch, 1 or tokens, vocabulary]; the cache grows by the tokens."""
        out = self._model(
            input_ids=ids,
            # Without padding there is nothing to mask but the future, which attention does faster by itself.
            attention_mask=None if bool(mask.all()) else mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1 if last_only else 0,
        )
        logits: torch.Tensor = out.logits
        return logits

    def _pick(self, logits: torch.Tensor, draws: list[torch.Generator]) -> torch.Tensor:
        """The next token of each row, [batch]. argmax of logits / T plus Gumbel noise is a draw from softmax(logits / T)."""
        if not self.temperature:
            return logits.argmax(-1)
        uniform = torch.stack([torch.rand(logits.shape[-1], generator=g, dtype=torch.float64) for g in draws])
        noise = -torch.log(-torch.log(uniform.clamp(min=1e-300)))
        return (logits.double() / self.temperature + noise.to(self.device)).argmax(-1)

    def _generator(self, question: Question) -> torch.Generator:
        seed = seed_for(self.seed, "generate", question.row, question.condition)
        return torch.Generator().manual_seed(seed)

    def _tensor(self, values: list[Any]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long, device=self.device)


def batches(questions: Sequence[Question], batch_tokens: int, vocabulary: int) -> Iterator[list[Question]]:
    """Cut questions, sorted by length, into batches within `batch_tokens` and `MAX_ELEMENTS`, of one question at least."""

    def size(batch: list[Question]) -> bool:
        rows, longest = len(batch), max(len(q.prompt) for q in batch)
        target = max(len(q.target) for q in batch)
        return rows * longest <= batch_tokens and rows * max(longest**2, (target + 1) * vocabulary) <= MAX_ELEMENTS

    batch: list[Question] = []
    for question in sorted(questions, key=lambda q: (len(q.prompt), q.row, q.condition)):
        if batch and not size([*batch, question]):
            yield batch
            batch = []
        batch.append(question)
    if batch:
        yield batch


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def _load(checkpoint: str, options: dict[str, Any]) -> Any:
    """The model in float32 with stock attention, every weight from the checkpoint."""
    with _without_zero3(), _without_progress_bars():
        try:
            base = Path(checkpoint) / BASE
            config = AutoConfig.from_pretrained(base if base.is_dir() else checkpoint, **options)
            with torch.device("meta"):
                empty = AutoModelForCausalLM.from_config(config, trust_remote_code=options["trust_remote_code"])
            _refuse_large(checkpoint, sum(p.numel() for p in empty.parameters()))
            model, found = AutoModelForCausalLM.from_pretrained(
                checkpoint, config=config, dtype=torch.float32, attn_implementation="sdpa", output_loading_info=True, **options
            )
        except (OSError, ValueError) as e:
            reason = str(e).split("\n")[0].rstrip(".")
            raise UserError(f"the checkpoint cannot be loaded ({reason})", where=checkpoint) from e
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if found[kind]:
            names = sorted(map(str, found[kind]))
            raise UserError(
                f"{len(names)} {kind.replace('_', ' ')} in the weights ({names[0]} first): this would not be the trained model",
                where=checkpoint,
                mend="Take a whole checkpoint of the architecture that its config.json names",
            )
    return model


def _refuse_large(checkpoint: str, parameters: int) -> None:
    if parameters > MAX_PARAMETERS:
        raise UserError(
            f"the model has {parameters / 1e9:.1f}B parameters, too many to generate from in process "
            f"(at most {MAX_PARAMETERS // 10**9}B)",
            where=checkpoint,
            mend="Leave out evaluate.held_out and evaluate.benchmarks, answer with a server and use `acc grade`",
        )


@contextmanager
def _without_zero3() -> Iterator[None]:
    """Inside a ZeRO-3 training process transformers would cut every model that it loads into shards: not this one."""
    reference = hf_deepspeed._hf_deepspeed_config_weak_ref
    config = reference() if reference is not None else None
    hf_deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if config is not None:
            hf_deepspeed.set_hf_deepspeed_config(config)


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    """No bar for every checkpoint and process amid the training's own output."""
    shown = hf_logging.is_progress_bar_enabled()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()


def _fingerprint(model: Any) -> str:
    """Hash of names and values of all weights."""
    found = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().view(torch.uint8).numpy())
    return found.hexdigest()[:32]
