"""General capabilities by lm-eval, as a program of its own: on the server that answers for a checkpoint, or on its weights.

lm-eval's defaults cut thinking models off: few tokens, greedy, and stop strings that thoughts may hold. Our settings replace
them for the tasks of `KNOWN`; of another task its own settings stay, but for the longest answer.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from acc.chat import StudentChat, load_chat
from acc.errors import UserError
from acc.evaluate.general_lines import read_lines
from acc.evaluate.lines import Line
from acc.evaluate.outside import is_measured, weights_of, write_lines
from acc.evaluate.program import run_program
from acc.evaluate.questions import CLOSE
from acc.evaluate.relay import Relay
from acc.llm import api_key
from acc.recipe.evaluation import GeneralTask
from acc.recipe.evaluation import Server as ServerOptions
from acc.recipe.schema import Recipe
from acc.records.adapters import BASE
from acc.stage.files import digest, file_digest
from acc.stage.seeds import seed_for

KNOWN = {
    "gpqa_diamond_cot_zeroshot": "exact_match,flexible-extract",
    "mmlu_pro": "exact_match,custom-extract",
    "aime24": "exact_match,none",
    "aime25": "exact_match,none",
    "ifeval": "prompt_level_strict_acc,none",
}
"""Task → the metric that is quoted. These end with the model's turn, at no stop string, and are sampled as `THINKING` says
where the recipe says nothing of sampling."""
THINKING = {"temperature": 0.6, "top_p": 0.95}
"""How thinking models want to be sampled."""
BATCH = 8
"""Rows that lm-eval asks at once in process, number."""
_LONGEST_PAUSE_S = 60
_OVER_BASE = ("rope_parameters", "rope_scaling", "max_position_embeddings")
"""What a training with adapters changes in the model under them."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of lm-eval: a task, and which of several answers to its questions."""

    recipe: Recipe
    task: GeneralTask
    sample: int

    def arguments(self, checkpoint: str, server: tuple[str, str] | None) -> list[str]:
        """lm-eval's arguments, without those that say where its output goes."""
        seed = seed_for(self.recipe.seed, "general", self.task.task, self.sample) % 2**31
        found = ["--model", "local-chat-completions" if server else "hf"]
        found += ["--model_args", json.dumps(self._asking(server, seed) if server else self._loading(checkpoint))]
        found += ["--tasks", self.task.task, "--apply_chat_template"]
        found += ["--gen_kwargs", json.dumps(self._sampling(server is not None)), "--seed", f"0,1234,{seed},1234"]
        found += [] if server else ["--batch_size", str(BATCH)]
        found += [] if self.task.limit is None else ["--limit", str(self.task.limit)]
        return found

    def _asking(self, server: tuple[str, str], seed: int) -> dict[str, Any]:
        options, (base_url, model) = _options(self.recipe), server
        return {
            "model": model,
            "base_url": f"{base_url.rstrip('/')}/chat/completions",
            "num_concurrent": options.concurrency,
            "tokenized_requests": False,
            "tokenizer_backend": None,
            "max_retries": 1,  # the relay tries again
            "timeout": round(options.timeout_s + _LONGEST_PAUSE_S) * (options.retries + 1),
            "think_end_token": CLOSE,
            "seed": seed,
        }

    def _loading(self, checkpoint: str) -> dict[str, Any]:
        model = self.recipe.model
        found: dict[str, Any] = {"pretrained": checkpoint, "dtype": "float32", "think_end_token": CLOSE}
        if (Path(checkpoint) / "adapter_config.json").is_file():
            config = json.loads((Path(checkpoint) / BASE / "config.json").read_text(encoding="utf-8"))
            changed = {name: config[name] for name in _OVER_BASE if name in config}
            found |= {"pretrained": self.recipe.student, "peft": checkpoint, "tokenizer": checkpoint, **changed}
        if not Path(str(found["pretrained"])).is_dir() and model.revision is not None:
            found["revision"] = model.revision
        return found | ({"trust_remote_code": True} if model.trust_remote_code else {})

    def _sampling(self, served: bool) -> dict[str, Any]:
        evaluate, known = self.recipe.evaluate, self.task.task in KNOWN
        found: dict[str, Any] = {"max_gen_toks": self.task.max_new_tokens} | ({"until": []} if known else {})
        if "sampling" in evaluate.model_fields_set:
            asked = evaluate.sampling
            found |= {"temperature": asked.temperature, "top_p": asked.top_p} | ({"top_k": asked.top_k} if asked.top_k else {})
        elif known:
            found |= THINKING
        if served:
            found |= _options(self.recipe).parameters
        elif "temperature" in found:
            found["do_sample"] = found["temperature"] > 0
        return found


