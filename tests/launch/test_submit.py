"""The scripts of `acc submit`: what they ask of Slurm, what each process is told, and what follows from how a job ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from acc.cli import main
from acc.compile.pipeline import relevant
from acc.errors import UserError
from acc.launch.submit.jobs import Place, Script, scripts, smoke_script
from acc.recipe import Recipe, load_recipe
from acc.stage.manifest import Manifest
from acc.train import train_key

RECIPE = """\
name: big
sources: [{name: logs, path: logs}]
pack: {length: 131072}
parallel: {sequence: 8}
evaluate: {where: job, benchmarks: [{name: mrcr, synthetic: {rows: 2}}]}
launch:
  nodes: 2
  processes: 8
  slurm:
    account: lab
    partition: gpu
    time: "24:00:00"
    setup: module load cuda
    extra: [--mail-type=END]
    cpu: {partition: cpu, cpus: 32, mem: 200G}
    train: {gpu_type: h100, cpus: 12, mem: "0", extra: [--exclusive]}
    evaluate: {time: "04:00:00"}
"""


def recipe_of(folder: Path, *sets: str) -> Recipe:
    (folder / "big.yaml").write_text(RECIPE)
    return load_recipe(folder / "big.yaml", sets)


def written(folder: Path, *sets: str) -> dict[str, str]:
    recipe = recipe_of(folder, *sets)
    place = Place(folder / "runs", folder)
    found: list[Script] = [*scripts(recipe, place), smoke_script(recipe, place)]
    return {script.name: script.text for script in found}


def asked(text: str) -> list[str]:
    return [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH")]


def test_each_job_asks_for_what_it_needs_and_its_own_section_wins(tmp_path: Path) -> None:
    found = written(tmp_path)
    assert list(found) == ["prepare", "train", "evaluate", "finish", "smoke"]
    prepare, train, evaluate, smoke = (asked(found[name]) for name in ("prepare", "train", "evaluate", "smoke"))
    assert {"--partition=cpu", "--cpus-per-task=32", "--mem=200G", "--nodes=1", "--ntasks-per-node=1"} <= set(prepare)
    assert {"--partition=gpu", "--nodes=2", "--ntasks-per-node=8", "--gres=gpu:h100:8", "--exclusive"} <= set(train)
    assert {"--time=04:00:00", "--gres=gpu:1", "--nodes=1"} <= set(evaluate)
    assert {"--nodes=1", "--ntasks-per-node=1", "--gres=gpu:h100:8", "--cpus-per-task=96"} <= set(smoke)
    assert not [option for option in prepare if "gres" in option]
    for options in (prepare, train, evaluate):
        assert {"--account=lab", "--requeue", "--signal=B:USR1@600", "--mail-type=END", "--open-mode=append"} <= set(options)


def test_the_scripts_are_shell(tmp_path: Path) -> None:
    for name, text in written(tmp_path).items():
        done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {done.stderr}"
        assert text.index("module load cuda") < text.index("srun ")


def test_without_jobs_for_evaluation_there_are_two_scripts(tmp_path: Path) -> None:
    found = written(tmp_path, "evaluate.where=watch")
    assert list(found) == ["prepare", "train", "smoke"] and "submit_evaluations" not in found["train"]


PYXIS = "--container-image=acc.sqsh --container-mounts=/data:/data bash -c"
APPTAINER = "apptainer exec --nv --bind /data:/data acc.sqsh bash -c"


@pytest.mark.parametrize(("runtime", "words"), [("pyxis", PYXIS), ("apptainer", APPTAINER)])
def test_a_container_holds_the_process_and_not_the_script(tmp_path: Path, runtime: str, words: str) -> None:
    container = f"launch.slurm.container={{image: acc.sqsh, runtime: {runtime}, mounts: ['/data:/data']}}"
    train = written(tmp_path, container)["train"]
    assert words in train
    assert "exec python3 -m acc run" in train, "the image's Python, not the one that submits"


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        (["launch.slurm.train.gpus=4"], "launch.slurm.train.gpus (4) is not launch.processes (8)"),
        (["launch.nodes=1", "launch.processes=4"], "are 4, which parallel.sequence (8) does not divide"),
        (["launch.slurm=null"], "the recipe says nothing of Slurm"),
        (["launch.slurm.evaluate.time='00:10:00'"], "told to end 600 s before that, as soon as they begin"),
        (["compile.executor=slurm", "launch.slurm.container={image: a.sqsh}"], "there is no sbatch in a container"),
        (["launch.slurm.partition='a b'"], "does not fit"),
        (["launch.slurm.template=mine.sbatch"], "is not there"),
    ],
)
def test_what_cannot_be_submitted_is_a_sentence(tmp_path: Path, sets: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as e:
        written(tmp_path, *sets)
    assert sentence in str(e.value)


def test_a_template_of_the_users_replaces_ours(tmp_path: Path) -> None:
    (tmp_path / "mine.sbatch").write_text("#!/bin/bash\n#SBATCH -J {{ stage }}\nexec {{ command }}\n")
    train = written(tmp_path, "launch.slurm.template=mine.sbatch")["train"]
    assert train.startswith("#!/bin/bash\n#SBATCH -J train\nexec ") and "--from train" in train
    (tmp_path / "mine.sbatch").write_text("{{ nonsense }}")
    with pytest.raises(UserError, match="nonsense"):
        written(tmp_path, "launch.slurm.template=mine.sbatch")


def test_a_dry_run_prints_everything_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe_of(tmp_path)
    assert main(["submit", str(tmp_path / "big.yaml"), "--runs", str(tmp_path / "runs"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.count("#!/bin/bash") == 4 and "--dependency=afterok:<prepare>" in said
    assert "jobs/recipe.yaml\n# Written by `acc submit " in said
    assert not (tmp_path / "runs").exists()


def stand_in(folder: Path, name: str, body: str) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    path = folder / "bin" / name
    path.write_text(f'#!/bin/bash\necho {name} "$*" >>{folder}/calls\n{body}\n')
    path.chmod(0o755)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that note how they were called; no job is known, and ids count from 101."""
    stand_in(tmp_path, "sbatch", f"echo $((100 + $(grep -c ^sbatch {tmp_path}/calls)))")
    stand_in(tmp_path, "scontrol", 'case $1-$2 in show-hostnames) echo node7;; requeue*) kill "$PPID";; esac')
    stand_in(tmp_path, "squeue", "echo 102")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    return tmp_path


