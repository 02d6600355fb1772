"""What `acc plan` can't count it refuses in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from acc.cli import main
from acc.errors import ExitCode

PAPER = str(Path(__file__).resolve().parents[3] / "recipes" / "qwen3_30b_acc.yaml")


def refusal(setting: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["plan", PAPER, "--gpus", "8xH100", "--runs", str(folder), "--set", setting]) == ExitCode.USER
    return capsys.readouterr().err


@pytest.mark.parametrize("name", ["./nope", "../nope", "/nope", "/data/models/nope", "Qwen/", "org/a b", "~/nope"])
def test_a_student_that_can_only_be_a_folder_is_not_looked_for_on_the_hub(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(f'model.path="{name}"', tmp_path, capsys)
    assert f"model.path: there is no folder {name}" in said and "hf download" not in said


def test_a_student_of_the_hub_that_is_not_here_is_to_be_downloaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "hf download nobody/nothing config.json" in refusal("model.path=nobody/nothing", tmp_path, capsys)


@pytest.mark.parametrize("value", ["3", "[stage]", "yes"])
def test_a_section_of_deepspeed_that_is_none_is_refused(value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "deepspeed.zero_optimization: " in refusal(f"deepspeed={{zero_optimization: {value}}}", tmp_path, capsys)
