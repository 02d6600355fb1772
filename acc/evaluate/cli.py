"""`acc eval`: evaluate checkpoints as the recipe says, outside training; compare two; watch a run."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from acc.errors import ExitCode, UserError
from acc.recipe.evaluation import Server
from acc.recipe.loading import load_recipe
from acc.recipe.schema import Recipe
from acc.recipe.where import check_watch
from acc.records.scores import SCORES, Score, read_scores

BASE = "base"
"""What --checkpoint calls the recipe's model before training."""
_COMPARE = "Write acc eval compare A B; A and B are such as runs/x@40, runs/x@base or a folder of responses"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `acc eval`."""
    parser.add_argument("compare", nargs="*", metavar="compare A B", help="compare two evaluations, as runs/x@base runs/x@40")
    parser.add_argument("--recipe", help="the recipe (YAML)")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field of the recipe")
    parser.add_argument(
        "--checkpoint", action="append", default=[], metavar="CHECKPOINT",
        help="folder, hub id, or base; may be given again; left out, the recipe's model before training (step 0)",
    )  # fmt: skip
    parser.add_argument(
        "--step", action="append", type=int, default=[],
        help="the checkpoint's global step, once for each; left out, taken from a name like checkpoint-120 (hub ids: 1, 2…)",
    )  # fmt: skip
    parser.add_argument("--compiled", type=Path, help="folder of `acc compile` (default runs/<name>/compile)")
    parser.add_argument("--out", type=Path, help="where responses and scores go (default runs/<name>/evaluate)")
    parser.add_argument("--base-url", metavar="URL", help="ask a server that runs already, as http://host:port/v1")
    parser.add_argument("--screen", action="store_true", help="ask only the rows of evaluate.screen")
    parser.add_argument("--dry-run", action="store_true", help="say what would be asked, and ask nothing")
    parser.add_argument("--published", action="store_true", help="print the scores beside those that the paper published")
    parser.add_argument("--watch", metavar="RUN", help="evaluate the checkpoints of runs/<name> as they appear")
    parser.add_argument("--once", action="store_true", help="with --watch: evaluate what is there (or only --step), and end")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Evaluate and print the scores, or compare, or watch.

    Raises:
        UserError: as `acc.evaluate.run`, `acc.evaluate.compare` and `acc.launch.watch`; or the arguments don't fit together.
    """
    if args.compare:
        return _compare(args.compare, json_=args.json)
    if args.watch:
        return _watch(args)
    if args.once:
        raise UserError("--once says how long to watch", mend="Give --watch runs/<name> too")
    if not args.recipe:
        raise UserError("no recipe is named", mend="Give --recipe, or --watch runs/<name>, or compare A B")
    if args.json and args.published:
        raise UserError("--published prints a table, not JSON", mend="Leave out --json")
    recipe = load_recipe(args.recipe, args.set)
    if args.base_url:
        recipe = _asking(recipe, args.base_url)
    if args.screen and recipe.evaluate.screen is None:
        raise UserError("--screen: the recipe has no evaluate.screen", mend="Set it to the number of rows")
    checkpoints = checkpoints_of(args.checkpoint, args.step, recipe.student)
    if len(checkpoints) > 1:
        check_watch(recipe)
    folder = Path("runs") / recipe.name
    compiled, out = args.compiled or folder / "compile", args.out or folder / "evaluate"
    if args.dry_run:
        from acc.evaluate.dry_run import dry_run

        for line in dry_run(recipe, compiled, list(checkpoints.values()), screen=args.screen):
            print(line, flush=True)
        return ExitCode.OK
    from acc.evaluate.runner import Evaluation  # torch and transformers take seconds: only when they are needed

    evaluation = Evaluation(recipe, compiled, out)
    rows: Literal["screen", "full"] = "screen" if args.screen else "full"
    scores = [s for step, checkpoint in checkpoints.items() for s in evaluation.run(checkpoint, step, rows=rows)]
    _print(scores, checkpoints, json_=args.json)
    if args.published:
        from acc.evaluate.calibration import calibration_lines

        print(*calibration_lines(read_scores(out / SCORES), checkpoints, recipe.evaluate), sep="\n")
    return ExitCode.OK


