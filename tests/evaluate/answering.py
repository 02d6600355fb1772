"""A backend that gives known answers, for tests of what happens around it."""

from collections.abc import Callable

from acc.evaluate.questions import Answer


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
