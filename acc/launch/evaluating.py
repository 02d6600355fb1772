"""What `acc run` and the watcher share: which checkpoints a run has, and what follows when one has been evaluated."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from pathlib import Path

from acc.errors import UserError
from acc.evaluate.plan import Job, open_jobs
from acc.recipe import Recipe
from acc.records.evaluated import evaluation_key, mark_evaluated
from acc.records.markers import checkpoint_folders, read_marker
from acc.records.scores import SCORES, read_scores
from acc.stage.manifest import Manifest, is_done
from acc.train import deliver, keep, train_key


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The evaluation of one run, as its folder tells it now.

    Args:
        recipe: of the run.
        folder: runs/<name>.
    """

    recipe: Recipe
    folder: Path

    @property
    def out(self) -> Path:
        """The folder of the evaluation."""
        return self.folder / "evaluate"

    @property
    def train(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "train"

    def is_over(self) -> bool:
        """Whether this recipe's training has ended."""
        return (key := self._key()) is not None and is_done(self.train, key)

    def checkpoints(self) -> dict[int, Path]:
        """The whole checkpoints of this recipe's training that its schedule asks for, by step."""
        key = self._key()
        found = [(folder, marker) for folder in checkpoint_folders(self.train) if (marker := read_marker(folder)) is not None]
        return {marker.step: folder for folder, marker in found if marker.key == key and marker.scheduled}

    def open_jobs(self) -> list[Job]:
        """What may be evaluated now, the most urgent first."""
        over = self.is_over()
        return open_jobs(self.recipe, self.out, self.checkpoints(), over=over, best=self._best())

    def done(self, job: Job) -> None:
        """Note that a job's scores are on disk. After training they go to the log, and choose the best checkpoint."""
        mark_evaluated(self.out, job.step, job.rows, evaluation_key(self.recipe))
        if self.is_over():
            self.settle()

    def settle(self, *, over: bool = False) -> None:
        """Log what training did not, choose the best checkpoint and drop what need not stay.

        Args:
            over: whether everything has been evaluated.

        Raises:
            UserError: everything has been, and no evaluation gives the score that `train.best` names.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / "settle.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            deliver(self.recipe, self.train, self.out / SCORES)
            keep(self.recipe, self.train, self.out / SCORES, over=over)

    def is_finished(self) -> bool:
        """Whether the same was asked of all checkpoints before."""
        return is_done(self.out, evaluation_key(self.recipe))

    def finish(self) -> None:
        """Everything has been evaluated: settle, and write the stage's manifest."""
        self.settle(over=True)
        section = self.recipe.evaluate.model_dump(mode="json")
        n = len(read_scores(self.out / SCORES))
        key = evaluation_key(self.recipe)
        Manifest("evaluate", key, self.recipe.seed, section, {"train": self._key() or ""}, records=n, written=n).write(self.out)

    def _key(self) -> str | None:
        """The training's key; None where its sequences are not packed yet."""
        try:
            return train_key(self.recipe, self.folder / "pack")
        except UserError:
            return None

    def _best(self) -> int | None:
        if self.recipe.train.best is None:
            return None
        from acc.train.keeping import best_step

        return best_step(self.train)
