"""The sources of a recipe: where trajectories come from, what goes with them, and whose they are."""

from __future__ import annotations

import re
from math import ceil
from typing import Literal

from pydantic import Field, field_validator, model_validator

from acc.recipe.base import Count, Positive, Rate, Section, Share

Target = Literal["acc", "answer_only", "agent_sft", "chat"]
Domain = Literal["search", "software", "database", "other"]


class Synth(Section):
    """Simulated environments with scripted agents in them, instead of logs (see `acc synth`)."""

    search: Count = 0
    """Trajectories in generated wikis with a search index, number."""
    software: Count = 0
    """Trajectories in generated git repositories, number."""
    database: Count = 0
    """Trajectories in generated SQLite databases, number."""
    seed: Count = 0
    """Seed of the worlds; another seed gives other worlds, names and questions."""
    min_tokens: int = Field(default=1_000, ge=512)
    """Shortest context, tokens (estimated from the text, within a sixth of the embedded tokenizer's count)."""
    max_tokens: int = Field(default=1_500, le=131_072)
    """Longest context, tokens (estimated likewise); at least 1.5 × min_tokens."""
    questions_per_context: Positive = 1
    """Questions (hence trajectories) that share one environment, number."""
    failed_share: Share = 0.1
    """Share of runs that fail."""
    control_text_share: Share = 0.05
    """Share of environments with a chat template's control tokens planted in a page or file."""

    @model_validator(mode="after")
    def _something(self) -> Synth:
        if not self.search + self.software + self.database:
            raise ValueError("this asks for no trajectories. Give search, software or database a number")
        if self.max_tokens < 1.5 * self.min_tokens:
            raise ValueError(
                f"`max_tokens` ({self.max_tokens}) is below 1.5 × `min_tokens`. Take {ceil(1.5 * self.min_tokens)} or more"
            )
        return self


class Hub(Section):
    """A data set of the hub, or of a local folder of the same layout, read as a stream with `datasets`."""

    dataset: str
    """Hub id as `org/name`, a local folder, or with `agentpile` a name that it knows (`tau_bench`)."""
    files: str | None = None
    """Local copy of the data set's files, in the layout of the hub, relative to the recipe; None streams them from the hub."""
    config: str | None = None
    """Configuration of the data set; None takes the only one."""
    split: str = "train"
    """Split to read."""
    revision: str | None = None
    """Commit, tag or branch; a run that is to be repeated names a commit."""
    agentpile: bool = False
    """Read it with agentpile, which knows this corpus, instead of our own formats."""


class Join(Section):
    """Fields of a record that live in another file: outcomes, gold answers, base commits."""

    file: str
    """JSON, JSONL, CSV, Parquet or Markdown with a row a record (a glob takes several files), relative to the recipe."""
    rows: str = ""
    """Where the rows stand inside a JSON document, as a dotted path such as `custom.results`; empty: the document itself.
    An object that has the columns named here is one row; else its keys are the rows' `key` (a value that is no object is in
    `value`), or, where it holds lists of names such as {resolved: [a, b], failed: [c]}, each name is a row whose column
    `resolved` says whether it is in that list. So are Markdown's bullet lists under their headings."""
    on: str | dict[str, str] = "trajectory_id"
    """Column that names the record, in both; or {field of the trajectory: column of the row}. Fields of a trajectory are those
    of its `extra`, then its own, `file` (the stem of its file's name) and `folder`; a row has `key`, and `file` likewise."""
    fields: dict[str, str] = Field(min_length=1)
    """Field of the trajectory ← column of the row (or a dotted path in it): outcome, gold_answer, question, or any name, which
    goes to `extra`."""
    success: float | list[str | bool | float] | None = None
    """Which values of `outcome` mean success: the least number, or a list of values (all others are failures); None: true,
    numbers from 1, and words such as `resolved` or `correct`."""


class Git(Section):
    """Local git repositories that hold whole files. Read through git objects; nothing is checked out or executed."""

    mirrors: str
    """Folder of repositories, bare or not, named owner__name, owner/name or name, with or without `.git`."""
    commits: str | None = None
    """JSON or JSONL file: instance → base commit (or {repo, base_commit}), for records that do not name it."""


