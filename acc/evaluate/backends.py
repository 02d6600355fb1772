"""Who answers: what the recipe says, opened on a checkpoint."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acc.chat import StudentChat
from acc.errors import UserError
from acc.evaluate.asking import Requests, template_arguments
from acc.evaluate.configuration import read_config, refuse_adapters, scaled, window_of
from acc.evaluate.outside import weights_of
from acc.evaluate.questions import Backend
from acc.evaluate.server import Host, Server
from acc.evaluate.serving import NAME, Started, program_of, transformers_command, vllm_command
from acc.llm import api_key
from acc.recipe.evaluation import Server as Settings
from acc.recipe.schema import Recipe
from acc.stage.files import digest
from acc.stage.seeds import seed_for

UNTOLD = 1 << 30
"""The window of a server that does not tell it, tokens: nothing is skipped, and what is too long it refuses itself."""
ALL_TOKENS = {"vllm": -1, "sglang": -1}
"""What top_k is to be so that it drops no token, by who owns the model: left out, these take generation_config.json's."""


def open_backend(recipe: Recipe, checkpoint: str, chat: StudentChat, folder: Path, *, step: int) -> Backend:
    """Open a checkpoint for questions. A server that is to be started starts when the first question is asked.

    Args:
        checkpoint: a folder or a hub id.
        folder: where a server's journal and log go; of this checkpoint only.
        step: the checkpoint's global step. That of step 0 is served with the recipe's RoPE scaling, which others carry.

    Raises:
        UserError: it is not there, a server does not take it, or there is no such server.
    """
    settings = recipe.evaluate.server
    if settings is None:
        return _in_process(recipe, checkpoint, chat)
    if settings.start is None:
        return _given(recipe, settings, checkpoint, chat, folder, step)
    return _started(recipe, settings, checkpoint, chat, folder, step)


def _in_process(recipe: Recipe, checkpoint: str, chat: StudentChat) -> Backend:
    from acc.evaluate.generation import InProcess

    evaluate, sampling = recipe.evaluate, recipe.evaluate.sampling
    return InProcess(
        checkpoint,
        stop_id=chat.stop_id,
        decode=lambda ids: chat.tokenizer.decode(ids, keep_control=True),
        batch_tokens=evaluate.batch_tokens,
        prefill_tokens=evaluate.prefill_tokens,
        revision=None if Path(checkpoint).is_dir() else recipe.model.revision,
        trust_remote_code=recipe.model.trust_remote_code,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        seed=_seed(recipe),
    )


def _started(recipe: Recipe, settings: Settings, checkpoint: str, chat: StudentChat, folder: Path, step: int) -> Backend:
    local = Path(checkpoint).is_dir()
    revision = None if local else recipe.model.revision
    refuse_adapters(checkpoint)
    config, generation, name = read_config(checkpoint, revision)
    trusted, seed = recipe.model.trust_remote_code, _seed(recipe) % 2**31
    vllm = settings.start == "vllm"
    program = program_of("vllm" if vllm else "transformers")
    overrides = scaled(config, recipe.model.rope) if vllm and step == 0 else {}
    model = NAME if vllm else checkpoint if local else name

    def command(port: int) -> list[str]:
        if not vllm:
            return transformers_command(model, settings, port, program=program, trust_remote_code=trusted, seed=seed)
        return vllm_command(
            checkpoint,
            settings,
            port,
            program=program,
            revision=revision,
            trust_remote_code=trusted,
            overrides=overrides,
            seed=seed,
        )

    window = window_of({**config, **overrides})
    if vllm and (told := _argument(settings.arguments, "--max-model-len")) is not None and told.isdecimal():
        window = int(told)
    return _server(
        recipe,
        settings,
        Started(command, folder, name=f"{settings.start} serve", timeout_s=settings.startup_timeout_s),
        model,
        chat,
        folder,
        window=window or UNTOLD,
        weights=[settings.start, weights_of(checkpoint, name), settings.arguments, overrides],
        generation=None if vllm else _endings(generation, chat),
    )


