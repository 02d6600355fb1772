"""Evidence of search agents: the pages they opened are support, the results they left closed are distractors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from acc.compile.evidence.addresses import same_page
from acc.compile.evidence.pieces import Evidence, Refused, Taken, describe, join_unique, usable
from acc.compile.evidence.results import Result, as_lines, is_listing, split_results
from acc.compile.resolvers import NO_RESOLVERS, Resolvers
from acc.records.sample import Role
from acc.trajectories.formats.code_calls import tools_in
from acc.trajectories.formats.turns import finishes
from acc.trajectories.record import ToolCall, Trajectory

Act = Literal["search", "open"]

_SEARCH = re.compile(r"search|google|bing|retriev|quer", re.IGNORECASE)
_OPEN = re.compile(r"visit|open|read|fetch|browse|view|scrape|crawl|page|goto|click|extract|find|lookup", re.IGNORECASE)
_ADDRESS = ("url", "urls", "link", "page_id", "docid", "doc_id", "id", "section_id", "page", "title", "source")
_WINDOW = ("goal", "offset", "start", "end", "line", "loc", "cursor", "num_lines", "page_number", "pattern", "section_id")
_SUMMARY = re.compile(r"^The useful information in (?P<url>\S+) for user goal .*? as follows: *$", re.MULTILINE | re.DOTALL)
_CLIPPED = re.compile(r"(?:\.\.\.|…|\[truncated\]|\(truncated\)|\[content truncated[^\]]*\])\s*\Z", re.IGNORECASE)
_UNREADABLE = re.compile(
    r"could not be (?:accessed|fetched|processed|loaded)|failed to (?:fetch|load|read)"
    r"|upstream connect error|\{\"data\": ?null, ?\"code\": ?\d+",
    re.IGNORECASE,
)


@dataclass(slots=True)
class _Page:
    """One page: its address as first met, and its windows in order."""

    key: str
    texts: dict[str, str] = field(default_factory=dict)
    windowed: bool = False


@dataclass(slots=True)
class _Log:
    """What a run saw, by page and by result, in the order of the log. Pages, sections and results go by `same_page`, prose by
    the call in short and its text."""

    pages: dict[str, _Page] = field(default_factory=dict)
    sections: dict[str, list[str]] = field(default_factory=dict)
    results: dict[str, list[Result]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    prose: dict[tuple[str, str], None] = field(default_factory=dict)


def take(trajectory: Trajectory, resolvers: Resolvers = NO_RESOLVERS) -> Evidence | Refused:
    """Opened pages as support, closed results as distractors; where nothing was opened the results are the support.

    Windows of one page become one piece, in the order of the log (sections in the order of the page where the log shows
    it). A result without any text is dropped and counted: a bare title supports nothing and distracts from nothing. With a
    page store, opened pages and closed results are the whole pages it holds.
    """
    evidence = Evidence()
    log = _read(trajectory, evidence.dropped)
    store = resolvers.pages
    for same, page in log.pages.items():
        stored = store.text(page.key) if store is not None else None
        if store is not None:
            evidence.counts["resolved_pages" if stored is not None else "unresolved_pages"] += 1
            if stored is None and resolvers.missing == "reject":
                return Refused("unresolved", f"the page store does not hold {page.key}")
        texts, whole = ([stored], True) if stored is not None else _ordered(page, log.sections.get(same, []))
        text = join_unique(texts)
        evidence.pieces.append(Taken(_locator(page.key, log), "support", text, whole, "log" if stored is None else "pages"))
    role: Role = "distractor" if evidence.pieces else "support"
    for same, results in log.results.items():
        if same in log.pages:
            evidence.dropped["result_opened"] += 1
            continue
        key = results[0].key
        stored = store.text(key) if store is not None else None
        text = stored or join_unique([r.text for r in results if r.text], "\n")
        if not text:
            evidence.dropped["result_without_text"] += 1
        elif stored is not None:
            evidence.counts["resolved_results"] += 1
            evidence.pieces.append(Taken(_locator(key, log), role, stored.strip("\n"), True, "pages"))
        else:
            title = next((r.title for r in results if r.title and r.title != key), "")
            evidence.pieces.append(Taken(key, role, f"{title}\n{text}" if title else text, False))
    # What a search tool says in prose was read like a page: only the items of a list can be left closed.
    evidence.pieces += [Taken(where, "support", text, False) for where, text in log.prose]
    if not any(p.role == "support" for p in evidence.pieces):
        return Refused("no_support", "no page was opened and no search result has text")
    return evidence


def classify(call: ToolCall) -> Act | None:
    """Whether a call searches or opens, by the tool's name and, where that says nothing, by its arguments' names."""
    name = call.function_name.rsplit(".", 1)[-1]
    keys = {k.lower() for k in call.arguments}
    if _SEARCH.search(name) and not keys & {"url", "urls"}:
        return "search"
    if _OPEN.search(name) or keys & set(_ADDRESS):
        return "open"
    return "search" if keys & {"q", "query", "queries", "keywords", "search"} else None


def _read(trajectory: Trajectory, dropped: Counter[str]) -> _Log:
    log = _Log()
    for _, call, result in trajectory.observations():
        content = result.content.strip("\n")
        if call is not None and finishes(call):
            dropped["echo_of_answer"] += 1
            continue
        if call is not None and _computes(call):
            dropped["own_computation"] += 1
            continue
        if not usable(content, dropped):
            continue
        act = classify(call) if call is not None else None
        results = split_results(content) if act != "open" else []
        if results:
            for r in results:
                log.results.setdefault(same_page(r.key), []).append(r)
                log.titles.setdefault(r.key, r.title)
        elif act == "search" or call is None:
            said = describe(call), as_lines(content)
            dropped["repeated_observation"] += said in log.prose
            log.prose[said] = None
        elif is_listing(content):
            log.sections.setdefault(same_page(_address(call)), [r.key for r in split_results(content)])
            dropped["table_of_contents"] += 1
        else:
            for key, window, text, windowed in _opened(call, content):
                if _UNREADABLE.search(text[:300]):
                    dropped["error_observation"] += 1
                    continue
                opened = log.pages.setdefault(same_page(key), _Page(key))
                opened.texts.setdefault(window, text)
                opened.windowed |= windowed
    return log


def _computes(call: ToolCall) -> bool:
    """Whether a call runs code that neither calls a tool nor names an address: what it prints is the agent's, no source."""
    code = call.arguments.get("code")
    return isinstance(code, str) and "://" not in code and not tools_in(code)


