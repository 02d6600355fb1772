"""Evidence withheld: support, as many distractors instead, or all of it."""

from collections import Counter

import pytest

from acc.recipe.data import Prompt
from acc.records.sample import Piece, Sample
from acc.records.withholding import can_withhold, remove_pieces


def sample(roles: str, number: int = 1) -> Sample:
    """A question on one piece a letter, s for support and d for a distractor; the text of piece 3 is "text 3"."""
    content, pieces = "Read.\n\n", []
    for i, role in enumerate(roles, 1):
        content += ("\n\n" if i > 1 else "") + f"[{i}] place {i}\n"
        text = f"text {i}"
        pieces.append(Piece(f"place {i}", {"s": "support", "d": "distractor"}[role], len(content), len(content) + len(text)))
        content += text
    return Sample(
        sample_id=f"{number:032x}", target="answer_only", domain="search", source="s", split="held_out", question="Why?",
        prompt=[{"role": "system", "content": "text 1"}, {"role": "user", "content": content + "\n\nQuestion: why?"}],
        completion=[{"role": "assistant", "content": "so"}], ground_truth_answer="so", pieces=pieces,
    )  # fmt: skip


def kept(one: Sample, condition: str, prompt: Prompt | None = None) -> list[int]:
    content = remove_pieces(one, condition, prompt or Prompt())[-1]["content"]
    return [i for i in range(1, len(one.pieces) + 1) if f"text {i}" in content]


@pytest.mark.parametrize(("roles", "gone"), [("sddd", 1), ("sdsd", 2), ("ssd", 1), ("dds", 1), ("ss", 0), ("dd", 0)])
def test_exchanged_withholds_as_many_distractors_as_there_is_support(roles, gone):
    one = sample(roles)
    missing = set(range(1, len(roles) + 1)) - set(kept(one, "exchanged"))
    assert len(missing) == gone
    assert all(roles[i - 1] == "d" for i in missing)
    assert can_withhold(one, "exchanged") == ("d" in roles)
    assert all(can_withhold(one, c) for c in ("full", "no_support", "question_only"))


def test_the_other_conditions():
    one = sample("sdsd")
    assert kept(one, "full") == [1, 2, 3, 4]
    assert kept(one, "no_support") == [2, 4]
    assert kept(one, "question_only") == []
    assert all(remove_pieces(one, c, Prompt())[0] == one.prompt[0] for c in ("no_support", "exchanged"))


def test_what_is_left_reads_as_if_the_rest_had_never_been_found():
    text = remove_pieces(sample("sdd", 4), "exchanged", Prompt())[-1]["content"]
    assert text in {f"Read.\n\n[1] place 1\ntext 1\n\n[2] place {i}\ntext {i}\n\nQuestion: why?" for i in (2, 3)}


def test_which_distractors_go_depends_on_the_sample_alone_and_on_nothing_of_theirs():
    gone = Counter(next(iter({2, 3, 4, 5} - set(kept(sample("sdddd", n), "exchanged")))) for n in range(400))
    assert set(gone) == {2, 3, 4, 5}
    assert all(70 < n < 130 for n in gone.values())
    assert kept(sample("sdddd", 7), "exchanged") == kept(sample("sdddd", 7), "exchanged")


def test_in_a_prompt_of_another_origin_the_same_texts_are_cut():
    other = Prompt(piece="<doc {number}>\n{text}\n</doc>")
    one = sample("sddsd", 9)
    assert kept(one, "exchanged", other) == kept(one, "exchanged")
    assert kept(one, "no_support", other) == [2, 3, 5]
