"""The recipe as a whole, and what must agree between its sections."""

from __future__ import annotations

from collections.abc import Iterator
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
    _numbers: dict[str, int] = PrivateAttr(default={})

    def model_post_init(self, context: Any, /) -> None:
        self._numbers = {source.name: number for number, source in enumerate(self.sources)}

    def in_folder(self, folder: Path) -> Recipe:
        """The same recipe, its relative paths resolved against `folder`."""
        self._folder = folder
        return self

    def resolve(self, path: str) -> Path:
        """A path of the recipe, relative to the folder that the recipe lies in."""
        return self._folder / self.paths_from / Path(path).expanduser()

    def field_of(self, source: Source) -> str:
        """The dotted name of a source, `sources.2`, also where this is a copy of the recipe with fewer of them."""
        return f"sources.{self._numbers[source.name]}" if source.name in self._numbers else "sources"

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
        if found := list(self._disagreements()):
            raise ValueError("\n".join(found))
        return self

    def _disagreements(self) -> Iterator[str]:
        """What one section says against another, each as "what is wrong. Mend", with the fields by their dotted names."""
        yield from self._of_sources()
        compile_, pack, sequence = self.compile, self.pack, self.parallel.sequence
        if compile_.budget_tokens > pack.length:
            yield (
                f"compile.budget_tokens ({compile_.budget_tokens}) is larger than pack.length ({pack.length}): "
                "samples would be compiled only to be rejected. Raise pack.length, or lower compile.budget_tokens"
            )
        if compile_.target_reserve_tokens >= compile_.budget_tokens:
            yield (
                f"compile.target_reserve_tokens ({compile_.target_reserve_tokens}) leaves nothing of compile.budget_tokens "
                f"({compile_.budget_tokens}) for the prompt. Lower the reserve, or raise the budget"
            )
        if pack.length % sequence:
            yield (
                f"pack.length ({pack.length}) is not divisible by parallel.sequence ({sequence}). "
                f"Take a length that is a multiple of {sequence}, or another parallel.sequence"
            )
        if self.quality.leakage != "off" and self.rationale.teacher is None:
            yield "quality.leakage asks a server, and there is no rationale.teacher. Give it base_url and model"
        yield from self._of_evaluation()

    def _of_sources(self) -> Iterator[str]:
        if not self.sources and not self.evaluate.measures_something:
            yield "'sources' is missing: a recipe without any must at least evaluate something. Add a source"
        names = [s.name for s in self.sources]
        for number, name in enumerate(names):
            if (first := names.index(name)) < number:
                yield f"sources.{first}.name and sources.{number}.name are both {name!r}. Give each a name of its own"
        if self.sources and not any(s.split == "train" and s.weight > 0 for s in self.sources):
            yield "sources: none is for training. Give one split: train and a weight above 0"

    def _of_evaluation(self) -> Iterator[str]:
        evaluate, best = self.evaluate, self.train.best
        if evaluate.held_out and not any(s.split == "held_out" for s in self.sources):
            yield "evaluate.held_out is set but no source has split: held_out. Set it in one, or leave evaluate.held_out out"
        if evaluate.commands and evaluate.server is None:
            yield "evaluate.commands ask a server: set evaluate.server"
        if best and not evaluate.measures_something:
            yield (
                "train.best chooses by an evaluation's score, and nothing is measured. "
                "Set evaluate.held_out or evaluate.benchmarks"
            )
        if best and evaluate.screen and not best.score.startswith(("screen_", "held_out/")):
            yield (
                f"train.best.score ({best.score}) is measured at the base, the best and the last checkpoint alone "
                f"where evaluate.screen is set. Take screen_{best.score}"
            )


__all__ = ["Recipe"]
