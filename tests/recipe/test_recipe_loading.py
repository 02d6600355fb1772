"""A recipe is read exactly, and every mistake in it ends in a sentence that says where it is and how to mend it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from acc.errors import UserError, UserErrors
from acc.recipe import Recipe, frozen, load_recipe
from acc.recipe.loading import places_of

GOOD = """\
name: demo
sources:
  - name: logs
    path: logs
    weight: 2
  - name: kept
    path: kept
    split: held_out
pack: {length: 4096}
compile:
  budget_tokens: 4096
  target_reserve_tokens: 256
train:
  learning_rate: 2e-5
  betas: [0.9, 0.98]
evaluate:
  held_out: {limit: 10}
"""


def write(folder: Path, text: str, name: str = "recipe.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_recipe_is_read_with_numbers_as_people_write_them(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert recipe.train.learning_rate == 2e-5
    assert recipe.train.betas == (0.9, 0.98)
    assert [s.weight for s in recipe.sources] == [2, 1]
    assert recipe.resolve("logs") == tmp_path / "logs"


def test_on_and_off_are_words(tmp_path: Path) -> None:
    text = GOOD + "quality: {secrets: off}\n"
    text = text.replace("path: logs\n", "path: logs\n    join: [{file: gold.json, on: query, fields: {db: db}}]\n")
    recipe = load_recipe(write(tmp_path, text), ["quality.personal=off", "compile.shuffle=no"])
    assert (recipe.quality.secrets, recipe.quality.personal) == ("off", "off")
    assert recipe.sources[0].join[0].on == "query"
    assert recipe.compile.shuffle is False


def test_set_overrides_fields_and_list_items(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD), ["train.learning_rate=3e-4", "sources.0.weight=5", "lora.rank=8"])
    assert recipe.train.learning_rate == 3e-4
    assert recipe.sources[0].weight == 5
    assert recipe.lora is not None and recipe.lora.rank == 8


def test_extends_merges_sections_and_replaces_lists(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "base.yaml")
    recipe = load_recipe(write(tmp_path, "extends: base.yaml\ntrain: {epochs: 3}\n", "child.yaml"))
    assert recipe.train.epochs == 3
    assert recipe.train.learning_rate == 2e-5
    assert len(recipe.sources) == 2


def test_a_mistake_in_an_extended_file_is_placed_in_that_file(tmp_path: Path) -> None:
    write(tmp_path, GOOD + "mo: {}\n", "base.yaml")
    with pytest.raises(UserError, match=r"base\.yaml:18 mo: there is no field 'mo'\. Did you mean 'moe'"):
        load_recipe(write(tmp_path, "extends: base.yaml\n", "child.yaml"))


# Each mistake: what to replace in the good recipe, by what, and what the sentence must say: place, field and mend.
MISTAKES = {
    "a misspelt field": ("weight: 2", "weigth: 2", r"recipe\.yaml:5 sources\.0\.weigth.*Did you mean 'weight'"),
    "a misspelt section": ("train:", "trian:", r"recipe\.yaml:13 trian.*Did you mean 'train'"),
    "a field of another section": ("pack: {length", "pack: {epochs", r"recipe\.yaml:9 pack\.epochs.*Known here: .*length"),
    "a word for a number": ("2e-5", "fast", r"recipe\.yaml:14 train\.learning_rate: 'fast'.*number"),
    "a number as text": ("2e-5", "'2e-5'", r"recipe\.yaml:14 train\.learning_rate: '2e-5'.*number"),
    "a negative rate": ("2e-5", "-1", r"recipe\.yaml:14 train\.learning_rate: -1.*greater than 0"),
    "not a number at all": ("2e-5", ".nan", r"recipe\.yaml:14 train\.learning_rate.*(finite|greater)"),
    "a fraction of a token": ("length: 4096", "length: 40.5", r"recipe\.yaml:9 pack\.length: 40\.5.*integer"),
    "a choice that is none": (
        "split: held_out",
        "split: heldout",
        r"yaml:8 sources\.1\.split.*Did you mean 'held_out'",
    ),
    "a source without a name": ("- name: logs\n    path", "- path", r"recipe\.yaml:3 sources\.0\.name: 'name' is missing"),
    "a source without data": ("    path: kept\n", "", r"recipe\.yaml:6 sources\.1: .*exactly one of `path`, `hub` and `synth`"),
    "a password": (
        "    path: kept\n",
        "    path: kept\n    resolve: {sql: {url: 'mysql+pymysql://me:hunter2@db.example/{db}'}}\n",
        r"recipe\.yaml:8 sources\.1\.resolve\.sql\.url: .*Write \$NAME",
    ),
    "a name with a slash": ("name: demo", "name: a/b", r"recipe\.yaml:1 name: 'a/b'"),
    "the same source twice": ("name: kept", "name: logs", r"recipe\.yaml:6 sources\.1\.name: .*both 'logs'"),
    "a budget over the length": (
        "budget_tokens: 4096",
        "budget_tokens: 8192",
        r"yaml:11 compile\.budget_tokens: .*\(8192\) is larger than pack.length.*Raise",
    ),
    "a reserve over the budget": (
        "tokens: 256",
        "tokens: 4096",
        r"yaml:12 compile\.target_reserve_tokens.*leaves nothing.*Lower",
    ),
    "held-out questions of nothing": (
        "    split: held_out\n",
        "",
        r"yaml:16 evaluate\.held_out.*no source has split: held_out",
    ),
    "a list for a mapping": ("pack: {length: 4096}", "pack: [4096]", r"recipe\.yaml:9 pack: a list does not fit"),
    "a key given twice": ("name: demo", "name: demo\nname: again", r"recipe\.yaml:2: the key 'name' is given twice"),
    "broken YAML": ("pack: {length: 4096}", "pack: {length: 4096", r"recipe\.yaml:1[01]: this is not YAML"),
    "a tab for indentation": ("  learning_rate", "\tlearning_rate", r"recipe\.yaml:14: this is not YAML"),
    "a beta of 1": ("[0.9, 0.98]", "[0.9, 1]", r"recipe\.yaml:15 train\.betas\.1: 1 .*less than 1"),
    "a negative beta": ("[0.9, 0.98]", "[-0.1, 0.98]", r"recipe\.yaml:15 train\.betas\.0: -0\.1 "),
    "dropout of everything": ("name: demo", "lora: {dropout: 1}", r"recipe\.yaml:1 lora\.dropout: 1 .*less than 1"),
    "no path": ("path: logs\n", "path: []\n", r"recipe\.yaml:4 sources\.0\.path: the list names nothing"),
    "an unquoted number": ("name: demo", "name: 2026", r"recipe\.yaml:1 name: 2026 .*Quote it \(Name of the run"),
    "an alias in itself": ("name: demo", "lora: &a [*a]", r"recipe\.yaml:1: an alias here names what it is in"),
    "too many brackets": ("name: demo", "lora: " + "[" * 5000, r"recipe\.yaml:1: this is nested too deeply"),
    "a character that is none": ("demo", "de\0mo", r"recipe\.yaml:1: this is not YAML \(the character #x0000\)\. Remove"),
    "a tag without its value": ("demo", "!!timestamp x", r"recipe\.yaml:1: this is not YAML"),
    "one beta": ("[0.9, 0.98]", "[0.9]", r"recipe\.yaml:15 train\.betas"),
    "an extends that is not there": ("name: demo", "extends: gone.yaml", r"recipe\.yaml:1: `extends` names gone\.yaml"),
    "an extends of itself": ("name: demo", "extends: recipe.yaml", r"`extends` goes in a circle"),
    "YAML that runs Python": ("name: demo", "name: !!python/object/apply:os.getcwd []", r"yaml:1: this is not YAML"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_ends_in_a_sentence(tmp_path: Path, mistake: str) -> None:
    old, new, sentence = MISTAKES[mistake]
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(UserError, match=f"(?s){sentence}"):
        load_recipe(path)


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("weight: 2", "weigth: 2").replace("2e-5", "fast"))
    with pytest.raises(UserError) as caught:
        load_recipe(path)
    assert len(str(caught.value).splitlines()) == 2


def test_what_sections_say_against_each_other_is_placed_where_it_was_set_last(tmp_path: Path) -> None:
    base = write(tmp_path, GOOD, "base.yaml")
    child = write(tmp_path, "extends: base.yaml\n\npack:\n  length: 2048\n", "child.yaml")
    with pytest.raises(UserError, match=r"^\S*child\.yaml:4 pack\.length: compile\.budget_tokens \(4096\) is larger"):
        load_recipe(child)
    with pytest.raises(UserError, match=r"^--set parallel\.sequence=3 parallel\.sequence: .*a multiple of 3, or another"):
        load_recipe(base, ["parallel.sequence=3"])
    with pytest.raises(UserError, match=r"^--set pack=\{length: 4095\} pack\.length: compile"):
        load_recipe(base, ["pack={length: 4095}"])
    with pytest.raises(UserError, match=r"^--set rationale\.kind=teacher rationale\.kind: teacher needs"):
        load_recipe(base, ["rationale.kind=teacher"])
    with pytest.raises(UserError, match=r"^--set sources\.0\.name=kept sources\.0\.name: .*both 'kept'"):
        load_recipe(base, ["sources.0.name=kept"])
    with pytest.raises(UserError, match=r"^\S*base\.yaml:9 pack\.length: compile\.budget_tokens \(131072\)"):
        load_recipe(write(tmp_path, GOOD.replace("  budget_tokens: 4096\n", ""), "base.yaml"))


def test_all_that_sections_say_against_each_other_is_said_at_once(tmp_path: Path) -> None:
    sets = ["pack.length=2047", "parallel.sequence=2", "quality.leakage=flag"]
    with pytest.raises(UserErrors) as caught:
        load_recipe(write(tmp_path, GOOD), sets)
    assert [e.where for e in caught.value.errors] == [f"--set {sets[i]} {sets[i].split('=')[0]}" for i in (0, 1, 2)]
    assert all(e.mend for e in caught.value.errors)


def test_what_a_file_replaces_whole_has_no_place_in_the_one_it_extends(tmp_path: Path) -> None:
    write(tmp_path, GOOD, "base.yaml")
    child = write(
        tmp_path, "extends: base.yaml\nsources: [{name: other, path: logs}]\nevaluate: {held_out: null}\n", "child.yaml"
    )
    places = places_of(child, ["rationale.teacher={base_url: x, model: y}"])
    assert "sources.0.weight" not in places and "sources.1.name" not in places and "evaluate.held_out.limit" not in places
    assert places["sources.0.name"] == f"{child}:2" and places["pack.length"] == f"{tmp_path / 'base.yaml'}:9"
    assert places["rationale.teacher.model"] == places["rationale"] == "--set rationale.teacher={base_url: x, model: y}"


def test_a_time_limit_may_stand_without_quotes(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD + "launch: {slurm: {time: 24:00:00}}\n"), ["launch.slurm.cpu.time=1-12:00:00"])
    assert recipe.launch.slurm is not None
    assert (recipe.launch.slurm.time, recipe.launch.slurm.cpu.time) == ("24:00:00", "1-12:00:00")
    assert load_recipe(write(tmp_path, GOOD), ["compile.slurm.time=12:00:00"]).compile.slurm.time == "12:00:00"


@pytest.mark.parametrize(
    ("benchmark", "sentence"),
    [
        (
            "{name: mrcr, synthetic: {}, needles: [2, 3]}",
            r"needles: `needles` asks for 3, which no row has\. There are 2, 4, 8",
        ),
        ("{name: graphwalks, hub: {dataset: openai/graphwalks}, problem_types: [parent]}", r"types: .* There are bfs, parents"),
        ("{name: graphwalks, rows: mine.parquet, problem_types: [dfs]}", ""),
        ("{name: mrcr, hub: {dataset: mine/mrcr}, needles: [16]}", ""),
    ],
)
def test_rows_whose_kinds_are_known_are_not_asked_for_another(tmp_path: Path, benchmark: str, sentence: str) -> None:
    path = write(tmp_path, GOOD + f"  benchmarks:\n    - {benchmark}\n")
    if not sentence:
        assert load_recipe(path).evaluate.benchmarks
        return
    with pytest.raises(UserError, match=rf"recipe\.yaml:19 evaluate\.benchmarks\.0\.\w*{sentence}"):
        load_recipe(path)


def test_each_refused_setting_of_deepspeed_has_its_own_place(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD + "deepspeed:\n  gradient_clipping: 2.0\n  zero_optimization:\n    stage: 2\n")
    with pytest.raises(UserErrors) as caught:
        load_recipe(path, ["train.max_grad_norm=2.0"])
    names = [(19, "gradient_clipping"), (21, "zero_optimization.stage")]
    assert [e.where for e in caught.value.errors] == [f"{path}:{line} deepspeed.{name}" for line, name in names]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lora=&a [*a]", r"^--set lora=&a \[\*a\]: an alias here"),
        ("name=a\0b", "^--set name=a\0b: this is not YAML"),
        ("sources.².weight=1", "is no place in the list"),
        ("train.learning_rate", "not section.field=value"),
        ("train.lr=1", r"--set train\.lr=1 train\.lr: there is no field 'lr'"),
        ("sources.7.weight=1", "'7' is no place in the list"),
        ("name.x=1", "name is no section"),
        ("train.epochs=[", "not YAML"),
    ],
)
def test_a_wrong_override_ends_in_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load_recipe(write(tmp_path, GOOD), [text])


def test_a_recipe_that_cannot_be_read_ends_in_a_sentence(tmp_path: Path) -> None:
    for path, sentence in (
        (tmp_path / "gone.yaml", "no such recipe"),
        (tmp_path, "a folder, not a recipe"),
        (write(tmp_path, "- a\n- b\n", "list.yaml"), "a recipe is a mapping of sections"),
        (write(tmp_path, "", "empty.yaml"), "'sources' is missing"),
    ):
        with pytest.raises(UserError, match=sentence):
            load_recipe(path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(UserError, match="byte 9 is not UTF-8"):
        load_recipe(latin)


def test_every_field_is_explained_in_the_schema() -> None:
    schema = Recipe.model_json_schema()
    for name, section in {"Recipe": schema, **schema["$defs"]}.items():
        for field, spec in section["properties"].items():
            assert spec.get("description") or "$ref" in spec, f"{name}.{field} has no docstring"
            if "integer" in json.dumps(spec.get("type", spec.get("anyOf"))) and field not in ("seed", "rank", "sequence"):
                units = (
                    "token",
                    "number",
                    "byte",
                    "step",
                    "sample",
                    "gb",
                    "job",
                    "core",
                    "character",
                    "sequence",
                    "process",
                    "question",
                    "row",
                )
                assert any(u in spec["description"].lower() for u in units), f"{name}.{field} has no unit"


def test_reading_a_recipe_needs_neither_torch_nor_transformers(tmp_path: Path) -> None:
    path = str(write(tmp_path, GOOD))
    code = f"import sys, acc.recipe; acc.recipe.load_recipe({path!r}); print({{'torch', 'transformers'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_a_frozen_recipe_depends_on_no_other_file_and_means_the_same_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine", GOOD, "base.yaml")
    text = "extends: base.yaml\nname: '1e5'\nmodel: {path: student, revision: '12e4567'}\nrationale: {kind: none}\n"
    original = write(tmp_path / "mine", text)
    sets = ["train.learning_rate=3e-6", "sources.0.path='1e5'"]
    copy = write(tmp_path, frozen(original, sets), "copy.yaml")
    write(tmp_path / "mine", "nonsense", "base.yaml")
    read = load_recipe(copy)
    assert (read.name, read.model.revision, read.sources[0].paths) == ("1e5", "12e4567", ["1e5"])
    assert (read.train.learning_rate, read.compile.budget_tokens, read.rationale.kind) == (3e-6, 4096, "none")
    assert read.resolve("logs") == tmp_path / "mine" / "logs" and read.resolve("/data") == Path("/data")
    assert frozen(copy) == copy.read_text(encoding="utf-8")
