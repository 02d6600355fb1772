"""Generation with transformers in process, for models small enough to sit beside the training: batched, with a KV cache.

A batch is padded on the left, with an attention mask and positions that count from each prompt's first token, so a row's
tokens are those that the model generates for it alone (up to rounding). A prompt is read once, in pieces: several answers to
it, and the likelihood of the gold answer, begin at copies of the same cache.
"""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import DynamicCache

from acc.evaluate.loading import fingerprint_of, load_whole
from acc.evaluate.questions import Answer, Question
from acc.evaluate.sampling import Sampler

MAX_ELEMENTS = 2**28
"""Largest temporary tensor (an attention mask, logits), elements; 1 GiB in float32."""


class InProcess:
    """A checkpoint that answers questions in this process (a `Backend`).

    Args:
        checkpoint: a folder, or a hub id.
        stop_id: the token that ends a turn.
        decode: token ids → text with control tokens.
        batch_tokens: longest batch of prompts, tokens with padding, several answers to one counted each; a longer prompt goes
            alone, and its answers one after the other.
        prefill_tokens: of a batch of prompts read at once, tokens.
        device: where it runs; None takes this process's GPU, or the CPU.
        temperature, top_p, top_k, seed: as `Sampler` takes them.

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
        prefill_tokens: int = 8_192,
        revision: str | None = None,
        trust_remote_code: bool = False,
        device: torch.device | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        top_k: int = 0,
        seed: int = 0,
    ) -> None:
        self.stop_id, self.decode = stop_id, decode
        self.batch_tokens, self.prefill_tokens = batch_tokens, prefill_tokens
        self.sampler = Sampler(temperature, top_p, top_k, seed)
        self.device = device or _device()
        self._model = load_whole(checkpoint, {"revision": revision, "trust_remote_code": trust_remote_code})
        self._model = self._model.to(self.device).eval()
        config = self._model.config.get_text_config()
        self.scores_targets = True
        self.window: int = config.max_position_embeddings
        """Longest prompt and answer together, tokens."""
        self._vocabulary: int = config.vocab_size
        self.fingerprint = fingerprint_of(self._model)
        """Hash of the weights: another checkpoint never inherits this one's answers."""

    def answer(self, questions: Sequence[Question]) -> Iterator[list[tuple[Question, Answer]]]:
        """Answer questions, the shortest first; yields each batch as soon as it is done.

        An answer's `seconds` are an even share of its batch's.
        """
        for batch in batches(questions, self.batch_tokens, self._vocabulary):
            yield self._answer(batch)

    def close(self) -> None:
        """Give the memory back."""
        del self._model
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @torch.inference_mode()
    def _answer(self, batch: list[list[Question]]) -> list[tuple[Question, Answer]]:
        begun = time.perf_counter()
        prompts = [group[0].prompt for group in batch]
        longest = max(map(len, prompts))
        pads = [longest - len(p) for p in prompts]
        # A pad is any id: it is masked, and its position is never read.
        ids = self._tensor([[0] * pad + list(p) for pad, p in zip(pads, prompts, strict=True)])
        mask = (torch.arange(longest, device=self.device) >= self._tensor(pads)[:, None]).long()
        cache = DynamicCache(config=self._model.config)
        for piece in self._read(ids, mask, cache):
            last = piece
        targets = [next((q for q in group if q.scored[1] > q.scored[0]), group[0]) for group in batch]
        losses = self._likelihoods(targets, mask, cache, last)
        answered = list[tuple[Question, list[int], bool, float | None]]()
        wanted = [(row, question) for row, group in enumerate(batch) for question in group]
        at_once = max(1, self.batch_tokens // longest)
        for start in range(0, len(wanted), at_once):
            part = wanted[start : start + at_once]
            generated = self._generate(part, mask, cache, last[:, -1])
            answered += [(q, *g, losses[row] if q.target else None) for (row, q), g in zip(part, generated, strict=True)]
        share = (time.perf_counter() - begun) / len(wanted)
        return [
            (q, Answer(self.decode(ids), len(ids), "length" if cut else "stop", nll=nll, seconds=share))
            for q, ids, cut, nll in answered
        ]

    def _generate(
        self, asked: list[tuple[int, Question]], mask: torch.Tensor, cache: DynamicCache, logits: torch.Tensor
    ) -> list[tuple[list[int], bool]]:
        """Go on from the prompts' cache, which stays as it is: of each question the tokens, and whether they were cut.

        Args:
            asked: (row of the cache, question).
            mask: [prompts, longest prompt], 0 at padding.
            logits: [prompts, vocabulary] of the last prompt token.
        """
        draws = [self.sampler.draws(q) for _, q in asked]
        generated: list[list[int]] = [[] for _ in asked]
        cut = [False] * len(asked)
        going = {i for i, (_, q) in enumerate(asked) if q.max_new_tokens}
        running = sorted(going)
        if running:
            rows = self._tensor([asked[i][0] for i in running])
            cache, mask, logits = _taken(cache, rows), mask[rows], logits[rows]
        while going:
            if 2 * len(going) <= len(running):  # a row that is done costs as much as one that is not
                rows = self._tensor([row for row, i in enumerate(running) if i in going])
                running = sorted(going)
                cache, mask, logits = _taken(cache, rows), mask[rows], logits[rows]
            tokens = self.sampler.pick(logits, [draws[i] for i in running])
            for i, token in zip(running, tokens.tolist(), strict=True):
                if i not in going:
                    continue
                if token != self.stop_id:
                    generated[i].append(token)
                cut[i] = token != self.stop_id and len(generated[i]) == asked[i][1].max_new_tokens
                if token == self.stop_id or cut[i]:
                    going.remove(i)
            if going:
                mask = torch.cat([mask, mask.new_ones(len(running), 1)], dim=1)
                logits = next(self._read(tokens[:, None], mask, cache))[:, -1]
        return list(zip(generated, cut, strict=True))

    def _likelihoods(
        self, batch: list[Question], mask: torch.Tensor, cache: DynamicCache, last: torch.Tensor
    ) -> list[float | None]:
        """Mean NLL of each row's scored target tokens. `last` [rows, 1, vocabulary] predicts the target's first token."""
        ends = [q.scored[1] for q in batch]
        if not (longest := max(ends)):
            return [None] * len(batch)
        targets = self._tensor([list(q.target[:end]) + [0] * (longest - end) for q, end in zip(batch, ends, strict=True)])
        # Padding on the right needs no mask: no scored token comes after it. What the last token predicts is not asked.
        grown = torch.cat([mask, mask.new_ones(len(batch), longest - 1)], dim=1)
        sums, at = [0.0] * len(batch), 0
        for logits in chain([last], self._read(targets[:, :-1], grown, _taken(cache), every=True)):
            for row, question in enumerate(batch):
                start, end = (min(max(edge - at, 0), logits.shape[1]) for edge in question.scored)
                wanted = targets[row, at + start : at + end]
                sums[row] += float(cross_entropy(logits[row, start:end].float(), wanted, reduction="sum"))
            at += logits.shape[1]
        counts = [q.scored[1] - q.scored[0] for q in batch]
        return [total / n if n else None for total, n in zip(sums, counts, strict=True)]

    def _read(
        self, ids: torch.Tensor, mask: torch.Tensor, cache: DynamicCache, *, every: bool = False
    ) -> Iterator[torch.Tensor]:
        """Read `ids` [rows, new] over the cache, which grows by them, in pieces within the limits.

        Args:
            mask: [rows, cached and new], 0 at padding.

        Returns:
            Of each piece the logits [rows, its tokens or the last alone, vocabulary].
        """
        (rows, new), seen = ids.shape, mask.shape[1]
        widest = max(seen, self._vocabulary if every else 1)
        size = max(1, min(self.prefill_tokens // rows, MAX_ELEMENTS // (rows * widest)))
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, seen - new :]
        # Without padding there is nothing to mask but the future, which attention does faster by itself.
        padded = not bool(mask.all())
        for start in range(0, new, size):
            end = min(start + size, new)
            yield self._model(
                input_ids=ids[:, start:end],
                attention_mask=mask[:, : seen - new + end] if padded else None,
                position_ids=positions[:, start:end],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=0 if every else 1,
            ).logits

    def _tensor(self, values: list[Any]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long, device=self.device)


def batches(questions: Sequence[Question], batch_tokens: int, vocabulary: int) -> Iterator[list[list[Question]]]:
    """Cut questions, the shortest first, into batches: lists of those that differ in `sample` only, which share a prompt.

    A batch is within `batch_tokens`, its logits within `MAX_ELEMENTS`; it holds one prompt at least.
    """
    found = sorted(questions, key=lambda q: (len(q.prompt), q.row, q.condition, q.sample))
    batch, rows = list[list[Question]](), 0
    for _, alike in groupby(found, key=lambda q: (q.row, q.condition, tuple(q.prompt))):
        group = list(alike)
        rows += len(group)
        if batch and (rows * len(group[0].prompt) > batch_tokens or rows * vocabulary > MAX_ELEMENTS):
            yield batch
            batch, rows = [], len(group)
        batch.append(group)
    if batch:
        yield batch


def _taken(cache: DynamicCache, rows: torch.Tensor | None = None) -> DynamicCache:
    """A cache that begins with some rows of another (None: all), which stays as it is: a cache grows by new tensors."""
    found = copy.copy(cache)
    found.layers = [copy.copy(layer) for layer in cache.layers]
    if rows is not None:
        found.batch_select_indices(rows)
    return found


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
