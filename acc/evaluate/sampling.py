"""Drawing the next token, so that what a row is given depends on the row alone, whatever batch it is in."""

from __future__ import annotations

import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from acc.evaluate.questions import Question
from acc.stage.seeds import seed_for


class Sampler:
    """Greedy, or from the distribution that transformers' own warpers make of the logits, in the order of `generate`.

    Args:
        temperature: 0 is greedy, and the other two do nothing.
        top_p: from the likeliest tokens that together have this probability; 1 for all.
        top_k: from so many likeliest tokens, number; 0 for all.
        seed: of the draws.
    """

    def __init__(self, temperature: float, top_p: float = 1.0, top_k: int = 0, seed: int = 0) -> None:
        self.temperature, self.seed = temperature, seed
        self._warpers = LogitsProcessorList()
        if temperature not in (0, 1):
            self._warpers.append(TemperatureLogitsWarper(float(temperature)))
        if top_k:
            self._warpers.append(TopKLogitsWarper(top_k))
        if top_p < 1:
            self._warpers.append(TopPLogitsWarper(top_p))

    def draws(self, question: Question) -> torch.Generator:
        """The random numbers of one answer: a function of the seed, the row, the condition and the sample."""
        seed = seed_for(self.seed, "generate", question.row, question.condition, question.sample)
        return torch.Generator().manual_seed(seed)

    def pick(self, logits: torch.Tensor, draws: list[torch.Generator]) -> torch.Tensor:
        """Logits [rows, vocabulary], and what `draws` gave for each row → the next tokens, [rows]."""
        if not self.temperature:
            return logits.argmax(-1)
        # The warpers look at no earlier token. argmax of logits plus Gumbel noise is a draw from their softmax.
        warped = self._warpers(logits.new_empty(len(logits), 0, dtype=torch.long), logits.float())
        uniform = torch.stack([torch.rand(logits.shape[-1], generator=g, dtype=torch.float64) for g in draws])
        noise = -torch.log(-torch.log(uniform.clamp(min=1e-300)))
        return (warped.double() + noise.to(logits.device)).argmax(-1)
