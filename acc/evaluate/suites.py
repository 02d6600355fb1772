"""What a recipe asks at every checkpoint, as suites: one file of responses each, with the rule that turns it into scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from acc import __version__
from acc.chat import Layout, StudentChat
from acc.errors import UserError
from acc.evaluate import heldout
from acc.evaluate.benchmarks import BENCHMARKS, Row, read_rows, write_rows
from acc.evaluate.questions import OPEN, Answer, Question, after_thinking
from acc.evaluate.synthetic import make_rows
from acc.recipe.evaluation import Benchmark, HeldOut
from acc.recipe.schema import Recipe
from acc.records import stats
from acc.records.scores import Score
from acc.stage.files import digest, file_digest

T = TypeVar("T")
Line = dict[str, Any]
"""One response on disk: row, condition, response (raw, with control tokens), finish, tokens, and what the suite measures."""


class Suite(ABC):
    """Questions that share a file of responses.

    `name` is the file's name; `over_long` holds the questions longer than the recipe allows, which are skipped and counted.
    """

    def __init__(self, name: str, chat: StudentChat, layout: Layout) -> None:
        self.name, self.chat, self.layout = name, chat, layout
        self.questions: list[Question] = []
        self.over_long: list[Question] = []

    def line(self, question: Question, answer: Answer) -> Line:
        """The response as it goes to disk."""
        before = self.chat.tokenizer.decode(list(question.prompt[-8:]), keep_control=True)
        said = after_thinking(answer.text, opened=before.rstrip().endswith(OPEN))
        common = {
            "row": question.row,
            "condition": question.condition,
            "response": answer.text,
            "finish": answer.finish,
            "tokens": answer.tokens,
            "prompt_tokens": len(question.prompt),
            "failed": not said.strip(),
        }
        return {**common, **self.measure(question, said, answer)}

    @abstractmethod
    def measure(self, question: Question, said: str, answer: Answer) -> Line:
        """What is measured on one response; `said` is its text after the thinking."""

    @abstractmethod
    def scores(self, step: int, lines: list[Line], skipped: list[Question], base: list[Line]) -> list[Score]:
        """The scores of all lines. `base` are the lines of step 0, for differences."""


class BenchmarkSuite(Suite):
    """MRCR or GraphWalks: all entries of the recipe with the same name and origin (official or synthetic) together."""

    def __init__(self, name: str, entries: list[Benchmark], recipe: Recipe, chat: StudentChat, out: Path) -> None:
        self.benchmark = BENCHMARKS[name]
        self.synthetic = entries[0].synthetic is not None
        super().__init__(f"synthetic_{name}" if self.synthetic else name, chat, recipe.pack.layout)
        self._rows: dict[str, Row] = {}
        self._hashes: list[str] = []
        for number, entry in enumerate(entries):
            generated = _synthetic_path(entry, chat, out)
            self._add(number, entry, generated or recipe.resolve(str(entry.rows)))

    def _add(self, number: int, entry: Benchmark, path: Path) -> None:
        columns = (*self.benchmark.graded, *self.benchmark.asked)
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        for index, row in read_rows(path, columns, limit=entry.limit):
            try:
                prompt = self.chat.encode_prompt(self.benchmark.messages(row), self.layout).ids
            except UserError as e:
                raise UserError(e.what, where=f"{path} row {index}", mend=e.mend) from e
            question = Question(f"{number}-{index}", "full", prompt, entry.max_new_tokens)
            self._rows[question.row] = row
            too_long = entry.max_prompt_tokens is not None and len(prompt) > entry.max_prompt_tokens
            (self.over_long if too_long else self.questions).append(question)
        self._hashes += [file_digest(f) for f in files]

    def measure(self, question: Question, said: str, answer: Answer) -> Line:
        return {"scores": self.benchmark.grade(self._rows[question.row], said)}

    def scores(self, step: int, lines: list[Line], skipped: list[Question], base: list[Line]) -> list[Score]:
        grouped, left_out = _grouped(lines, self._groups), _grouped(skipped, self._groups)
        found = []
        for group in sorted(grouped.keys() | left_out.keys(), key=lambda g: (g != "all", g)):
            members = grouped.get(group, [])
            metrics = self.benchmark.quoted if group != "all" or not members else list(members[0]["scores"])
            for metric in metrics:
                value = stats.mean(m["scores"][metric] for m in members)
                found.append(
                    Score(
                        step, self.benchmark.name, metric, *value, group=group, synthetic=self.synthetic,
                        skipped=len(left_out.get(group, [])), failed=sum(m["failed"] for m in members),
                        extra={"rows": self._hashes},
                    )
                )  # fmt: skip
        return found

    def _groups(self, item: Line | Question) -> list[str]:
        row, tokens = (item.row, len(item.prompt)) if isinstance(item, Question) else (item["row"], item["prompt_tokens"])
        return ["all", self.benchmark.group(self._rows[row]), _length_bin(tokens)]


class HeldOutSuite(Suite):
    """Questions of the held-out sources in every condition of the recipe."""

    def __init__(self, recipe: Recipe, config: HeldOut, chat: StudentChat, samples: Path) -> None:
        super().__init__("held_out", chat, recipe.pack.layout)
        found, self.not_asked = heldout.read_held_out(samples, config.limit)
        self._samples = {s.sample_id: s for s in found}
        self.questions = [
            heldout.question(
                s, c, chat=chat, layout=self.layout, prompt=recipe.compile.prompt, max_new_tokens=config.max_new_tokens
            )
            for s in found
            for c in config.conditions
        ]

    def measure(self, question: Question, said: str, answer: Answer) -> Line:
        sample = self._samples[question.row]
        return {
            "sample_id": sample.sample_id,
            "domain": sample.domain,
            "exact": float(heldout.is_exact(sample, said, self.layout)),
            "nll": answer.nll,
        }

    def scores(self, step: int, lines: list[Line], skipped: list[Question], base: list[Line]) -> list[Score]:
        left_out = _grouped(skipped, self._groups)
        found = []
        for group, members in _grouped(lines, self._groups).items():
            compared = _grouped(base, self._groups).get(group, []) if step else []
            for metric in ("exact", "nll"):
                now, before = _by_condition(members, metric), _by_condition(compared, metric)
                for condition, values in now.items():
                    asked = [m for m in members if m["condition"] == condition]
                    gone = sum(q.condition == condition for q in left_out.get(group, []))
                    counts = {"skipped": gone + self.not_asked, "failed": sum(m["failed"] for m in asked)}
                    named = {metric: stats.mean(values.values())}
                    if condition == "full":
                        others = [c for c in now if c != "full"]
                        named |= {f"{metric}_minus_{c}": stats.paired(values, now[c]) for c in others}
                    if condition in before:
                        named[f"{metric}_minus_base"] = stats.paired(values, before[condition])
                    found += [
                        Score(step, "held_out", name, *value, condition=condition, group=group, **counts)
                        for name, value in named.items()
                    ]
        return found

    def _groups(self, item: Line | Question) -> list[str]:
        row = item.row if isinstance(item, Question) else item["row"]
        return ["all", *([self._samples[row].domain] if row in self._samples else [])]


def generate_rows(recipe: Recipe, out: Path, chat: StudentChat) -> None:
    """Write the recipe's synthetic rows to out/rows, where they are not there yet."""
    for entry in recipe.evaluate.benchmarks:
        path = _synthetic_path(entry, chat, out)
        if path is not None and entry.synthetic is not None and not path.is_file():
            wanted = entry.synthetic
            rows = make_rows(entry.name, rows=wanted.rows, tokens=wanted.tokens, seed=wanted.seed, count=chat.count)
            write_rows(path, rows)