def run_general(recipe: Recipe, *, checkpoint: str, server: tuple[str, str] | None, out: Path, step: int) -> None:
    """Ask the tasks of `evaluate.general` and write their lines to out/responses/<step>/general_<task>.jsonl.

    A task that these weights already answered whole is not asked again. On a server a task that was interrupted goes on where
    it was; in process it begins again.

    Args:
        checkpoint: a folder or a hub id.
        server: (base URL ending in /v1, model's name) of the server that answers for it; None loads it in lm-eval's process.
        out: the folder of the evaluation.
        step: the checkpoint's global step.

    Raises:
        UserError: lm-eval is not installed or fails, or a task has no such metric.
    """
    if recipe.evaluate.general is None:
        return
    if find_spec("lm_eval") is None:
        raise UserError(
            "general capabilities are measured by lm-eval, which is not installed",
            where="evaluate.general",
            mend='Install it: pip install "acc[eval]"',
        )
    chat = load_chat(checkpoint, revision=None if Path(checkpoint).is_dir() else recipe.model.revision)
    weights = weights_of(checkpoint, recipe.model.revision)
    folder = out / "responses" / str(step)
    for task in recipe.evaluate.general.tasks:
        runs = [_Run(recipe, task, sample) for sample in range(recipe.evaluate.sampling.samples)]
        asked = [run.arguments("", ("", server[1]) if server else None) for run in runs]
        key = digest([weights, version("lm_eval"), task.metric, asked, [file_digest(f) for f in _own_files(recipe)]])
        path = folder / f"general_{task.task}.jsonl"
        if is_measured(path, key):
            continue
        lines = []
        for run in runs:
            lines += _ask(run, checkpoint, server, chat, key, folder / "general" / task.task, weights)
        write_lines(path, lines)


def dry_run_lines(recipe: Recipe, checkpoint: str) -> list[str]:
    """The commands that `run_general` and `run_commands` would run, as they can be given to a shell.

    The server's address is that of the recipe; of a server yet to be started it is `http://127.0.0.1:PORT/v1`.
    """
    from acc.evaluate.command import command_line

    options = recipe.evaluate.server
    server = None
    if options is not None:
        server = (options.base_url or "http://127.0.0.1:PORT/v1", options.model or checkpoint)
    found = []
    for task in recipe.evaluate.general.tasks if recipe.evaluate.general else ():
        arguments = [*_Run(recipe, task, 0).arguments(checkpoint, server), *_included(recipe)]
        found.append(shlex.join(["lm_eval", "run", *arguments, "--log_samples", "--output_path", f"general/{task.task}"]))
    for command in recipe.evaluate.commands:
        address, model = server or ("http://127.0.0.1:PORT/v1", checkpoint)
        found.append(shlex.join(command_line(command, address, model, f"commands/{command.name}/scores.json")))
    return found


def _ask(
    run: _Run, checkpoint: str, server: tuple[str, str] | None, chat: StudentChat, key: str, folder: Path, weights: str
) -> list[Line]:
    """The lines of one run."""
    name, output = run.task.task, folder / f"sample-{run.sample}"
    if output.is_dir():
        shutil.rmtree(output)

    def ask(server: tuple[str, str] | None) -> None:
        arguments = run.arguments(str(Path(checkpoint).absolute()) if Path(checkpoint).is_dir() else checkpoint, server)
        places = ["--log_samples", "--output_path", str((output / "results.json").absolute())]
        program = [sys.executable, "-m", "lm_eval", "run", *arguments, *_included(run.recipe), *places]
        mend = "Mend the task, or evaluate.general; multiple choice needs weights, so no evaluate.server"
        run_program(program, log=folder / f"log-{run.sample}.txt", what=f"lm-eval on {name}", mend=mend)

    metric = run.task.metric or KNOWN.get(name)
    if server is None:
        ask(None)
        found = read_lines(output, name, metric, key=key, sample=run.sample)
    else:
        # Other weights at the same step never inherit a response.
        journal = folder / f"journal-{weights[:12]}.jsonl"
        with Relay(server, journal, opened=chat.opens_thinking, **_client(run.recipe)) as relay:
            try:
                ask((relay.url, server[1]))
            except UserError as e:
                raise relay.refused or e from e
            found = read_lines(output, name, metric, key=key, sample=run.sample, said=relay.said, count=chat.count)
    shutil.rmtree(output)
    return found


def _included(recipe: Recipe) -> list[str]:
    general = recipe.evaluate.general
    folder = general.include if general else None
    return [] if folder is None else ["--include_path", str(recipe.resolve(folder).absolute())]


def _own_files(recipe: Recipe) -> list[Path]:
    """The files of the user's own tasks.

    Raises:
        UserError: there is no such folder.
    """
    found = []
    for folder in map(Path, _included(recipe)[1:]):
        if not folder.is_dir():
            raise UserError("there is no such folder of tasks", where=f"evaluate.general.include: {folder}", mend="Correct it")
        found += sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return found


def _options(recipe: Recipe) -> ServerOptions:
    """How the server is asked; the defaults where the recipe names none."""
    return recipe.evaluate.server or ServerOptions(base_url="http://127.0.0.1/v1")


def _client(recipe: Recipe) -> dict[str, Any]:
    options = _options(recipe)
    return {
        "api_key": api_key(options.api_key_env, where="evaluate.server.api_key_env"),
        "concurrency": options.concurrency,
        "timeout_s": options.timeout_s,
        "attempts": options.retries + 1,
    }
