"""Which runs are trusted, and the answer that is trained on."""

from __future__ import annotations

from dataclasses import dataclass

from acc.compile.evidence.database import last_rows, rows_of
from acc.compile.evidence.pieces import Refused, whole_characters
from acc.compile.evidence.queries import sql_of
from acc.compile.evidence.rows import render_rows
from acc.compile.matching import answers_agree
from acc.compile.patches import patch_of
from acc.trajectories.formats.base import first_text
from acc.trajectories.formats.meaning import normalised
from acc.trajectories.formats.turns import finishes
from acc.trajectories.record import Outcome, ToolCall, Trajectory

MATCHED = "answer_match"
"""What verified a run whose final answer is the gold answer."""
_MISSING = {"software": "the log holds no patch", "database": "the query that settled the run gave no rows"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer that is trained on, and who says that it is right.

    `reached` is False where the text is a reference that the run may not have reached: its reasoning may lead elsewhere.
    """

    text: str
    outcome: Outcome
    reached: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", whole_characters(self.text))


def judge(trajectory: Trajectory, *, accept_unverified: bool) -> Outcome | Refused:
    """The outcome of a run that may be trained on.

    A run that the source leaves open counts as a success where its final answer is a gold answer. (A reader finds that one is
    mentioned; here it must be what the run answers.) Failed runs are refused, and runs that nobody verified unless
    `accept_unverified`.
    """
    outcome = trajectory.outcome
    given, gold = trajectory.final_answer or "", trajectory.gold_answer or ""
    if outcome.verdict == "unknown" or outcome.verified_by == MATCHED:
        agreed = answers_agree(trajectory.domain, given, gold, trajectory.gold_aliases, trajectory.question)
        outcome = Outcome("success", MATCHED) if agreed else Outcome()
    if outcome.verdict == "failure":
        return Refused("failed_run", f"the run failed ({outcome.verified_by or 'no verifier named'})")
    if outcome.verdict == "unknown" and not accept_unverified:
        return Refused("unverified", "nobody verified the answer (accept_unverified: true takes such runs)")
    return outcome


def answer_of(trajectory: Trajectory, domain: str, *, accept_unverified: bool) -> Answer | Refused:
    """The answer of a run: the reference where the log holds one, else what the agent gave.

    - software: the reference patch, else the submitted one.
    - a run that answers with a file: refused as `no_answer`.
    - database with SQL: what the run gave in the call that ends it, if that is no query, else the rows of the last query as
      text. The question asks for facts, not for SQL, and where the run is verified by execution those rows are what was
      compared with the gold query's. A run that ends without rows has no answer.
    - a dialogue with a user, or a task judged by the actions taken (tau2-bench), without a reference: refused as `no_answer`.
      The reward vouches for the state that the run left, and the last message answers the last turn: no text of the run is
      a verified answer to the question.
    """
    outcome = judge(trajectory, accept_unverified=accept_unverified)
    if isinstance(outcome, Refused):
        return outcome
    if domain == "software":
        text = patch_of(trajectory)
    elif trajectory.gold_answer and trajectory.gold_answer.strip():
        return Answer(_spelled(trajectory).strip("\n"), outcome, reached=outcome.verdict == "success")
    elif file := trajectory.extra.get("answer_file"):
        return Refused("no_answer", f"the run answers with a file ({file}), and what is in it nobody verified")
    elif trajectory.extra.get("expected_actions") is not None or trajectory.extra.get("changes_state"):
        return Refused("no_answer", "the task is judged by the actions taken, so nobody verified what the agent said")
    elif domain == "database" and not _is_told(trajectory) and any(map(sql_of, _calls(trajectory))):
        text = _rows(trajectory)
    elif _is_dialogue(trajectory) and not _is_told(trajectory):
        return Refused("no_answer", "the run is a dialogue without a reference answer: its last message answers the last turn")
    else:
        text = trajectory.final_answer or ""
    if text.strip() in ("", "[]", "{}"):
        return Refused("no_answer", _MISSING.get(domain, "the log holds no answer"))
    return Answer(text.strip("\n"), outcome)


def _spelled(trajectory: Trajectory) -> str:
    """The reference; where it was logged without case and articles, as some graders leave it, in the run's own spelling."""
    gold, given = trajectory.gold_answer or "", (trajectory.final_answer or "").strip()
    return given if gold == normalised(gold) == normalised(given) else gold


def _calls(trajectory: Trajectory) -> list[ToolCall]:
    return [call for step in trajectory.steps for call in step.tool_calls]


def _is_told(trajectory: Trajectory) -> bool:
    """Whether the run gave its answer in words, in the call that ends it."""
    given = [first_text(call.arguments, "answer", "output") for call in _calls(trajectory) if finishes(call)]
    return bool(given and given[-1]) and not _query(given[-1])


def _rows(trajectory: Trajectory) -> str:
    """The rows of the query that settled the run, the last one where the log names none; "" where there are none.

    A single value or column stands bare, more columns under their names.
    """
    sql, shown = trajectory.extra.get("final_sql"), trajectory.final_answer
    if given := _query(trajectory.final_answer or ""):
        found = rows_of(given, _shown_for(trajectory, given))
    else:
        found = rows_of(sql, shown) if isinstance(sql, str) and shown else last_rows(trajectory)
    if found is None:
        return ""
    columns, rows = found
    return render_rows(columns if rows and len(rows[0]) > 1 else [], rows)


def _query(text: str) -> str:
    """The SQL that a text is, or ""."""
    return sql_of(ToolCall("", "", {"sql": text}))


def _shown_for(trajectory: Trajectory, sql: str) -> str:
    """What the database last showed for a query that the run settled on, "" where it never sent it."""
    flat, shown = " ".join(sql.split()), ""
    for _, call, result in trajectory.observations():
        if call is not None and not finishes(call) and " ".join(sql_of(call).split()) == flat:
            shown = result.content
    return shown


def _is_dialogue(trajectory: Trajectory) -> bool:
    speakers = [s.source for s in trajectory.steps if s.source == "user" or (s.source == "agent" and s.message.strip())]
    turns = [s for i, s in enumerate(speakers) if i == 0 or speakers[i - 1] != s]
    return turns.count("user") > 1 and any(s.source == "agent" and s.message and not s.tool_calls for s in trajectory.steps)
