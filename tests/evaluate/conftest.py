"""A tiny student with random weights, and held-out samples as compile writes them."""

import json
from pathlib import Path

import pytest

from acc.records.sample import Piece, Sample, write_samples

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tokenizer(folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = ["Please reason based on the following documents and answer the question. The capital of the town is red."]
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(text, trainer)
    tokenizer.add_tokens([AddedToken(c, special=c.startswith("<|"), normalized=False) for c in CONTROL])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"eos_token": "<|im_end|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def write_model(folder: Path, seed: int) -> None:
    import torch
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    torch.manual_seed(seed)
    config = Qwen3MoeConfig(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        # Wide enough that greedy choices are never near a tie.
        initializer_range=0.3,
    )
    Qwen3MoeForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def student(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("student")
    write_tokenizer(folder)
    write_model(folder, 0)
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """Another checkpoint of the same student, where a training run would put it."""
    folder = tmp_path_factory.mktemp("train") / "checkpoint-10"
    folder.mkdir()
    write_tokenizer(folder)
    write_model(folder, 1)
    return folder


def make_sample(number: int, *, domain="search", answer="red", split="held_out", target="answer_only") -> Sample:
    """A question on three pieces in the recipe's own template; the second is the support, of a database question all are."""
    texts = [("a/1", "distractor", f"The town {number} is old."), ("a/2", "support", f"The answer is {answer}.")]
    texts.append(("a/3", "distractor", "A river is near. {braces} <|im_end|>"))
    content, pieces = "Please reason based on the following documents and answer the question.\n\n", []
    for i, (locator, role, text) in enumerate(texts, 1):
        role = "support" if domain == "database" else role
        content += ("\n\n" if i > 1 else "") + f"[{i}] {locator}\n"
        pieces.append(Piece(locator, role, len(content), len(content) + len(text)))
        content += text
    content += f"\n\nQuestion: what is the colour of {number}?"
    return Sample(
        sample_id=f"{number:032x}",
        target=target,
        domain=domain,
        source="s",
        split=split,
        question=f"what is the colour of {number}?",
        prompt=[{"role": "user", "content": content}],
        completion=[{"role": "assistant", "content": answer}],
        ground_truth_answer=answer,
        pieces=pieces,
    )


@pytest.fixture
def sample():
    return make_sample


@pytest.fixture(scope="session")
def compiled(tmp_path_factory) -> Path:
    """Eight held-out questions of two domains among training samples and a held-out conversation."""
    folder = tmp_path_factory.mktemp("compile")
    held = [make_sample(i, domain="search" if i % 2 else "database", answer=f"red {i}") for i in range(8)]
    rest = [make_sample(100, split="train"), make_sample(101, target="chat")]
    write_samples(folder / "samples.parquet", [*held, *rest])
    return folder


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A function that writes a commit of a data set into a cache of the hub's layout, and makes main name it."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "no_ranks"))

    def commit(sha, files, dataset="openai/mrcr"):
        home = tmp_path / "hub" / f"datasets--{dataset.replace('/', '--')}"
        from acc.evaluate.benchmarks import write_rows

        for name, rows in files.items():
            write_rows(home / "snapshots" / sha / name, rows)
        (home / "refs").mkdir(exist_ok=True)
        (home / "refs" / "main").write_text(sha)

    return commit
