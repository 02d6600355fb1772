"""`acc check` as it is called: its exit codes, its JSON, what it imports and asks; the hub, and GPUs between themselves."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import yaml
from checked import changed, good
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HTTPError, RepositoryNotFoundError  # type: ignore[attr-defined]

from acc.cli import main
from acc.errors import ExitCode, UserError, UserErrors
from acc.launch.check.hub import Hub
from acc.launch.check.nccl import run_processes
from acc.train import deepspeed_config


def written(folder: Path, **changes: Any) -> str:
    path = folder / "r.yaml"
    path.write_text(yaml.safe_dump(changed(good(folder), changes), sort_keys=False))
    return str(path)


def test_warnings_do_not_fail_and_errors_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = ["--offline", "--runs", str(tmp_path / "runs")]
    path = written(tmp_path, **{"train.warmup_steps": 100})
    assert main(["check", path, *runs]) == ExitCode.OK
    printed = capsys.readouterr()
    assert "in order (1 warning" in printed.out and "acc check: warning: " in printed.err
    assert main(["check", path, *runs, "--set", "train.epochs=9", "--set", "train.max_steps=null"]) == ExitCode.USER
    printed = capsys.readouterr()
    assert "not in order (1 error" in printed.out
    assert "--set train.epochs=9 train.epochs: train.epochs (9) asks for more passes" in printed.err


def test_json_holds_every_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, **{"pack.lengt": 3, "train.epochs": "two"})
    assert main(["check", path, "--json"]) == ExitCode.USER
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [f["level"] for f in found] == ["error", "error"]
    assert set(found[0]) == {"level", "what", "where", "mend"} and "Did you mean 'length'" in found[0]["mend"]


def test_a_login_node_needs_neither_torch_nor_transformers(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('torch', 'transformers', 'deepspeed', 'datasets'): sys.modules[name] = None\n"
        f"import acc.cli; sys.exit(acc.cli.main(['check', {written(tmp_path)!r}, '--offline', '--runs', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == ExitCode.OK, done.stderr


def test_unknown_names_of_deepspeed_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(section: dict[str, Any]) -> None:
        raise UserErrors([UserError("DeepSpeed does not know this setting", where=f"deepspeed.{n}") for n in section])

    monkeypatch.setattr(deepspeed_config, "check_names", refuse)
    path = written(tmp_path, deepspeed={"steps_per_prin": 1, "prescale": True})
    assert main(["check", path, "--offline", "--runs", str(tmp_path)]) == ExitCode.USER
    said = capsys.readouterr().err
    assert (
        f"error: {path}:" in said
        and "deepspeed.steps_per_prin: DeepSpeed does not know" in said
        and "deepspeed.prescale" in said
    )


def test_a_cached_repository_is_known_without_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--o--m" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (tmp_path / "models--o--m" / "refs").mkdir()
    (tmp_path / "models--o--m" / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text("{}")
    hub = Hub({}, offline=True)
    assert (hub.state("model", "o/m"), hub.state("model", "o/m", "abc"), hub.state("model", "o/m", "v2")) == (
        "cached",
        "cached",
        "offline",
    )
    assert hub.file("o/m", None, "config.json") == snapshot / "config.json"
    assert hub.file("o/m", None, "tokenizer.json") is None
    assert Hub({"HF_HUB_OFFLINE": "1"}, offline=False).state("dataset", "o/d") == "offline"


def test_the_hub_is_asked_once_and_not_again_when_it_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    asked: list[str] = []
    response: Any = SimpleNamespace(headers={}, request=None, status_code=404)

    def answer(self: object, name: str, **_: object) -> None:
        asked.append(name)
        if name == "o/gone":
            raise RepositoryNotFoundError("no", response=response)
        if name == "o/gated":
            raise GatedRepoError("no", response=response)
        if name == "o/far":
            raise HTTPError("no route")

    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", answer)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: pytest.fail("downloads are tried for a minute"))
    hub = Hub({}, offline=False)
    names = ["o/there", "o/gone", "o/gated", "o/there", "o/far", "o/later"]
    states = [hub.state("dataset", name) for name in names]
    assert states == ["there", "absent", "gated", "there", "unreachable", "unreachable"]
    assert asked == ["o/there", "o/gone", "o/gated", "o/far"]
    assert hub.file("o/model", None, "config.json") is None and len(asked) == 4


def test_a_repository_that_is_not_there_is_an_error_and_a_hub_that_is_not_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    path = written(tmp_path, **{"sources.0": {"name": "ours", "hub": {"dataset": "o/gone"}}})
    for state, code, level in (("absent", ExitCode.USER, "error"), ("unreachable", ExitCode.OK, "warning")):
        monkeypatch.setattr(Hub, "state", lambda self, *_, said=state: said)
        assert main(["check", path, "--runs", str(tmp_path)]) == code
        assert f"acc check: {level}: {path}:5 sources.0.hub.dataset: the hub" in capsys.readouterr().err


def test_a_server_that_does_not_listen_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        teacher = {"kind": "teacher", "teacher": {"base_url": f"http://127.0.0.1:{port}/v1", "model": "m"}}
        path = written(tmp_path, rationale=teacher)
        for listens in (False, True):
            if listens:
                listening.listen()
            assert main(["check", path, "--runs", str(tmp_path)]) == ExitCode.OK
            assert ("rationale.teacher.base_url: nothing answers at" in capsys.readouterr().err) is not listens


def test_processes_that_fail_or_hang_are_told_and_none_is_left() -> None:
    assert run_processes("import os; assert os.environ['WORLD_SIZE'] == '2'", 2, timeout_s=60) is None
    assert run_processes("raise SystemExit('rank ' + __import__('os').environ['RANK'])", 2, timeout_s=60) == "rank 0"
    assert run_processes("import time; time.sleep(61)", 2, timeout_s=0.5) == "it took longer than 0 s"
    assert not [p for p in Path("/proc").glob("[0-9]*") if _sleeps(p)]


def _sleeps(process: Path) -> bool:
    try:
        return b"import time; time.sleep(61)" in (process / "cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize(("name", "exists"), [("general_aime24/exact_match,none", True), ("aime24/exact_match,none", False)])
def test_the_best_checkpoint_is_chosen_by_a_score_that_will_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, exists: bool
) -> None:
    general = {"tasks": [{"task": "aime24"}]}
    evaluate = {"where": "watch", "server": {"start": "transformers"}, "general": general}
    main(["check", written(tmp_path, **{"evaluate": evaluate, "train.best": {"score": name}}), "--runs", str(tmp_path)])
    assert ("no evaluation of this recipe gives the score" not in capsys.readouterr().err) == exists