def calls(folder: Path, name: str) -> list[str]:
    return [line for line in (folder / "calls").read_text().splitlines() if line.startswith(name)]


def test_submitting_says_what_waits_for_what_and_notes_the_ids(cluster: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submitted = recipe_of(cluster, "train.learning_rate=3e-6")
    command = ["submit", str(cluster / "big.yaml"), "--runs", str(cluster / "runs"), "--set", "train.learning_rate=3e-6"]
    assert main(command) == 0
    jobs = cluster / "runs" / "big" / "jobs"
    assert calls(cluster, "sbatch") == [
        f"sbatch --parsable {jobs}/prepare.sbatch",
        f"sbatch --parsable --dependency=afterok:101 --kill-on-invalid-dep=yes {jobs}/evaluate.sbatch 0",
        f"sbatch --parsable --dependency=afterok:101 --kill-on-invalid-dep=yes {jobs}/train.sbatch",
    ]
    assert {p.name: p.read_text().strip() for p in (jobs / "ids").iterdir()} == {
        "prepare": "101", "evaluate-0": "102", "train": "103",
    }  # fmt: skip

    (cluster / "big.yaml").write_text("name: other")
    assert f"acc run {jobs}/recipe.yaml --runs {cluster}/runs" in (jobs / "train.sbatch").read_text()
    frozen = load_recipe(jobs / "recipe.yaml").model_dump()
    assert frozen == {**submitted.model_dump(), "paths_from": str(cluster)}, "as it was when it was submitted"
    recipe_of(cluster)

    stand_in(cluster, "scontrol", "echo JobId=101 JobState=RUNNING Reason=None Restarts=0 ExitCode=0:0")
    capsys.readouterr()
    assert main(command) == 2
    assert "the run has jobs already: 101 (running)" in capsys.readouterr().err


def test_of_a_trained_run_what_is_not_evaluated_is_by_the_recipe_as_it_is_now(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, folder = recipe_of(cluster), cluster / "runs" / "big"
    Manifest("compile", "k", 0, recipe=relevant(recipe)).write(folder / "compile")
    packing = {"pack": recipe.pack.model_dump(), "sources": {"logs": {"weight": 1.0, "split": "train"}}}
    train = {"train": recipe.train.model_dump(include={"epochs", "max_steps", "global_batch"}), "data_parallel": 2}
    Manifest("pack", "k", 0, recipe={**packing, **train}).write(folder / "pack")
    Manifest("train", train_key(recipe, folder / "pack"), 0).write(folder / "train")

    def submitted(*sets: str) -> list[str]:
        (cluster / "calls").unlink(missing_ok=True)
        more = [word for text in sets for word in ("--set", text)]
        assert main(["submit", str(cluster / "big.yaml"), "--runs", str(cluster / "runs"), *more]) == 0
        return [line.rpartition("/")[2].removesuffix(".sbatch") for line in calls(cluster, "sbatch")]

    assert submitted() == ["prepare", "finish"]
    assert submitted("evaluate.screen=5") == ["prepare", "finish"]
    assert "screen: 5" in (folder / "jobs" / "recipe.yaml").read_text()
    for other in ("train.learning_rate=1e-6", "train.epochs=9", "compile.shuffle=false"):
        assert submitted(other) == ["prepare", "evaluate.sbatch 0", "train"], other


def test_no_sbatch_and_a_refusal_are_sentences(
    cluster: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe_of(cluster)
    command = ["submit", str(cluster / "big.yaml"), "--runs", str(cluster / "runs")]
    stand_in(cluster, "sbatch", "echo sbatch: error: invalid partition specified: cpu >&2; exit 1")
    assert main(command) == 2
    assert "sbatch refuses the job: invalid partition specified: cpu" in capsys.readouterr().err
    monkeypatch.setenv("PATH", str(cluster / "nowhere"))
    assert main(command) == 2
    assert "there is no `sbatch` here" in capsys.readouterr().err


def play(folder: Path, name: str, rank: str, restart: int = 0, *arguments: str) -> Path:
    """Run a script as Slurm's node would, the second of four processes being shell lines; return its attempt's logs."""
    (folder / "python").write_text(f"#!/bin/bash\n{rank}\n")
    (folder / "python").chmod(0o755)
    text = written(folder, f"launch.slurm.python={folder}/python", "launch.slurm.setup=''")[name]
    run = "SLURM_PROCID=1 SLURM_LOCALID=1 SLURM_NTASKS=4 SLURMD_NODENAME=node7 SLURM_STEP_ID=0"
    # The last four words are the process: bash -c task acc.
    stand_in(folder, "srun", f'export BATCH=$PPID; while [ "$1" != bash ]; do shift; done; {run} "$@"')
    jobs = folder / "runs" / "big" / "jobs"
    (jobs / "ids").mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "SLURM_JOB_ID": "2345", "SLURM_RESTART_COUNT": str(restart), "SLURM_JOB_NODELIST": "node[7-8]"}
    script = subprocess.Popen(["bash", "-s", *arguments], stdin=subprocess.PIPE, env=env, text=True, start_new_session=True)
    try:
        script.communicate(text, timeout=60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(script.pid, signal.SIGKILL)
    stage = "-".join([name, *arguments])
    return jobs / "logs" / stage / f"2345-{restart}"


def test_each_process_is_told_its_place_by_slurm(cluster: Path) -> None:
    names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE MASTER_ADDR MASTER_PORT ACC_LAUNCH OMP_NUM_THREADS"
    play(cluster, "train", f"for n in {names}; do echo $n=${{!n}}; done >{cluster}/told", 3)
    told = dict(line.split("=") for line in (cluster / "told").read_text().split())
    assert told == {
        "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "8", "MASTER_ADDR": "node7",
        "MASTER_PORT": str(10_000 + 23_453 % 20_000), "ACC_LAUNCH": "2345-3", "OMP_NUM_THREADS": "12",
    }  # fmt: skip


def test_what_is_evaluated_is_no_part_of_the_job_for_its_children(cluster: Path) -> None:
    play(cluster, "evaluate", f'echo "$*" >{cluster}/told; env | grep -c ^SLURM >>{cluster}/told', 0, "20")
    run = cluster / "runs" / "big"
    assert (cluster / "told").read_text().split("\n")[:2] == [f"-m acc eval --watch {run} --once --step 20", "0"]


@pytest.mark.parametrize(
    ("rank", "restarts", "requeued"),
    [
        ("exit 0", 1, 0),
        ("echo 75 >$ACC_ATTEMPT/ended-1; exit 75", 4, 4),
        ("echo 75 >$ACC_ATTEMPT/ended-1; kill -9 $$", 1, 1),
        ("echo 2 >$ACC_ATTEMPT/ended-1; kill -15 $$", 1, 0),
        ("kill -USR1 $BATCH; sleep 5", 4, 4),
        ("exit 76", 4, 2),
        ("exit 1", 4, 2),
    ],
    ids=[
        "well",
        "told to stop",
        "told to stop, others killed",
        "the user's mistake, others killed",
        "told to stop while it loads",
        "hung",
        "crashed",
    ],
)
def test_what_saved_or_crashed_is_queued_again_and_a_mistake_is_not(
    cluster: Path, rank: str, restarts: int, requeued: int
) -> None:
    for restart in range(restarts):
        play(cluster, "train", rank, restart)
    assert len(calls(cluster, "scontrol requeue 2345")) == requeued


def test_each_whole_checkpoint_of_the_schedule_gets_one_job_and_the_last_job_waits_for_those(cluster: Path) -> None:
    train, ids = cluster / "runs" / "big" / "train", cluster / "runs" / "big" / "jobs" / "ids"
    saves = f"mkdir -p {train}/checkpoint-{{5,7,10,15}}"
    for step in (5, 7, 10):
        marker = json.dumps({"scheduled": step != 7})
        saves += f"; echo '{marker}' >{train}/checkpoint-{step}/acc_checkpoint.json"
    play(cluster, "train", f"{saves}; exit 1")
    assert sorted(line.split()[-1] for line in calls(cluster, "sbatch")) == ["10", "5"]
    assert {(ids / f"evaluate-{step}").read_text().strip() for step in (5, 10)} == {"101", "102"}

    play(cluster, "train", "exit 0", 1)
    assert len(calls(cluster, "sbatch")) == 3, "those that have a job get no second one"
    assert calls(cluster, "sbatch")[-1].split()[2:] == ["--dependency=afterany:102", str(ids.parent / "finish.sbatch")]


def test_submitting_needs_no_torch() -> None:
    code = (
        "import sys, acc.launch.submit.cli, acc.launch.submit.submission, acc.launch.status; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
