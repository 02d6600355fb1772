"""Held-out questions without their support, and what counts as the right answer."""

import pytest

from acc.chat import load_chat
from acc.errors import UserError
from acc.evaluate import heldout
from acc.evaluate.questions import after_thinking
from acc.recipe.data import Prompt
from acc.recipe.evaluation import HeldOut
from acc.records.withholding import remove_pieces


@pytest.fixture
def chat(student):
    return load_chat(student)


def content(sample, condition, prompt=None):
    return remove_pieces(sample, condition, prompt or Prompt())[-1]["content"]


def test_without_support_the_prompt_reads_as_if_it_had_never_been_found(sample):
    one = sample(1)
    assert content(one, "full") == one.prompt[-1]["content"]
    assert content(one, "no_support") == (
        "Please reason based on the following documents and answer the question.\n\n[1] a/1\nThe town 1 is old.\n\n"
        "[2] a/3\nA river is near. {braces} <|im_end|>\n\nQuestion: what is the colour of 1?"
    )
    assert content(one, "question_only") == (
        "Please reason based on the following documents and answer the question.\n\n\n\nQuestion: what is the colour of 1?"
    )


def test_in_a_prompt_of_another_origin_the_texts_are_cut(sample):
    other = Prompt(piece="<doc {number}>\n{text}\n</doc>")
    text = content(sample(1), "no_support", other)
    assert "The answer is red" not in text
    assert "[2] a/2\n\n\n[3] a/3\nA river" in text
    alone = content(sample(1), "question_only", other)
    assert "old" not in alone and "river" not in alone and "Question: what is the colour of 1?" in alone


def test_only_held_out_questions_are_asked_and_the_rest_is_counted(compiled, tmp_path):
    found, not_asked = heldout.read_held_out(compiled / "samples.parquet", None)
    assert [s.sample_id for s in found] == [f"{i:032x}" for i in range(8)]
    assert not_asked == 1
    assert found[0].pieces
    some, _ = heldout.read_held_out(compiled / "samples.parquet", 4)
    assert [int(s.sample_id, 16) for s in some] == [0, 2, 4, 6]
    with pytest.raises(UserError, match="acc compile"):
        heldout.read_held_out(tmp_path / "samples.parquet", None)


@pytest.mark.parametrize("layout", ["think", "plain"])
def test_the_scored_tokens_are_the_gold_answers_own(sample, chat, layout):
    question = heldout.question(
        sample(1, answer="red and blue"), "full", chat=chat, layout=layout, prompt=Prompt(), max_new_tokens=9
    )
    start, end = question.scored
    assert chat.tokenizer.decode(list(question.target[start:end])).strip() == "red and blue"
    assert question.target[-1] == chat.stop_id and end == len(question.target) - 1
    assert chat.tokenizer.decode(list(question.target[:start]), keep_control=True) == (
        "<think>\n\n</think>\n\n" if layout == "think" else ""
    )


def test_a_question_is_given_as_ids_and_as_messages(sample, chat):
    question = heldout.question(sample(1), "no_support", chat=chat, layout="think", prompt=Prompt(), max_new_tokens=9)
    assert question.messages == remove_pieces(sample(1), "no_support", Prompt())
    assert list(question.prompt) == chat.encode_prompt(question.messages, "think").ids


@pytest.mark.parametrize(
    ("measures", "target", "new"), [(["exact"], False, 9), (["nll"], True, 0), (["exact", "nll"], True, 9)]
)
def test_only_what_is_measured_is_asked_for(sample, chat, measures, target, new):
    asked = HeldOut(measures=measures, max_new_tokens=9)
    (question,), _ = heldout.questions(
        [sample(1)], asked.model_copy(update={"conditions": ["full"]}), chat=chat, layout="think", prompt=Prompt()
    )
    assert (bool(question.target), question.scored[1] > 0, question.max_new_tokens) == (target, target, new)


def test_samples_without_distractors_are_counted_where_roles_are_exchanged(sample, chat):
    asked = HeldOut(conditions=["full", "no_support", "exchanged"])
    samples = [sample(1), sample(2, domain="database"), sample(3)]
    found, left_out = heldout.questions(samples, asked, chat=chat, layout="think", prompt=Prompt())
    assert [(int(q.row, 16), q.condition) for q in found] == [
        *((n, c) for n in (1, 2) for c in asked.conditions if (n, c) != (2, "exchanged")),
        *((3, c) for c in asked.conditions),
    ]
    assert left_out == {"full": 0, "no_support": 0, "exchanged": 1}


def test_control_text_of_evidence_stays_text(sample, chat):
    ids = heldout.question(sample(1), "full", chat=chat, layout="think", prompt=Prompt(), max_new_tokens=9).prompt
    # The template ends one turn; the piece's own <|im_end|> is plain text.
    assert list(ids).count(chat.stop_id) == 1


@pytest.mark.parametrize(
    ("answer", "gold", "domain", "layout", "exact"),
    [
        (" Red\n and  BLUE ", "red and blue", "search", "think", True),
        ("red and blue.", "red and blue", "search", "think", False),
        ("", "red", "search", "think", False),
        ("Because it says so.\n\nred", "red", "search", "plain", True),
        ("Because it says so.\n\nred", "red", "search", "think", False),
        ("First.\n\nThen a\n\nb", "a\n\nb", "search", "plain", False),
        ("First.\n\na\n\nb", "a\n\nb", "search", "plain", True),
        ("-a  \n\n+b\n", "-a\n+b", "software", "think", True),
        ("-A\n+b", "-a\n+b", "software", "think", False),
        (" -a\n+b", "-a\n+b", "software", "think", False),
    ],
)
def test_what_counts_as_the_gold_answer(sample, answer, gold, domain, layout, exact):
    assert heldout.is_exact(sample(1, domain=domain, answer=gold), answer, layout) is exact


@pytest.mark.parametrize(
    ("text", "opened", "answer"),
    [
        ("<think>\nhm\n</think>\n\nred", False, "red"),
        ("hm\n</think>\n\nred", True, "red"),
        ("a</think>b</think>\n\n red", False, " red"),
        ("red", False, "red"),
        ("thinking and thinking", True, ""),
        ("\n<think>\nthinking and", False, ""),
    ],
)
def test_the_answer_is_what_follows_the_last_thinking(text, opened, answer):
    assert after_thinking(text, opened=opened) == answer
