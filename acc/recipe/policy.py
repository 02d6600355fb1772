"""What the policies of the sources allow: where their text may go, and where it may be shown."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from acc.errors import UserError
from acc.recipe.schema import Recipe
from acc.recipe.sources import Policy

KEPT_OUT = "The policy of this source (text_in_report: false) keeps its text out of reports."
"""What stands in a page where a source's text would."""

_LOCAL_TRACKERS = {"none", "tensorboard", "codecarbon", "dvclive", "flyte"}
_REMOTE_TRACKERS = {
    "wandb": ("WANDB_BASE_URL", "https://api.wandb.ai"),
    "mlflow": ("MLFLOW_TRACKING_URI", ""),
    "comet_ml": ("COMET_URL_OVERRIDE", "https://www.comet.com"),
    "neptune": ("", "https://app.neptune.ai"),
    "clearml": ("CLEARML_API_HOST", "https://api.clear.ml"),
    "dagshub": ("MLFLOW_TRACKING_URI", "https://dagshub.com"),
    "swanlab": ("SWANLAB_API_HOST", "https://swanlab.cn"),
}
"""Tracker → (environment variable with its server, the server it takes without; "" for a folder here)."""


def check_egress(policy: Policy, url: str, source: str, field: str = "sources[]") -> None:
    """Refuse to send text of a source to a host that its policy does not name. This machine is always allowed.

    Args:
        source: its name.
        field: its dotted name in the recipe.

    Raises:
        UserError: the host is not among the policy's hosts.
    """
    host = urlsplit(url).hostname or ""
    if is_here(host) or (policy.egress != "none" and host in {allowed.lower() for allowed in policy.egress}):
        return
    raise UserError(
        f"the policy of the source {source} does not let its text go to {host or repr(url)}",
        where=f"{field}.policy.egress",
        mend="Name the host there if it may, or ask a server on this machine",
    )


def check_trackers(recipe: Recipe, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse trackers on hosts that a source's policy does not name. Trackers that write files here are always allowed.

    Raises:
        UserError: a policy forbids the tracker's host, or the tracker is unknown, so nobody knows where it sends what it gets.
    """
    for tracker in recipe.train.report_to:
        url = _server(tracker, environment)
        for source in recipe.sources if url else ():
            try:
                check_egress(source.policy, url, source.name, recipe.field_of(source))
            except UserError as e:
                mend = "Name the host there, or take tensorboard (train.report_to); log.jsonl is always written"
                raise UserError(f"{e.what}, where the tracker {tracker} would send the run", where=e.where, mend=mend) from None


def check_evaluation(recipe: Recipe) -> None:
    """Refuse to ask a server elsewhere questions of a held-out source whose policy does not name its host.

    Raises:
        UserError: see `check_egress`.
    """
    server = recipe.evaluate.server
    if server is not None and server.base_url is not None and recipe.evaluate.held_out is not None:
        for source in recipe.sources:
            if source.split == "held_out":
                check_egress(source.policy, server.base_url, source.name, recipe.field_of(source))


def check_policies(recipe: Recipe, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse whatever the recipe sends out against a source's policy: to the teacher, to the evaluation's server, to trackers.

    Raises:
        UserError: see `check_egress`, `check_evaluation` and `check_trackers`.
    """
    teacher = recipe.rationale.teacher
    if teacher is not None and (recipe.rationale.kind == "teacher" or recipe.quality.leakage != "off"):
        for source in recipe.sources:
            if source.target in ("acc", "answer_only"):
                check_egress(source.policy, teacher.base_url, source.name, recipe.field_of(source))
    check_evaluation(recipe)
    check_trackers(recipe, environment)


def kept_out(sources: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The names of the sources whose text no report or viewer page may show.

    Args:
        sources: the section of a recipe as plain data, as recipe.json and compile's manifest hold it.
    """
    return frozenset(str(s.get("name")) for s in sources if (s.get("policy") or {}).get("text_in_report", True) is False)


def file_kept_out(file: str, inputs: Iterable[str], hidden: frozenset[str]) -> bool:
    """Whether a file of logs belongs to a source whose text is not shown, or may belong to one.

    Args:
        inputs: `source: file` as compile's manifest names what it read.
        hidden: what `kept_out` gave.
    """
    if not hidden:
        return False
    owners = {source for source, _, name in (i.partition(": ") for i in inputs) if file.startswith(name)}
    return not owners or bool(owners & hidden)


def is_here(host: str) -> bool:
    """Whether a host is this machine: a loopback address, or its own name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".") == "localhost" or (bool(host) and host == socket.gethostname().lower())
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _server(tracker: str, environment: Mapping[str, str]) -> str:
    """The address that a tracker sends to; "" where it writes files here."""
    if tracker in _LOCAL_TRACKERS:
        return ""
    if tracker == "wandb" and environment.get("WANDB_MODE", "").lower() in ("offline", "disabled", "dryrun"):
        return ""
    if tracker == "trackio":
        return "https://huggingface.co" if environment.get("TRACKIO_SPACE_ID") else ""
    variable, usual = _REMOTE_TRACKERS.get(tracker, ("", f"tracker://{tracker}"))
    url = environment.get(variable, "") or usual
    return url if urlsplit(url).hostname else ""
