"""A Dockerfile's instructions, and their execution in clean roots: as much of the language as docker/ here uses."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from acc.errors import UserError

if TYPE_CHECKING:
    from proofs.clean_root import CleanRoot


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its word in capitals, the rest as it is written (lines joined), the line that it begins in."""

    word: str
    rest: str
    line: int


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile, in order. Comments are left out."""
    found: list[Instruction] = []
    open_, began = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#") or not (open_ or line.strip()):
            continue
        began = began if open_ else number
        open_ += line
        if open_.endswith("\\"):
            open_ = open_[:-1]
            continue
        word, _, rest = open_.strip().partition(" ")
        found.append(Instruction(word.upper(), rest.strip(), began))
        open_ = ""
    return found


def stages(instructions: Sequence[Instruction]) -> list[list[Instruction]]:
    """The instructions of each stage, beginning with its FROM."""
    found: list[list[Instruction]] = []
    for instruction in instructions:
        if instruction.word == "FROM":
            found.append([])
        elif not found:
            raise UserError(f"line {instruction.line}: {instruction.word} before the first FROM")
        found[-1].append(instruction)
    return found


class Image:
    """An image, built in roots of a machine instead of by an engine.

    Args:
        instructions: what `parse` gave.
        context: folder of the build's context.
        fresh: the machine that stands in for every FROM.
        folder: where the roots of the stages are made, `stage-0`, `stage-1`….
        arguments: values of ARG, as --build-arg gives them.
    """

    def __init__(
        self,
        instructions: Sequence[Instruction],
        context: Path,
        fresh: CleanRoot,
        folder: Path,
        arguments: Mapping[str, str],
    ) -> None:
        self.stages, self.context, self.fresh, self.folder = stages(instructions), context, fresh, folder
        self.root, self._arguments = fresh, dict(arguments)
        self.user, self.health = "", ""
        self._environment: dict[str, str] = {}
        self._workdir = "/"
        self._named: dict[str, CleanRoot] = {}

    def build(self) -> None:
        """Execute all stages; the last one is the image.

        Raises:
            UserError: a step fails, or is none that is known here.
        """
        for number, stage in enumerate(self.stages):
            self.user, self.health, self._workdir, self._environment = "root", "", "/", {}
            self.root = self.fresh.copy_to(self.folder / f"stage-{number}")
            for instruction in stage:
                print(f"{instruction.line}: {instruction.word} {instruction.rest}", flush=True)
                self._take(instruction)

    def run(self, line: str) -> int:
        """Run a shell line in the image as its user, in its folder; gives the exit code."""
        return self.root.run(line, user=self.user, folder=self._workdir, environment=self._environment, check=False)

    def _take(self, step: Instruction) -> None:
        match step.word:
            case "FROM":
                if " AS " in step.rest.upper():
                    self._named[step.rest.split()[-1]] = self.root
            case "RUN":
                self.root.run(step.rest, user=self.user, folder=self._workdir, environment=self._environment)
            case "COPY":
                self._copy(step)
            case "ARG" | "ENV":
                name, _, value = step.rest.partition("=")
                path = self._environment.get("PATH") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
                given = self._arguments.get(name) if step.word == "ARG" else None
                self._environment[name] = given or shlex.split(value.replace("$PATH", path))[0]
            case "WORKDIR":
                self._workdir = step.rest
                self.root.run(f"mkdir -p {shlex.quote(step.rest)}")
            case "USER":
                self.user = step.rest
            case "HEALTHCHECK":
                words = json.loads(re.sub(r"^.*?CMD ", "", step.rest))
                self.health = shlex.join(words)
            case "ENTRYPOINT" | "CMD" | "EXPOSE":
                pass
            case _:
                raise UserError(f"line {step.line}: {step.word} is not known here")

    def _copy(self, step: Instruction) -> None:
        words = step.rest.split()
        origin = self.context
        if words[0].startswith("--from="):
            origin = self._named[words.pop(0).removeprefix("--from=")].folder
        *names, target = words
        to = self.root.folder / (Path(self._workdir) / target).relative_to("/")
        for name in names:
            source = origin / name.lstrip("/")
            if source.is_dir():
                to.mkdir(parents=True, exist_ok=True)
                subprocess.run(["cp", "-a", f"{source}/.", str(to)], check=True)
            else:
                into = to / source.name if target.endswith("/") else to
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, into)
