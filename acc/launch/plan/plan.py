"""The plan of a recipe on some GPUs: memory, time, traffic, disk, evaluation; every number tagged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from acc.errors import UserError
from acc.launch.plan.architecture import Architecture, architecture_of
from acc.launch.plan.evaluation import cache_bytes, evaluation_figures, teacher_figures
from acc.launch.plan.extent import Extent, extent_of
from acc.launch.plan.figures import Figure
from acc.launch.plan.gpus import Gpus
from acc.launch.plan.memory import Memory, Rows, memory_of
from acc.launch.plan.setting import Setting, check_heads, setting_of, trained
from acc.launch.plan.speed import SLOW, Speed, speed_of, traffic_of
from acc.recipe import Recipe
from acc.train.room import STATE_BYTES, room_needed


@dataclass(frozen=True, slots=True)
class Plan:
    """What a recipe will need. `notes` are sentences on what the recipe and the GPUs disagree on."""

    recipe: Recipe
    gpus: Gpus
    student: Architecture
    setting: Setting
    extent: Extent
    memory: Memory
    speed: Speed
    training: list[Figure]
    traffic: list[Figure]
    disk: list[Figure]
    evaluation: list[Figure]
    notes: list[str]

    @property
    def fits(self) -> bool:
        """Whether the peak is within what torch can give out on each GPU."""
        return self.memory.peak <= self.gpus.memory

    @property
    def free(self) -> float:
        """Bytes left of a GPU at the peak; below 0 what is missing."""
        return self.gpus.memory - self.memory.peak


def plan_of(recipe: Recipe, gpus: Gpus, *, runs: Path = Path("runs"), samples: int | None = None) -> Plan:
    """Plan a recipe. Reads config.json and, where there is one, the run's pack; neither weights nor a GPU.

    Args:
        runs: folder of runs; runs/<name>/pack is counted where it is there.
        samples: training samples, where they can't be known before compiling.

    Raises:
        UserError: the student is not known, the GPUs can't share sequences or heads as the recipe says, or there are no
            samples.
    """
    if samples is not None and samples < 1:
        raise UserError(f"there can't be a training on {samples} samples", where="--samples", mend="Give 1 or more")
    student = architecture_of(recipe)
    setting = setting_of(recipe, gpus.world)
    check_heads(student, setting)
    extent = extent_of(recipe, runs / recipe.name, setting.data, samples=samples)
    return planned(recipe, gpus, student, setting, extent, runs)


def planned(recipe: Recipe, gpus: Gpus, a: Architecture, s: Setting, extent: Extent, runs: Path) -> Plan:
    """A plan from its parts."""
    speed = speed_of(a, s, gpus, extent)
    return Plan(
        recipe=recipe,
        gpus=gpus,
        student=a,
        setting=s,
        extent=extent,
        memory=memory_of(a, s, rows_of(recipe, s, extent), processes=gpus.count),
        speed=speed,
        training=_training(gpus, extent, speed),
        traffic=_traffic(a, s, recipe),
        disk=_disk(recipe, a, s, extent, runs),
        evaluation=[
            *evaluation_figures(recipe, a, gpus, extent),
            *teacher_figures(recipe, extent),
            Figure("cache of a token", cache_bytes(a, 2), "number", "computed", "bytes of keys and values, in 16 bits"),
        ],
        notes=_notes(recipe, gpus, a, s, extent),
    )


def rows_of(recipe: Recipe, s: Setting, extent: Extent) -> Rows:
    """The longest sequence: the pack's capacity; of its labels, at worst, all in one process."""
    return Rows(recipe.pack.length, min(extent.most_labelled, recipe.pack.length // s.sequence))


def _training(gpus: Gpus, extent: Extent, speed: Speed) -> list[Figure]:
    of_step = f"{extent.per_step} sequences, {extent.step_tokens:,.0f} tokens"
    found = [
        Figure("a step", speed.seconds, "seconds", "assumed", of_step),
        Figure("all GPUs", speed.tokens, "tokens/s", "assumed"),
        Figure("one GPU", speed.tokens / gpus.world, "tokens/s", "assumed"),
        Figure("model FLOPs utilisation", speed.mfu, "share", "assumed", "nothing counted that is computed again"),
    ]
    if extent.steps is not None:
        tokens = extent.steps * extent.step_tokens
        found += [
            Figure("steps", extent.steps, "steps", extent.tag, extent.why),
            Figure("trained on", tokens, "tokens", extent.tag, extent.why),
            Figure("labelled", extent.steps * extent.per_step * extent.labelled, "tokens", extent.tag, extent.why),
            Figure("to the end", extent.steps * speed.seconds, "seconds", "assumed", f"{extent.steps:,} steps"),
            Figure("cost", extent.steps * speed.seconds * gpus.world / 3600, "GPU hours", "assumed"),
        ]
    return found


def _traffic(a: Architecture, s: Setting, recipe: Recipe) -> list[Figure]:
    sent = traffic_of(a, s, recipe.pack.length)
    reduced = "float32, as DeepSpeed does under sequence parallelism" if s.sequence > 1 and s.half else "their own type"
    slow = f"{sent.zero3 / 1e9:,.0f} GB take {sent.zero3 / SLOW:,.1f} s at {SLOW / 1e9:.0f} GB/s (400 Gbit/s a node)"
    return [
        Figure("weights gathered", sent.gathers, "bytes", "computed", "for the forward pass and for the backward pass"),
        Figure("gradients reduced", sent.gradients, "bytes", "computed", f"in {reduced}; {slow}"),
        Figure("sequence exchanges", sent.exchanges, "bytes", "computed", f"all-to-all of {recipe.pack.length:,} tokens"),
    ]


def _disk(recipe: Recipe, a: Architecture, s: Setting, extent: Extent, runs: Path) -> list[Figure]:
    learned = trained(a, s)
    weights = (learned if recipe.lora else a.total) * (2 if s.half else 4)
    what = "adapters" if recipe.lora else "weights"
    found = [
        Figure(f"a checkpoint's {what}", weights, "bytes", "computed", f"in {recipe.model.dtype}"),
        Figure(
            "with optimizer", weights + STATE_BYTES * learned, "bytes", "computed", f"{STATE_BYTES} B a trained parameter more"
        ),
        _checkpoints(recipe, runs / recipe.name / "train", learned, a.total + (learned if recipe.lora else 0), extent),
    ]
    if extent.samples is not None:
        tokens = extent.step_tokens / recipe.train.global_batch * extent.samples
        found.append(Figure("token ids", 4 * tokens, "bytes", extent.tag, "4 B a token of a sample"))
    return found


def _checkpoints(recipe: Recipe, out: Path, learned: int, parameters: int, extent: Extent) -> Figure:
    """What checkpoints take at the peak; of a number that is not known as many as are kept, or one where all are."""
    train, saves = recipe.train, extent.checkpoints
    name, why = "checkpoints at most", f"{saves or 0:,} checkpoints, state kept of {train.keep_checkpoints}"
    if saves is None and train.keep_weights is not None:
        saves = train.keep_weights + 1 + bool(train.best)
        why = f"however many there are: weights kept of {train.keep_weights}, state of {train.keep_checkpoints}"
    elif saves is None:
        name, why = "one checkpoint on disk", "how many there will be is not known, and all are kept"
    if train.keep_weights is None:
        why += "; train.keep_weights drops old weights"
    room = room_needed(recipe, out, trainable=learned, parameters=parameters, saves=saves or 1)
    return Figure(name, room, "bytes", "computed", why)


def _notes(recipe: Recipe, gpus: Gpus, a: Architecture, s: Setting, extent: Extent) -> list[str]:
    notes = []
    launch = recipe.launch
    if (launch.nodes, launch.processes) != (gpus.nodes, gpus.count):
        notes.append(
            f"the recipe starts {launch.nodes} × {launch.processes} processes (launch), "
            f"this plan is for {gpus.nodes} × {gpus.count}"
        )
    if extent.steps is None:
        notes.append(f"steps, hours to the end and the number of checkpoints are left out: {extent.why}")
    if a.window and recipe.pack.length > a.window and recipe.model.rope is None:
        notes.append(
            f"pack.length {recipe.pack.length:,} is beyond the student's window of {a.window:,}, and model.rope is not set"
        )
    tokens = recipe.pack.length / s.sequence
    if s.zero3 and s.world > 1 and tokens < 16_384:
        notes.append(f"{tokens:,.0f} tokens a GPU and micro-step are few beside ZeRO-3's traffic: keep 16,384 or more")
    if recipe.pack.scope == "step" and extent.shares < s.data:
        idle = s.data - extent.shares
        notes.append(
            f"a step has {extent.shares} samples for {s.data} data-parallel ranks: {idle} or more of them work on nothing"
        )
    if extent.per_step % s.data:
        notes.append(f"{extent.per_step} sequences a step can't be shared evenly by {s.data} data-parallel ranks")
    if a.experts and recipe.moe.experts != "grouped_mm":
        notes.append(f"moe.experts {recipe.moe.experts} is many times slower than grouped_mm, for which times are planned")
    if not s.at_once and s.half:
        notes.append("without FlashAttention, attention is slower than planned and keeps its output twice")
    return notes
