"""A backend that gives known answers, and a recipe to ask it with, for tests of what happens around it."""

import json
from collections.abc import Callable

from acc.evaluate.questions import Answer
from acc.recipe.loading import recipe_from


class Killed(BaseException):
    """As a kill in the middle of an evaluation."""


class Scripted:
    """Answers by `reply(question)`, a batch of one row each; dies after `lives` answers."""

    def __init__(self, reply: Callable, *, fingerprint="weights", window=100_000, scores_targets=False, lives=None):
        self.reply, self.fingerprint, self.window, self.scores_targets = reply, fingerprint, window, scores_targets
        self.lives, self.asked = lives, []

    def answer(self, questions):
        for question in questions:
            if self.lives is not None and len(self.asked) >= self.lives:
                raise Killed
            self.asked.append(question)
            found = self.reply(question)
            yield [(question, found if isinstance(found, Answer) else Answer(found, 3, "stop", seconds=1.0))]

    def close(self):
        pass


SAMPLING = {"temperature": 0.6, "samples": 3}


def recipe(student, **evaluate):
    benchmarks = [{"name": "mrcr", "synthetic": {"rows": 6, "tokens": 300}, "max_new_tokens": 60}]
    return recipe_from(
        {
            "sources": [{"name": "s", "path": "x"}, {"name": "h", "path": "y", "split": "held_out"}],
            "model": {"path": str(student)},
            "evaluate": {"benchmarks": benchmarks, "sampling": SAMPLING, **evaluate},
        }
    )


def prefix(question):
    return question.messages[-1]["content"].split()[1]


def reply(question):
    """Something like the answer in a row's first sample, nothing in the others."""
    if question.sample:
        return "nothing"
    turns = [m["content"] for m in question.messages]
    return prefix(question) + max(turns[1:-1:2], key=len, default="")


def lines(out, step, suite="synthetic_mrcr"):
    return [json.loads(text) for text in (out / "responses" / str(step) / f"{suite}.jsonl").read_text().splitlines()]


def by_name(scores):
    return {s.name: s for s in scores}