def suites_of(recipe: Recipe, compiled: Path, out: Path, chat: StudentChat) -> list[Suite]:
    """All suites of a recipe, their prompts encoded.

    Args:
        compiled: the folder of `acc compile`.
        out: the folder of the evaluation, where `generate_rows` was.
    """
    together: dict[tuple[str, bool], list[Benchmark]] = defaultdict(list)
    for entry in recipe.evaluate.benchmarks:
        together[entry.name, entry.synthetic is not None].append(entry)
    found: list[Suite] = [BenchmarkSuite(name, entries, recipe, chat, out) for (name, _), entries in together.items()]
    if recipe.evaluate.held_out is not None:
        found.append(HeldOutSuite(recipe, recipe.evaluate.held_out, chat, compiled / "samples.parquet"))
    return found


def _synthetic_path(entry: Benchmark, chat: StudentChat, out: Path) -> Path | None:
    """Where an entry's synthetic rows lie; the name holds all that they depend on."""
    if entry.synthetic is None:
        return None
    key = digest([entry.synthetic.model_dump(), chat.hash, __version__])[:12]
    return out / "rows" / f"synthetic_{entry.name}-{key}.parquet"


def _length_bin(tokens: int) -> str:
    """The power of two that a prompt's tokens fit in, as a group's name."""
    return f"up_to_{1 << max(tokens - 1, 0).bit_length()}_tokens"


def _grouped(items: Iterable[T], groups: Callable[[T], list[str]]) -> dict[str, list[T]]:
    found: dict[str, list[T]] = defaultdict(list)
    for item in items:
        for group in groups(item):
            found[group].append(item)
    return dict(found)


def _by_condition(lines: list[Line], metric: str) -> dict[str, dict[str, float]]:
    """Condition → row → value, where there is one."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for line in lines:
        if line[metric] is not None:
            found[line["condition"]][line["row"]] = line[metric]
    return dict(found)
