"""Policies: text of a source goes to no host that its policy does not name."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from acc.errors import UserError
from acc.recipe import Recipe, recipe_from
from acc.recipe.policy import check_egress, check_evaluation, check_policies, check_trackers, is_here, kept_out
from acc.recipe.sources import Policy


def recipe(policy: dict[str, Any] | None = None, **sections: Any) -> Recipe:
    """A recipe with an open source and one with this policy."""
    open_ = {"name": "open", "path": "a", "policy": {"egress": ["api.wandb.ai", "teacher.example"]}}
    return recipe_from({"sources": [open_, {"name": "ours", "path": "b", "policy": policy or {}}], **sections})


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:8000/v1",
        "http://127.0.0.1:8000/v1",
        "http://127.8.8.8/v1",
        "http://[::1]:8000/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "http://0.0.0.0:8000/v1",
        f"http://{socket.gethostname()}:8000/v1",
    ],
)
def test_this_machine_is_always_allowed(url: str) -> None:
    check_egress(Policy(), url, "ours")


@pytest.mark.parametrize(
    "url",
    [
        "http://teacher.example/v1",
        "http://localhost@teacher.example/v1",
        "http://localhost.evil.example/v1",
        "http://127.0.0.1.evil.example/v1",
        "http://10.0.0.5:8000/v1",
        "teacher:8000/v1",
        "",
    ],
)
def test_another_host_is_refused_unless_named(url: str) -> None:
    with pytest.raises(UserError, match=r"egress: the policy of the source ours does not let its text go to"):
        check_egress(Policy(), url, "ours")
    with pytest.raises(UserError):
        check_egress(Policy(egress=["another.example"]), url, "ours")


def test_a_named_host_is_allowed_whatever_its_case() -> None:
    check_egress(Policy(egress=["Teacher.Example"]), "https://teacher.EXAMPLE:8443/v1", "ours")


@pytest.mark.parametrize(
    ("tracker", "environment"),
    [
        ("tensorboard", {}),
        ("trackio", {}),
        ("mlflow", {}),
        ("mlflow", {"MLFLOW_TRACKING_URI": "sqlite:///runs.db"}),
        ("mlflow", {"MLFLOW_TRACKING_URI": "http://localhost:5000"}),
        ("wandb", {"WANDB_MODE": "offline"}),
        ("wandb", {"WANDB_BASE_URL": "http://127.0.0.1:8080"}),
    ],
)
def test_trackers_here_are_no_egress(tracker: str, environment: dict[str, str]) -> None:
    check_trackers(recipe(train={"report_to": [tracker]}), environment)


@pytest.mark.parametrize(
    ("tracker", "environment", "host"),
    [
        ("wandb", {}, "api.wandb.ai"),
        ("comet_ml", {}, "www.comet.com"),
        ("mlflow", {"MLFLOW_TRACKING_URI": "https://ml.example"}, "ml.example"),
        ("trackio", {"TRACKIO_SPACE_ID": "me/space"}, "huggingface.co"),
        ("some_new_tracker", {}, "some_new_tracker"),
    ],
)
def test_trackers_elsewhere_are_refused_unless_named(tracker: str, environment: dict[str, str], host: str) -> None:
    asked = {"report_to": [tracker]}
    with pytest.raises(UserError, match=f"{host}, where the tracker {tracker} would send the run"):
        check_trackers(recipe({"egress": "none"}, train=asked), environment)
    if tracker == "wandb":
        check_trackers(recipe({"egress": ["api.wandb.ai"]}, train=asked), environment)


def test_check_refuses_a_teacher_that_a_policy_forbids(tmp_path: Path) -> None:
    server = {"kind": "teacher", "teacher": {"base_url": "http://teacher.example/v1", "model": "m"}}
    with pytest.raises(UserError, match=r"sources\.1\.policy\.egress: .*source ours.*teacher\.example"):
        check_policies(recipe(rationale=server))
    check_policies(recipe({"egress": ["teacher.example"]}, rationale=server))
    check_policies(recipe(rationale={**server, "kind": "none"}))
    with pytest.raises(UserError):
        check_policies(recipe(rationale={**server, "kind": "none"}, quality={"leakage": "flag"}))
    (tmp_path / "logs").mkdir()
    (tmp_path / "r.yaml").write_text("sources: [{name: ours, path: logs}]\ntrain: {report_to: [wandb]}\n")
    run = subprocess.run(
        [sys.executable, "-m", "acc", "check", str(tmp_path / "r.yaml")],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin"},
    )  # fmt: skip
    assert run.returncode == 2
    assert "r.yaml:1 sources.0.policy.egress: the policy of the source ours does not let" in run.stderr


def test_a_refusal_names_the_source_by_its_place_in_the_recipe_whichever_are_looked_at() -> None:
    whole = recipe(train={"report_to": ["wandb"]})
    alone = whole.model_copy(update={"sources": whole.sources[1:]})
    for looked_at in (whole, alone):
        with pytest.raises(UserError) as caught:
            check_policies(looked_at, {})
        assert caught.value.where == "sources.1.policy.egress"


def test_held_out_questions_go_to_no_server_that_their_policy_forbids() -> None:
    def asking(url: str, policy: dict[str, Any], **evaluate: Any) -> Recipe:
        kept = {"name": "kept", "path": "a", "split": "held_out", "policy": policy}
        section = {"server": {"base_url": url}, "held_out": {}, **evaluate}
        return recipe_from({"sources": [kept, {"name": "x", "path": "b"}], "evaluate": section})

    elsewhere = "http://gpu7.example:8000/v1"
    for check in (check_evaluation, check_policies):
        with pytest.raises(UserError, match=r"source kept.*gpu7\.example"):
            check(asking(elsewhere, {"egress": "none"}))
    check_policies(asking(elsewhere, {"egress": ["gpu7.example"]}))
    check_policies(asking("http://localhost:8000/v1", {"egress": "none"}))
    benchmarks = [{"name": "mrcr", "synthetic": {}}]
    check_policies(asking(elsewhere, {"egress": "none"}, held_out=None, benchmarks=benchmarks))


def test_names_of_the_sources_whose_text_is_not_shown() -> None:
    plain = recipe({"text_in_report": False}).model_dump(mode="json")["sources"]
    assert kept_out(plain) == {"ours"}
    assert kept_out([{"name": "x"}, {"name": "y", "policy": None}]) == set()
    assert not is_here("")
