"""The recipe as a whole, and what must agree between its sections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from acc.errors import UserError
from acc.recipe.base import Count, Section
from acc.recipe.data import Compile, Pack, Quality, Rationale
from acc.recipe.deepspeed import check_refused
from acc.recipe.evaluation import Evaluate
from acc.recipe.launching import Launch
from acc.recipe.sources import Source
from acc.recipe.training import Lora, Model, MoE, Parallel, Train

EMBEDDED = "embedded:tiny-base"


class Recipe(Section):
    """One run: what goes in, what is made of it, what is trained, and what is measured."""

    name: str = Field(default="run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the run; its folder is runs/<name>."""
    seed: Count = 0
    """Seed of every random choice."""
    paths_from: str = Field(default="", pattern=r"^(/.*)?$")
    """Folder that relative paths begin in, absolute; empty for the recipe's own. `acc submit` sets it in what its jobs read."""
    sources: list[Source] = Field(default=[])
    """Where trajectories come from; only a recipe that does nothing but evaluate has none."""
    compile: Compile = Compile()
    """Trajectories → samples."""
    rationale: Rationale = Rationale()
    """The reasoning before the answer."""
    quality: Quality = Quality()
    """Duplicates, contamination, leakage, secrets."""
    pack: Pack = Pack()
    """Samples → sequences."""
    model: Model = Model()
    """The student."""
    moe: MoE = MoE()
    """Mixture of experts."""
    lora: Lora | None = None
    """Adapters; None is full fine-tuning."""
    parallel: Parallel = Parallel()
    """How a step is split over processes."""
    deepspeed: Annotated[dict[str, Any], AfterValidator(check_refused)] = Field(default={})
    """What else goes into DeepSpeed's configuration, merged over ours. Its names are checked, its effects are not tried by us;
    what would make the loss or the sizes wrong is refused."""
    train: Train = Train()
    """Fine-tuning."""
    evaluate: Evaluate = Evaluate()
    """What is measured at every checkpoint."""
    launch: Launch = Launch()
    """How processes are started."""

    _folder: Path = PrivateAttr(default=Path())

    def in_folder(self, folder: Path) -> Recipe:
        """The same recipe, its relative paths resolved against `folder`."""
        self._folder = folder
        return self

    def resolve(self, path: str) -> Path:
        """A path of the recipe, relative to the folder that the recipe lies in."""
        return self._folder / self.paths_from / Path(path).expanduser()

    @property
    def student(self) -> str:
        """The student's checkpoint: a folder where there is one, else a hub id."""
        if self.model.path == EMBEDDED:
            return str(Path(__file__).parents[1] / "synth" / "tiny_base")
        local = self.resolve(self.model.path)
        return str(local) if local.is_dir() else self.model.path

    def check_sources(self) -> None:
        """Refuse a recipe that only evaluates, before a stage that needs sources.

        Raises:
            UserError: there are none.
        """
        if not self.sources:
            raise UserError(
                f"the recipe {self.name!r} has no sources: there is nothing to compile, pack or train on",
                where="sources",
                mend="Add sources; or measure only, with `acc eval --recipe`",
            )

    @model_validator(mode="after")
    def _sections_agree(self) -> Recipe:
        if not self.sources and not self.evaluate.measures_something:
            raise ValueError("'sources' is missing: a recipe without any must at least evaluate something")
        names = [s.name for s in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"sources: the name {name!r} is given twice")
        if self.sources and not any(s.split == "train" and s.weight > 0 for s in self.sources):
            raise ValueError("sources: none is for training (split: train with a weight above 0)")
        if self.compile.budget_tokens > self.pack.length:
            raise ValueError(
                f"compile.budget_tokens ({self.compile.budget_tokens}) is larger than pack.length ({self.pack.length}): "
                "samples would be compiled only to be rejected"
            )
        if self.compile.target_reserve_tokens >= self.compile.budget_tokens:
            raise ValueError("compile.target_reserve_tokens leaves nothing of compile.budget_tokens for the prompt")
        if self.pack.length % self.parallel.sequence:
            raise ValueError(
                f"pack.length ({self.pack.length}) is not divisible by parallel.sequence ({self.parallel.sequence})"
            )
        if self.quality.leakage != "off" and self.rationale.teacher is None:
            raise ValueError("quality.leakage asks a server: give rationale.teacher its base_url and model")
        if self.evaluate.held_out and not any(s.split == "held_out" for s in self.sources):
            raise ValueError("evaluate.held_out is set but no source has split: held_out")
        if self.evaluate.commands and self.evaluate.server is None:
            raise ValueError("evaluate.commands ask a server: set evaluate.server")
        if self.train.best and not self.evaluate.measures_something:
            raise ValueError("train.best chooses by an evaluation's score: set evaluate.held_out or evaluate.benchmarks")
        if self.train.best and self.evaluate.screen and not self.train.best.score.startswith(("screen_", "held_out/")):
            raise ValueError(
                f"train.best.score ({self.train.best.score}) is measured at the base, the best and the last checkpoint alone "
                f"where evaluate.screen is set: take screen_{self.train.best.score}"
            )
        return self


__all__ = ["Recipe"]
