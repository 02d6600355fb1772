"""What a recipe asks at every checkpoint, as suites: one file of responses each, with the rule that turns it into scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from acc import __version__
from acc.chat import Layout, StudentChat
from acc.errors import UserError
from acc.evaluate import bins, heldout
from acc.evaluate.benchmarks import BENCHMARKS, Row, rows_of, write_rows
from acc.evaluate.excerpts import excerpts
from acc.evaluate.hub_rows import hub_files
from acc.evaluate.lines import Line, length_bin
from acc.evaluate.questions import CLOSE, OPEN, Answer, Question, after_thinking
from acc.evaluate.scoring import benchmark_scores, held_out_scores
from acc.evaluate.screen import screen_of
from acc.evaluate.synthetic import make_rows
from acc.recipe.evaluation import Benchmark, HeldOut
from acc.recipe.schema import Recipe
from acc.records.scores import Score
from acc.stage.files import digest


class Suite(ABC):
    """Questions that share a file of responses.

    `name` is the file's name; `over_long` holds the questions longer than the recipe allows, which are skipped and counted;
    `screen` are the rows asked where only the screen is, None where that is all of them.
    """

    def __init__(self, name: str, chat: StudentChat, layout: Layout) -> None:
        self.name, self.chat, self.layout = name, chat, layout
        self.questions: list[Question] = []
        self.over_long: list[Question] = []
        self.screen: frozenset[str] | None = None

    def line(self, question: Question, answer: Answer) -> Line:
        """The response as it goes to disk."""
        thinking, said = self._split(question, answer)
        return {
            "row": question.row,
            "condition": question.condition,
            "sample": question.sample,
            "asked": digest([dict(m) for m in question.messages])[:16],
            "response": answer.text,
            "reasoning": answer.reasoning,
            "finish": answer.finish,
            "tokens": answer.tokens,
            "thinking_tokens": self.chat.count(thinking),
            "prompt_tokens": len(question.prompt),
            "seconds": round(answer.seconds, 3),
            "failed": bool(question.max_new_tokens) and not said.strip(),
            **self.place(question),
            **self.measure(question, said, answer),
        }

    def is_screened(self, question: Question) -> bool:
        """Whether a question is asked where only the screen is."""
        return self.screen is None or question.row in self.screen

    def place(self, question: Question) -> Line:
        """Where a question belongs: row, condition, kind, bin, bin_o200k, screen."""
        screen = self.screen is not None and question.row in self.screen
        return {"row": question.row, "condition": question.condition, **self.slices(question), "screen": screen}

    @abstractmethod
    def slices(self, question: Question) -> Line:
        """The kind and the length bins of a question."""

    @abstractmethod
    def measure(self, question: Question, said: str, answer: Answer) -> Line:
        """What is measured on one response; `said` is its text after the thinking."""

    @abstractmethod
    def scores(self, step: int, lines: list[Line], skipped: list[Line], base: list[Line], *, screen: bool) -> list[Score]:
        """The scores of all lines, or of the screen's.

        Args:
            skipped: the places of questions that were not asked.
            base: the lines of step 0, for differences.
        """

    def _split(self, question: Question, answer: Answer) -> tuple[str, str]:
        """(thinking, answer) of a response: by the server's own `reasoning`, or at the last `</think>`."""
        if answer.finish == "failed":
            return "", ""
        if answer.reasoning:
            return answer.reasoning, after_thinking(answer.text, opened=False)
        before = self.chat.tokenizer.decode(list(question.prompt[-8:]), keep_control=True)
        said = after_thinking(answer.text, opened=before.rstrip().endswith(OPEN))
        thinking = answer.text.rpartition(CLOSE)[0] if CLOSE in answer.text else answer.text.removesuffix(said)
        return thinking.lstrip().removeprefix(OPEN), said