def _given(recipe: Recipe, settings: Settings, checkpoint: str, chat: StudentChat, folder: Path, step: int) -> Backend:
    url = str(settings.base_url).rstrip("/")
    key = api_key(settings.api_key_env, where="evaluate.server.api_key_env")
    named = settings.model.replace("{checkpoint}", checkpoint).replace("{step}", str(step)) if settings.model else None
    model = _model_of(url, key, named)
    window = model.get("max_model_len")
    local = Path(checkpoint).is_dir()
    if window is None and local:
        window = window_of(read_config(checkpoint, None)[0])
    if window is None:
        print(f"acc eval: {url} does not say how long its window is: over-long prompts are its to refuse", file=sys.stderr)
    all_tokens = ALL_TOKENS.get(str(model.get("owned_by")))
    sampling = recipe.evaluate.sampling
    return _server(
        recipe,
        settings,
        Given(url),
        str(model["id"]),
        chat,
        folder,
        window=window or UNTOLD,
        # Not the address: a model may move. What a hub id or a name stands for on that server is not known here.
        weights=["given", model["id"], weights_of(checkpoint, recipe.model.revision)],
        common={"top_k": all_tokens} if all_tokens and sampling.temperature and not sampling.top_k else {},
        key=key,
    )


def _server(
    recipe: Recipe,
    settings: Settings,
    host: Host,
    model: str,
    chat: StudentChat,
    folder: Path,
    *,
    window: int,
    weights: list[Any],
    common: dict[str, Any] | None = None,
    generation: dict[str, Any] | None = None,
    key: str = "",
) -> Server:
    fingerprint = digest(weights)
    return Server(
        host,
        model,
        requests=Requests(
            recipe.evaluate.sampling,
            _seed(recipe),
            {**(common or {}), **template_arguments(chat, recipe.pack.layout)},
            settings.parameters,
            generation,
        ),
        window=window,
        fingerprint=fingerprint,
        journal=folder / f"requests-{fingerprint[:12]}.jsonl",
        count=chat.count,
        settings=settings,
        api_key=key,
    )


@dataclass(frozen=True)
class Given:
    """A server that somebody else runs (a `Host`)."""

    address: str

    def url(self) -> str:
        """Its address, ending in /v1."""
        return self.address

    def check(self) -> None:
        """Nothing is known of it but what its answers say."""

    def close(self) -> None:
        """It is not ours to end."""


def _model_of(url: str, key: str, wanted: str | None) -> dict[str, Any]:
    """What a server says of the model that is asked: its `id`, and `max_model_len` and `owned_by` where it says them.

    Raises:
        UserError: no server answers there, or it has no such model, or several and none is named.
    """
    request = urllib.request.Request(f"{url}/models", headers={"Authorization": f"Bearer {key}"} if key else {})
    found: dict[str, dict[str, Any]] = {}
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            found = {str(m["id"]): dict(m) for m in json.load(reply)["data"]}
    except urllib.error.HTTPError as e:
        if wanted is None:
            raise _no_list(url, e) from e
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise _no_list(url, e) from e
    if wanted is not None:
        # transformers' server lists what it has downloaded, and takes others too.
        return found.get(wanted, {"id": wanted})
    if len(found) != 1:
        raise UserError(
            f"the server lists {len(found)} models", where=f"evaluate.server.base_url {url}", mend="Set evaluate.server.model"
        )
    return next(iter(found.values()))


def _no_list(url: str, reason: Exception) -> UserError:
    where = f"evaluate.server.base_url {url}"
    return UserError(f"no server lists its models there ({reason})", where=where, mend="Write http://host:port/v1")


def _endings(generation: dict[str, Any], chat: StudentChat) -> dict[str, Any]:
    """The model's special tokens alone: neutral settings that end a turn where the model and its template do."""
    ends = generation.get("eos_token_id", [])
    ends = ends if isinstance(ends, list) else [ends]
    kept = {name: generation[name] for name in ("bos_token_id", "pad_token_id") if generation.get(name) is not None}
    return {"pad_token_id": chat.stop_id, **kept, "eos_token_id": sorted({*ends, chat.stop_id})}


def _argument(arguments: list[str], name: str) -> str | None:
    """The value of a program's argument, as `--name value` or `--name=value`; the last one counts."""
    found = None
    for i, argument in enumerate(arguments):
        if argument == name and i + 1 < len(arguments):
            found = arguments[i + 1]
        elif argument.startswith(f"{name}="):
            found = argument.removeprefix(f"{name}=")
    return found


def _seed(recipe: Recipe) -> int:
    return seed_for(recipe.seed, "evaluate")