def _opened(call: ToolCall, content: str) -> Iterator[tuple[str, str, str, bool]]:
    """(page, window, text, windowed) of everything one opening call shows: a batch of addresses may stand in one text."""
    marks = list(_SUMMARY.finditer(content))
    if marks:
        ends = [*(m.start() for m in marks[1:]), len(content)]
        for mark, end in zip(marks, ends, strict=True):
            text = re.sub(r"\n=+\s*\Z", "", content[mark.end() : end]).strip("\n")
            yield mark["url"], text, text, True
        return
    section = call.arguments.get("section_id")
    windowed = any(call.arguments.get(k) is not None for k in _WINDOW) or bool(_CLIPPED.search(content))
    yield _address(call), section if isinstance(section, str) else content, content, windowed


def _address(call: ToolCall) -> str:
    """The page a call opens; of `page:section` the page."""
    for key in _ADDRESS:
        value = call.arguments.get(key)
        if isinstance(value, list) and value:
            return " ".join(map(str, value))
        if isinstance(value, str | int) and str(value):
            return str(value).partition(":")[0] if key == "section_id" else str(value)
    return describe(call)


def _ordered(page: _Page, sections: list[str]) -> tuple[list[str], bool]:
    """A page's windows, and whether they are all of it."""
    if not sections:
        return list(page.texts.values()), not page.windowed and len(page.texts) == 1
    place = {name: i for i, name in enumerate(sections)}
    names = sorted(page.texts, key=lambda n: place.get(n, len(place)))
    return [page.texts[n] for n in names], set(sections) <= page.texts.keys()


def _locator(key: str, log: _Log) -> str:
    """An address as it is; an id by its title where a result list gave one."""
    title = log.titles.get(key, "")
    return title if title and "/" not in key else key
