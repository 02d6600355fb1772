"""Evidence of search agents."""

from __future__ import annotations

from compile_material import run_of, search_run

from acc.compile.evidence import Evidence, Refused, take
from acc.compile.evidence.results import split_results


def taken(*acts: tuple[str, dict[str, object], str]) -> Evidence:
    evidence = take(run_of("q?", list(acts), "a"), "search")
    assert isinstance(evidence, Evidence)
    return evidence


def test_opened_pages_are_support_and_closed_results_distractors() -> None:
    evidence = take(search_run(1, results=3), "search")
    assert isinstance(evidence, Evidence)
    assert [(p.locator, p.role) for p in evidence.pieces] == [
        ("https://w.example/1/1", "support"),
        ("https://w.example/1/2", "distractor"),
        ("https://w.example/1/3", "distractor"),
    ]
    assert evidence.pieces[0].whole
    assert evidence.pieces[0].text.startswith("The keeper of house 1 is Person1.")
    assert evidence.pieces[1].text.startswith("Page 1-2\nSnippet 2 of 1")
    assert evidence.dropped == {"result_opened": 1}


def test_without_opened_pages_the_results_are_the_support() -> None:
    evidence = taken(("search", {"query": "x"}, '[{"url": "u1", "title": "One", "snippet": "first"}]'))
    assert [(p.locator, p.role, p.text, p.whole) for p in evidence.pieces] == [("u1", "support", "One\nfirst", False)]


def test_windows_of_a_page_become_one_piece_in_order() -> None:
    evidence = taken(
        ("open", {"url": "https://a.example/p", "offset": 0}, "first half"),
        ("open", {"url": "https://a.example/p", "offset": 100}, "second half"),
        ("open", {"url": "https://a.example/p", "offset": 0}, "first half"),
    )
    assert [(p.text, p.whole) for p in evidence.pieces] == [("first half\n\nsecond half", False)]


def test_sections_stand_in_the_order_of_the_page_under_its_title() -> None:
    contents = "[{'section_id': 'ada:life', 'section_name': 'Life'}, {'section_id': 'ada:work', 'section_name': 'Work'}]"
    evidence = taken(
        ("search_pages", {"query": "ada"}, "[{'page_id': 'ada', 'title': 'Ada'}, {'page_id': 'bob', 'title': 'Bob'}]"),
        ("view_sections", {"page_id": "ada"}, contents),
        ("read_section", {"section_id": "ada:work"}, "## Work\n\nEngines."),
        ("read_section", {"section_id": "ada:life"}, "## Life\n\nBorn 1815."),
    )
    assert [(p.locator, p.text, p.whole) for p in evidence.pieces] == [
        ("Ada", "## Life\n\nBorn 1815.\n\n## Work\n\nEngines.", True)
    ]
    assert evidence.dropped["result_without_text"] == 1, "a bare title is no distractor"


def test_a_batch_of_summaries_is_split_by_address() -> None:
    said = "The useful information in {} for user goal x as follows: \n\nEvidence in page: \n{}\n"
    both = said.format("https://a.example", "A says 1") + "\n=======\n" + said.format("https://b.example", "B says 2")
    evidence = taken(("visit", {"url": ["https://a.example", "https://b.example"], "goal": "x"}, both))
    assert [(p.locator, p.whole) for p in evidence.pieces] == [("https://a.example", False), ("https://b.example", False)]
    assert evidence.pieces[0].text.endswith("A says 1")


def test_errors_and_empty_observations_are_dropped_and_counted() -> None:
    evidence = taken(
        ("visit", {"url": "u1"}, "Error: timeout"),
        ("visit", {"url": "u2"}, "  \n"),
        ("visit", {"url": "u3"}, "Evidence in page: The provided webpage content could not be accessed."),
        ("visit", {"url": "u4"}, "It is 42."),
    )
    assert [p.locator for p in evidence.pieces] == ["u4"]
    assert evidence.dropped == {"error_observation": 2, "empty_observation": 1}


def test_addresses_that_trackers_changed_are_one_page() -> None:
    listed = "1. [P](https://www.a.example/p?srsltid=AfmB&x=1)\n\nsnippet\n\n2. [Q](https://a.example/q?srsltid=1)\n\nother"
    evidence = taken(("search", {"query": "x"}, listed), ("visit", {"url": "https://a.example/q"}, "page"))
    assert [(p.locator, p.role) for p in evidence.pieces] == [
        ("https://a.example/q", "support"),
        ("https://www.a.example/p?srsltid=AfmB&x=1", "distractor"),
    ]


def test_prose_of_a_search_tool_was_read_so_it_is_support() -> None:
    evidence = taken(
        ("Search", {"input": "Ada"}, "Ada was born in 1815."), ("Lookup", {"page": "Ada", "input": "died"}, "1852.")
    )
    assert [(p.locator, p.role) for p in evidence.pieces] == [("Ada", "support"), ("Search(input=Ada)", "support")]


def test_only_what_was_said_again_to_the_same_call_is_dropped() -> None:
    long = "who lived in the house by the river " * 4
    evidence = taken(*(("Search", {"input": f"{long}{n}"}, f"It was {name}.") for n, name in enumerate(("Ada", "Bo", "Ada"))))
    assert [p.text for p in evidence.pieces] == ["It was Ada.", "It was Bo."]
    assert evidence.dropped == {"repeated_observation": 1}


def test_nothing_found_is_refused() -> None:
    refused = take(run_of("q?", [("search", {"query": "x"}, "No results.")], "a"), "search")
    assert isinstance(refused, Refused)
    assert refused.reason == "no_support"


def test_result_lists_are_split_whatever_their_form() -> None:
    forms = [
        "1. [T [x]](https://e.org/a_(b))\nDate published: 2020\n\nsome text\n=======\nA Google search for 'y' found 1 results:",
        '{"results": [{"link": "https://e.org/a_(b)", "title": "T [x]", "snippet": "some text"}]}',
        '{"url": "https://e.org/a_(b)", "title": "T [x]", "text": "some text"}\n{"url": "v", "title": "V", "text": "w"}',
        "[1] T [x]\nURL: https://e.org/a_(b)\nsome text",
    ]
    for form in forms:
        first = split_results(form)[0]
        assert (first.key, first.title) == ("https://e.org/a_(b)", "T [x]")
        assert first.text.endswith("some text")
    assert split_results("Plain prose. [1] is a footnote.") == []