class BenchmarkSuite(Suite):
    """MRCR or GraphWalks: all entries of the recipe with the same name and origin (official or synthetic) together."""

    def __init__(self, name: str, entries: list[Benchmark], recipe: Recipe, chat: StudentChat, out: Path) -> None:
        self.benchmark = BENCHMARKS[name]
        self.synthetic = entries[0].synthetic is not None
        super().__init__(f"synthetic_{name}" if self.synthetic else name, chat, recipe.pack.layout)
        self._rows: dict[str, Row] = {}
        self._slices: dict[str, Line] = {}
        self._hashes: list[str] = []
        for number, entry in enumerate(entries):
            self._add(number, entry, recipe, out)
        if recipe.evaluate.screen is not None:
            strata = {q.row: (str(s["kind"]), str(s["bin"])) for q in self.questions for s in [self._slices[q.row]]}
            self.screen = screen_of(strata, recipe.evaluate.screen)

    def _add(self, number: int, entry: Benchmark, recipe: Recipe, out: Path) -> None:
        rows, hashes = rows_of(entry, recipe, out, generated=_synthetic_path(entry, self.chat, out))
        origin = entry.hub.dataset if entry.hub else str(entry.rows)
        for index, row in rows:
            try:
                messages = self.benchmark.messages(row)
                # Four bytes an id: rows of a million tokens are many.
                prompt = array("I", self.chat.encode_prompt(messages, self.layout).ids)
            except UserError as e:
                raise UserError(e.what, where=f"{origin} row {index}", mend=e.mend) from e
            question = Question(f"{number}-{index}", "full", prompt, entry.max_new_tokens, messages=messages)
            self._rows[question.row] = {column: row[column] for column in self.benchmark.graded}
            self._slices[question.row] = {
                "kind": self.benchmark.group(row),
                "bin": length_bin(len(prompt)),
                "bin_o200k": bins.o200k_bin(row),
            }
            too_long = entry.max_prompt_tokens is not None and len(prompt) > entry.max_prompt_tokens
            samples = range(recipe.evaluate.sampling.samples)
            (self.over_long if too_long else self.questions).extend(replace(question, sample=k) for k in samples)
        self._hashes += hashes

    def slices(self, question: Question) -> Line:
        return self._slices[question.row]

    def measure(self, question: Question, said: str, answer: Answer) -> Line:
        row = self._rows[question.row]
        return {"scores": self.benchmark.grade(row, said), **excerpts(question.messages, row[self.benchmark.graded[0]])}

    def scores(self, step: int, lines: list[Line], skipped: list[Line], base: list[Line], *, screen: bool) -> list[Score]:
        return benchmark_scores(
            step, self.benchmark.name, lines, skipped=skipped, base=base, quoted=self.benchmark.quoted,
            synthetic=self.synthetic, screen=screen, extra={"rows": self._hashes},
        )  # fmt: skip


class HeldOutSuite(Suite):
    """Questions of the held-out sources in every condition of the recipe. All are asked at every checkpoint."""

    def __init__(self, recipe: Recipe, config: HeldOut, chat: StudentChat, samples: Path) -> None:
        super().__init__("held_out", chat, recipe.pack.layout)
        found, self.not_asked = heldout.read_held_out(samples, config.limit)
        self._samples = {s.sample_id: s for s in found}
        self._generates = "exact" in config.measures
        asked, self._left_out = heldout.questions(found, config, chat=chat, layout=self.layout, prompt=recipe.compile.prompt)
        self._lengths: dict[str, int] = {}
        for question in asked:
            self._lengths[question.row] = max(self._lengths.get(question.row, 0), len(question.prompt))
            # The likelihood does not vary, so the first sample alone has the target.
            more = range(1, recipe.evaluate.sampling.samples if self._generates else 1)
            self.questions += [question, *(replace(question, sample=k, target=(), scored=(0, 0)) for k in more)]

    def slices(self, question: Question) -> Line:
        """A row's length is that of its longest condition, so that conditions are compared within a bin."""
        domain, length = self._samples[question.row].domain, self._lengths[question.row]
        return {"kind": domain, "bin": length_bin(length), "bin_o200k": None}

    def measure(self, question: Question, said: str, answer: Answer) -> Line:
        sample = self._samples[question.row]
        return {
            "sample_id": sample.sample_id,
            "domain": sample.domain,
            "exact": float(heldout.is_exact(sample, said, self.layout)) if self._generates else None,
            "nll": answer.nll,
        }

    def scores(self, step: int, lines: list[Line], skipped: list[Line], base: list[Line], *, screen: bool) -> list[Score]:
        if screen:
            return []
        counts: dict[str, int] = {condition: self.not_asked + left_out for condition, left_out in self._left_out.items()}
        return held_out_scores(step, lines, skipped=skipped, not_asked=counts, base=base)


def prepare_rows(recipe: Recipe, out: Path, chat: StudentChat) -> None:
    """Have all rows on disk, before several processes read them: synthetic ones in out/rows, the hub's in its cache."""
    for entry in recipe.evaluate.benchmarks:
        path = _synthetic_path(entry, chat, out)
        if path is not None and entry.synthetic is not None and not path.is_file():
            wanted = entry.synthetic
            rows = make_rows(entry.name, rows=wanted.rows, tokens=wanted.tokens, seed=wanted.seed, count=chat.count)
            write_rows(path, rows)
        if entry.hub is not None:
            hub_files(entry.hub, out)


def suites_of(recipe: Recipe, compiled: Path, out: Path, chat: StudentChat) -> list[Suite]:
    """All suites of a recipe, their prompts encoded.

    Args:
        compiled: the folder of `acc compile`.
        out: the folder of the evaluation, where `prepare_rows` was.
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
