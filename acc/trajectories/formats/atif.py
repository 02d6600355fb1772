"""ATIF, the Agent Trajectory Interchange Format (Harbor RFC 0001, versions 1.x): one record an object with `steps`."""

from __future__ import annotations

from typing import Any, get_args

from acc.trajectories.formats.base import (
    Format,
    Refused,
    arguments_of,
    as_dict,
    as_list,
    as_number,
    as_text,
    content_text,
    first_text,
)
from acc.trajectories.formats.meaning import bare_question, domain_of, gold_answers, outcome_of
from acc.trajectories.formats.turns import final_answer_of, first_user_message, need_agent
from acc.trajectories.record import KEPT, OURS, Domain, ObservationResult, Outcome, Source, Step, ToolCall, Trajectory, Verdict

SOURCES: tuple[Source, ...] = get_args(Source)


def sniff(record: Any) -> bool:
    """A record that names the schema, or has an agent and steps with sources."""
    if not isinstance(record, dict) or not isinstance(record.get("steps"), list):
        return False
    if str(record.get("schema_version", "")).startswith("ATIF"):
        return True
    return isinstance(record.get("agent"), dict) and all("source" in as_dict(step) for step in record["steps"])


def read(record: dict[str, Any]) -> Trajectory:
    """One run. Question, answers, domain and outcome come from `extra` where it has them, else from the steps."""
    agent, extra = as_dict(record.get("agent")), as_dict(record.get("extra"))
    if KEPT in extra and isinstance(extra[KEPT], dict):
        return _written_by_us(record, agent, extra)
    steps = [_step(number, as_dict(step)) for number, step in enumerate(record["steps"], 1)]
    need_agent(steps)
    tools = [tool for tool in as_list(agent.get("tool_definitions")) if isinstance(tool, dict)]
    gold, aliases = gold_answers(extra)
    final = extra.get("final_answer")
    return Trajectory(
        trajectory_id=first_text(record, "trajectory_id", "session_id"),
        question=first_text(extra, "question") or bare_question(first_user_message(steps)),
        steps=steps,
        domain=_domain(extra, steps, tools),
        outcome=_outcome(extra),
        gold_answer=gold,
        gold_aliases=[*aliases, *(a for a in as_list(extra.get("gold_aliases")) if isinstance(a, str))],
        final_answer=final if isinstance(final, str) else final_answer_of(steps),
        agent_name=first_text(agent, "name"),
        model_name=first_text(agent, "model_name"),
        tools=tools,
        extra={key: value for key, value in extra.items() if key not in OURS},
    )


def _written_by_us(record: dict[str, Any], agent: dict[str, Any], extra: dict[str, Any]) -> Trajectory:
    """A run that `record.to_atif` wrote: every field as it was, nothing guessed again."""
    kept = as_dict(extra[KEPT])
    steps = [_step(number, as_dict(step)) for number, step in enumerate(record["steps"], 1)]
    need_agent(steps)
    gold, final = extra.get("gold_answer"), extra.get("final_answer")
    name, tools = first_text(agent, "name"), as_list(agent.get("tool_definitions"))
    completeness = kept.get("completeness")
    return Trajectory(
        trajectory_id=first_text(record, "trajectory_id"),
        question=as_text(extra.get("question")),
        steps=steps,
        domain=_domain(extra, steps, []),
        outcome=_outcome(extra),
        gold_answer=gold if isinstance(gold, str) else None,
        gold_aliases=[alias for alias in as_list(extra.get("gold_aliases")) if isinstance(alias, str)],
        final_answer=final if isinstance(final, str) else None,
        agent_name="" if name == "unknown" else name,
        model_name=as_text(agent.get("model_name")),
        tools=[tool for tool in tools if isinstance(tool, dict)],
        extra={key: value for key, value in extra.items() if key not in (*OURS, KEPT)} | as_dict(kept.get("extra")),
        run_key=as_text(kept.get("run_key")),
        completeness=completeness if isinstance(completeness, int) else 0,
    )


def _step(number: int, step: dict[str, Any]) -> Step:
    source: Source | None = next((source for source in SOURCES if step.get("source") == source), None)
    if source is None:
        said = as_text(step.get("source"))[:80]
        raise Refused("bad_step", f"step {number} has the source {said!r}, not system, user or agent")
    own = as_dict(step.get("extra"))
    kept = as_dict(own.get(KEPT))
    step = {**step, **{key: kept[key] for key in ("timestamp", "reasoning_content", "tool_calls") if key in kept}}
    calls = []
    for position, item in enumerate(as_list(step.get("tool_calls"))):
        call = as_dict(item)
        name = as_text(call.get("function_name"))
        if not name:
            raise Refused("bad_tool_call", f"step {number} has a tool call without function_name")
        logged = as_text(call.get("tool_call_id")) or f"step_{number}_call_{position + 1}"
        calls.append(ToolCall(logged, name, arguments_of(call.get("arguments"))))
    results = [
        ObservationResult(content_text(as_dict(r).get("content")), as_text(as_dict(r).get("source_call_id")) or None)
        for r in as_list(as_dict(step.get("observation")).get("results"))
    ]
    if len(sources := as_list(kept.get("source_call_ids"))) == len(results):
        results = [ObservationResult(r.content, as_text(id_) or None) for r, id_ in zip(results, sources, strict=True)]
    return Step(
        step_id=number,
        source=source,
        message=content_text(step.get("message")),
        reasoning_content=as_text(step.get("reasoning_content")),
        tool_calls=calls,
        observation=results,
        timestamp=as_text(step.get("timestamp")) or None,
        extra={key: value for key, value in own.items() if key != KEPT},
    )


def _domain(extra: dict[str, Any], steps: list[Step], tools: list[dict[str, Any]]) -> Domain:
    said: Domain | None = next((domain for domain in get_args(Domain) if extra.get("domain") == domain), None)
    return said or domain_of(steps, tools)


def _outcome(extra: dict[str, Any]) -> Outcome:
    given = as_dict(extra.get("outcome"))
    for verdict in get_args(Verdict):
        if given.get("verdict") == verdict:
            said = first_text(given, "verified_by") or "self_reported"
            return Outcome(verdict, "" if verdict == "unknown" else said, as_number(given.get("score")))
    return outcome_of(extra)


FORMAT = Format("atif", "ATIF 1.x: an object with agent and steps (source, message, tool_calls, observation)", sniff, read)