def checkpoints_of(given: Sequence[str], steps: Sequence[int], base: str) -> dict[int, str]:
    """Step → what to evaluate, in the order of steps: the base comes first, the others are compared with it.

    Raises:
        UserError: a step is not known, given twice, or without a checkpoint.
    """
    if steps and len(steps) != len(given):
        if not given:
            raise UserError(f"--step {steps[0]} needs a --checkpoint", mend="Name the checkpoint's folder")
        raise UserError(f"there are {len(given)} checkpoints and {len(steps)} steps", mend="Give --step once for each, or not")
    found: dict[int, str] = {}
    from_hub = 0
    for number, name in enumerate(given or [BASE]):
        from_hub += not Path(name).is_dir() and name != BASE
        step = steps[number] if steps else _step(name, from_hub)
        if step in found:
            raise UserError(f"{found[step]} and {name} are both step {step}", mend="Give --step once for each checkpoint")
        found[step] = base if name == BASE and not Path(name).is_dir() else name
    return dict(sorted(found.items()))


def _step(name: str, from_hub: int) -> int:
    if name == BASE:
        return 0
    if match := re.fullmatch(r"checkpoint-(\d+)", Path(name).name):
        return int(match[1])
    if Path(name).is_dir():
        raise UserError(f"the step of {name} is not known", mend="Give --step")
    return from_hub


def _asking(recipe: Recipe, base_url: str) -> Recipe:
    """The recipe, its server being the one at this address."""
    server = recipe.evaluate.server
    fields = {} if server is None else server.model_dump(exclude={"start", "base_url"})
    asked = Server(base_url=base_url, **fields)
    return recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update={"server": asked})})


def _compare(words: Sequence[str], *, json_: bool) -> int:
    from acc.evaluate.compare import as_json, asked_apart, compare, responses_of, table

    if words[0] != "compare" or len(words) != 3:
        raise UserError(f"acc eval does not know {' '.join(words)!r}", mend=_COMPARE)
    a, b = (responses_of(word) for word in words[1:])
    found = compare(a, b)
    for suite, n in asked_apart(a, b).items():
        what = f"{suite}: {n:,} of A's answers were asked for otherwise than B's (prompt's tokens, max_new_tokens or sampling)"
        print(f"acc eval compare: {what}: the difference holds that too", file=sys.stderr)
    print(as_json(found) if json_ else table(found))
    return ExitCode.OK


def _watch(args: argparse.Namespace) -> int:
    alone = ["checkpoint", "compiled", "out", "base_url", "screen", "dry_run", "published", "json"]
    if not args.once or len(args.step) > 1:
        alone.append("step")
    if given := [name for name in alone if getattr(args, name)]:
        option = f"--{given[0].replace('_', '-')}"
        raise UserError(f"--watch evaluates a whole run, so {option} has no meaning", mend="Leave out one of the two")
    from acc.launch.watch import watch

    return watch(args)


def _print(scores: Sequence[Score], checkpoints: Mapping[int, str], *, json_: bool) -> None:
    if json_:
        print(json.dumps([{"name": s.name, **asdict(s)} for s in scores], indent=1))
        return
    for step, checkpoint in checkpoints.items():
        if len(checkpoints) > 1:
            print(f"step {step}: {checkpoint}")
        for score in (s for s in scores if s.step == step):
            low, high = score.ci95
            left = f"  skipped {score.skipped}" if score.skipped else ""
            left += f"  failed {score.failed}" if score.failed else ""
            print(f"{score.name:<56} {score.mean:8.4f}  [{low:.4f}, {high:.4f}]  n {score.n}{left}")
