"""The page: a header that says what this run is and how far it came, the main result first, then the way of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acc.html.page import Markup, absent, page, tag
from acc.report.benchmarks import benchmarks_section
from acc.report.cost import cost_section
from acc.report.files import STAGES, RunFiles
from acc.report.general import general_section
from acc.report.held_out import held_out_section
from acc.report.provenance import provenance_section, recipe_section
from acc.report.shapes import shapes_section
from acc.report.sources import sources_section
from acc.report.texts import texts_section
from acc.report.training import training_section
from acc.report.worst import worst_section
from acc.stage.files import write_text

SECTIONS = (
    held_out_section,
    benchmarks_section,
    general_section,
    worst_section,
    cost_section,
    sources_section,
    shapes_section,
    training_section,
    texts_section,
    recipe_section,
    provenance_section,
)
LINKS = {
    "effect": "What training did",
    "benchmarks": "Benchmarks",
    "general": "General capabilities",
    "worst": "Worst answers",
    "cost": "Cost of the evaluation",
    "sources": "What went in",
    "samples": "Samples",
    "training": "Training",
    "texts": "Samples to read",
    "recipe": "Recipe",
    "versions": "Versions and hashes",
}


def build(folder: Path) -> Path:
    """Write the report of the run in `folder`; see `acc.report.run`."""
    run = RunFiles(folder)
    sections = [make(run) for make in SECTIONS]
    # The header comes last: reading the files is what finds broken lines.
    html = page(f"{run.name} — acc report", _header(run), *sections)
    out = folder / "report.html"
    write_text(out, html)
    return out


def _header(run: RunFiles) -> Markup:
    torn = [absent(f"Left out: {'; '.join(run.torn)}.")] if run.torn else []
    links = [tag("a", text, href=f"#{anchor}") for anchor, text in LINKS.items()]
    return tag(
        "header",
        tag("p", "acc report", class_="eyebrow"),
        tag("h1", run.name),
        tag("p", _student(run.recipe), class_="subtitle"),
        _tags(run),
        _stages(run),
        *torn,
        tag("nav", *links, aria_label="Sections"),
    )


def _student(recipe: dict[str, Any]) -> str:
    """What is trained, and how, in one line."""
    if not recipe:
        return "There is no recipe.json, so what was trained is not known."
    model, train, lora = recipe.get("model") or {}, recipe.get("train") or {}, recipe.get("lora")
    path = str(model.get("path", ""))
    student = "the embedded tiny base, a toy that comes with the package" if path == "embedded:tiny-base" else path
    how = f"LoRA, rank {lora.get('rank')}" if isinstance(lora, dict) else "full fine-tuning"
    parts = [f"Student: {student}", how]
    if "learning_rate" in train:
        parts.append(f"learning rate {train['learning_rate']:g}")
    if "global_batch" in train:
        parts.append(f"global batch {train['global_batch']}")
    if length := (recipe.get("pack") or {}).get("length"):
        parts.append(f"sequences of {length:,} tokens")
    return " · ".join(parts)


def _tags(run: RunFiles) -> Markup:
    """Whether the data and the benchmarks are synthetic, and what is trained on."""
    names, synthetic = {str(s.get("name")) for s in run.sources}, run.synthetic_sources
    tags = []
    if names and names == synthetic:
        tags.append(tag("li", "all data is synthetic", class_="warn"))
    elif synthetic:
        tags.append(tag("li", f"{len(synthetic)} of {len(names)} sources synthetic", class_="warn"))
    elif names:
        tags.append(tag("li", "real logs"))
    if any(s.synthetic and s.benchmark != "held_out" for s in run.scores):
        tags.append(tag("li", "benchmark rows are synthetic", class_="warn"))
    for target in sorted({str(s.get("target", "acc")) for s in run.sources}):
        tags.append(tag("li", f"target {target}"))
    if layout := (run.recipe.get("pack") or {}).get("layout"):
        tags.append(tag("li", f"layout {layout}"))
    if "seed" in run.recipe:
        tags.append(tag("li", f"seed {run.recipe['seed']}"))
    return tag("ul", *tags, class_="tags") if tags else Markup("")


def _stages(run: RunFiles) -> Markup:
    """How far the run came."""
    items = []
    for stage in STAGES:
        manifest = run.manifests.get(stage)
        begun = (run.folder / stage).is_dir()
        kind, text = ("done", "done") if manifest else ("part", "begun, not ended") if begun else ("none", "not begun")
        if stage == "train" and run.log:
            saved = f", {len(run.checkpoints)} checkpoints" if run.checkpoints else ""
            text = f"{'done' if manifest else 'begun'}, step {int(run.log[-1]['step']):,}{saved}"
        elif stage == "evaluate":
            kind, text = _evaluated(run)
        elif manifest:
            text = f"{manifest.written:,} written, {sum(manifest.rejected.values()):,} rejected"
        items.append(tag("li", tag("strong", stage), text, class_=kind))
    return tag("ol", *items, class_="stages", aria_label="Stages")


def _evaluated(run: RunFiles) -> tuple[str, str]:
    """Evaluation has no manifest of its own: it is done when the last checkpoint is scored and training is over."""
    steps = sorted({s.step for s in run.scores})
    if not steps:
        return "none", "nothing scored"
    last = run.log[-1]["step"] if run.log else -1
    over = "train" in run.manifests and steps[-1] >= last
    models = [
        *(["base"] if 0 in steps else []),
        *([f"{n} checkpoint{'s' if n > 1 else ''}"] if (n := sum(s > 0 for s in steps)) else []),
    ]
    return "done" if over else "part", f"{' and '.join(models)} scored"
