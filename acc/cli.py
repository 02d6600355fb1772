"""The verbs. This module imports nothing heavy: `acc --help` answers at once, a verb imports its own room."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from acc import __version__
from acc.errors import ExitCode, UserError
from acc.launch.attempt import noted

VERBS = {
    "run": ("acc.launch.cli", "run the stages of a recipe that are missing or whose inputs changed"),
    "check": (
        "acc.launch.check.cli",
        "say what is wrong with a recipe, its data and this machine; --schema prints its JSON schema",
    ),
    "plan": ("acc.launch.plan.cli", "say what a recipe needs on given GPUs: memory, time, disk; and what would fit instead"),
    "formats": ("acc.trajectories.cli", "say what is in files of agent logs: format, counts, outcomes, lengths"),
    "convert": ("acc.trajectories.convert_cli", "write logs of any format as ATIF, one trajectory a line"),
    "synth": ("acc.synth.cli", "simulate environments and agents in them: unlimited verified trajectories"),
    "compile": ("acc.compile.cli", "trajectories → samples"),
    "pack": ("acc.pack.cli", "samples → packed sequences of token ids"),
    "train": ("acc.train.cli", "fine-tune on packed sequences"),
    "merge": ("acc.train.merge_cli", "write a base with the adapters of a checkpoint in its weights"),
    "eval": ("acc.evaluate.cli", "evaluate a checkpoint"),
    "grade": ("acc.evaluate.grade_cli", "grade responses that came from elsewhere"),
    "submit": ("acc.launch.submit.cli", "give a run to Slurm: compile, pack, training, evaluation of each checkpoint, report"),
    "status": ("acc.launch.status", "say where each stage of a run stands, and why a job ended"),
    "report": ("acc.report.cli", "write the report of a run"),
    "view": ("acc.view.cli", "write a page to browse the samples of a run, and what was rejected and merged"),
    "export": ("acc.exchange.cli", "write samples for others: released rows, TRL's columns, messages, token ids, and a card"),
    "trace": ("acc.lineage.trace", "show the way of a sample: its record, its sequences, and the checkpoints that saw it"),
    "purge": ("acc.lineage.purge", "list samples by source, licence, record…, and with --yes take them out of runs"),
}
"""Verb → (module with add_arguments and main, one line of help)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; return its exit code (`acc.errors.ExitCode`)."""
    argv = list(sys.argv[1:] if argv is None else argv)
    # `acc recipe.yaml` (from `accelerate launch -m acc recipe.yaml`) means `acc run recipe.yaml`.
    if argv and argv[0].endswith((".yaml", ".yml")):
        argv = ["run", *argv]
    parser = argparse.ArgumentParser(prog="acc", description="Agent Context Compilation, from agent logs to a report.")
    parser.add_argument("--version", action="version", version=f"acc {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="verb", required=True)
    for verb, (module, line) in VERBS.items():
        sub = verbs.add_parser(verb, help=line, description=f"{line[0].upper()}{line[1:]}.")
        if argv and argv[0] == verb:
            import_module(f"{module}").add_arguments(sub)
    args = parser.parse_args(argv)
    try:
        return int(import_module(VERBS[args.verb][0]).main(args))
    except UserError as e:
        print(f"acc {args.verb}: {e}", file=sys.stderr)
        return ExitCode.USER
    except BrokenPipeError:
        # The reader of our output (`| head`) went away: not an error of anybody's.
        sys.stderr.close()
        return ExitCode.OK
    except KeyboardInterrupt:
        print(f"acc {args.verb}: stopped; run it again to go on", file=sys.stderr)
        return 130


def entry() -> NoReturn:
    """The console script `acc`."""
    sys.exit(noted(main))
