"""A user's own benchmarks: any program that asks the server and writes scores as JSON."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from acc.errors import UserError
from acc.evaluate.outside import is_measured, line_of, weights_of, write_lines
from acc.evaluate.program import run_program
from acc.recipe.evaluation import Command
from acc.recipe.schema import Recipe
from acc.stage.files import digest, file_digest

_FORM = 'Let it write {"scores": {name: number}} or {"rows": {id: {name: number}}}'


def run_commands(recipe: Recipe, *, checkpoint: str, server: tuple[str, str] | None, out: Path, step: int) -> None:
    """Run the programs of `evaluate.commands` and write their scores to out/responses/<step>/command_<name>.jsonl.

    A program that already measured these weights is not run again.

    Args:
        checkpoint: a folder or a hub id.
        server: (base URL ending in /v1, model's name) of the server that answers for it.
        out: the folder of the evaluation.
        step: the checkpoint's global step.

    Raises:
        UserError: there is no server, a program fails or takes too long, or what it wrote is not as it should be.
    """
    folder = out / "responses" / str(step)
    for command in recipe.evaluate.commands:
        path = folder / f"command_{command.name}.jsonl"
        if server is None:
            raise UserError(
                "a program of your own asks a server, and there is none",
                where=f"evaluate.commands, {command.name}",
                mend="Set evaluate.server",
            )
        programs = [file_digest(path) for path in map(Path, command.run) if path.is_file()]
        key = digest([weights_of(checkpoint, recipe.model.revision), command.run, programs])
        if not is_measured(path, key):
            rows = _measure(command, server, folder / "commands" / command.name)
            write_lines(path, [line_of(key, row, scores) for row, scores in rows.items()])


def command_line(command: Command, base_url: str, model: str, file: Path | str) -> list[str]:
    """The program with the arguments that it is given."""
    return [*command.run, "--base-url", base_url, "--model", model, "--out", str(file)]


def read_result(path: Path, name: str) -> dict[str, dict[str, float]]:
    """What a program wrote: row → metric → value. Scores without rows are those of one row, `all`.

    Raises:
        UserError: there is no file, it is not JSON, or not of one of the two forms.
    """
    where = f"evaluate.commands, {name}"
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as e:
        raise UserError("it ended well but wrote no file of scores", where=where, mend="Let it write to --out") from e
    except ValueError as e:
        raise UserError(f"what it wrote is not JSON ({e})", where=where, mend=_FORM) from e
    if not isinstance(found, dict) or ("scores" in found) == ("rows" in found):
        raise UserError('what it wrote has not exactly one of "scores" and "rows"', where=where, mend=_FORM)
    rows = found["rows"] if "rows" in found else {"all": found["scores"]}
    if not isinstance(rows, dict) or not rows:
        raise UserError('"rows" is not an object with at least one row', where=where, mend=_FORM)
    return _checked(rows, where)


def _measure(command: Command, server: tuple[str, str], folder: Path) -> dict[str, dict[str, float]]:
    file = folder / "scores.json"
    file.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    run_program(
        command_line(command, *server, file.absolute()),
        log=folder / "log.txt",
        what=f"your program {command.name}",
        mend="Mend the program, or evaluate.commands",
        timeout_s=command.timeout_s,
    )
    return read_result(file, command.name)


def _checked(rows: dict[str, Any], where: str) -> dict[str, dict[str, float]]:
    first = next(iter(rows.values()))
    names = list(first) if isinstance(first, dict) else []
    for row, scores in rows.items():
        if not isinstance(scores, dict) or not scores:
            raise UserError(f"the scores of {row!r} are not an object with at least one number", where=where, mend=_FORM)
        for name, value in scores.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise UserError(f"{name!r} of {row!r} is not a finite number: {value!r}", where=where, mend=_FORM)
        if set(scores) != set(names):
            raise UserError(
                f"the rows have different scores: {', '.join(sorted(names))}, but {row!r} has {', '.join(sorted(scores))}",
                where=where,
                mend="Give every row the same names",
            )
    return {row: {name: float(scores[name]) for name in names} for row, scores in rows.items()}