class Sql(Section):
    """A database that holds whole tables. Read only, by reflected names."""

    url: str
    """SQLAlchemy URL (SQLite, MySQL/MariaDB, PostgreSQL). {db} is filled with the record's database; $NAME with that variable
    of the environment, so that no password stands in a recipe or manifest."""
    max_rows: Positive = 500
    """Longest table that is taken whole, rows; of a longer one at most so many: those that the run's results show and that its
    WHERE clauses name, with their neighbours."""
    neighbours: Count = 3
    """Rows before and after each touched row of a longer table, number."""
    deny_columns: list[str] = Field(default=[])
    """Columns that never leave the database, as `table.column`, `*.column` or `table.*`; what is left out is counted."""

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        if re.search(r"://[^/@:]*:(?!\$)[^@]+@", url):
            raise ValueError("the URL holds a password, which reports would show. Write $NAME and set that variable")
        return url


class Pages(Section):
    """A store of whole pages."""

    files: list[str] = Field(min_length=1)
    """Parquet or JSONL files with a page a row, relative to the recipe."""
    url: str = "url"
    """Field with the address or id."""
    text: str = "text"
    """Field with the text."""


class Resolve(Section):
    """Where the whole of a page, file or table is fetched, of which a log shows only a window."""

    git: Git | None = None
    """Files of software agents."""
    sql: Sql | None = None
    """Tables of database agents."""
    pages: Pages | None = None
    """Pages of search agents."""
    missing: Literal["fall_back", "reject"] = "fall_back"
    """What is not found there: fall_back takes what the log shows, reject rejects the record (`unresolved`); counted."""


class Policy(Section):
    """Whose data a source is, and what may become of it."""

    licence: str = ""
    """Licence of the data, as text; goes into every sample and the data set card."""
    egress: Literal["none"] | list[str] = "none"
    """Hosts that may receive any of it (teacher, trackers, hub): none, or host names. This machine is always allowed."""
    text_in_report: bool = True
    """Whether reports and viewer pages may show its text."""


class Source(Section):
    """One source of trajectories, with what becomes of it."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name in reports, logs and samples; letters, digits, dot, dash and underscore."""
    path: str | list[str] | None = None
    """Files or folders with logs, relative to the recipe (a folder is read whole); or give `synth`."""
    synth: Synth | None = None
    """Simulate the trajectories instead of reading logs."""
    hub: Hub | None = None
    """Read a data set of the hub instead."""
    format: str = "auto"
    """Name of the format (`acc formats --list`), or auto: found by content."""
    join: list[Join] = Field(default=[])
    """Other files with fields of the records."""
    resolve: Resolve = Resolve()
    """Where whole pages, files and tables are fetched."""
    domain: Literal["auto"] | Domain = "auto"
    """Domain of every trajectory, or auto: found by content."""
    target: Target = "acc"
    """What is trained on: acc (question + evidence → rationale, answer), answer_only (the same without rationale), agent_sft
    (the agent's turns, tool output masked), chat (assistant turns of a plain conversation)."""
    weight: Rate = 1.0
    """Relative weight in the mixture, in what pack.weights_in says: with 1 and 3 in samples, every fourth sample comes from the
    first. 0 leaves it out."""
    split: Literal["train", "held_out"] = "train"
    """held_out is compiled and evaluated, never trained on."""
    max_records: Positive | None = None
    """Read at most so many records, number; the rest are counted as rejected (`over_max_records`)."""
    accept_unverified: bool = False
    """Also take trajectories whose answer nobody verified (outcome unknown). Failed runs are never taken."""
    accept_sufficiency: list[Literal["proven", "likely", "unknown", "failed"]] = Field(
        default=["proven", "likely", "unknown"], min_length=1
    )
    """Which samples are taken, by whether their evidence shows the answer; the rest are rejected (`insufficient`)."""
    policy: Policy = Policy()
    """Whose data it is."""

    @field_validator("path")
    @classmethod
    def _some_path(cls, path: str | list[str] | None) -> str | list[str] | None:
        if path == []:
            raise ValueError("the list names nothing. Name files or folders with logs")
        return path

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        if sum(origin is not None for origin in (self.path, self.synth, self.hub)) != 1:
            raise ValueError("a source needs exactly one of `path`, `hub` and `synth`. Leave the others out")
        return self

    @property
    def paths(self) -> list[str]:
        """`path` as a list."""
        return [self.path] if isinstance(self.path, str) else list(self.path or [])
