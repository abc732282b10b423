"""The byte-level vocabulary of the bundled model and the marks of its chat."""

import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

SIZE = 2048
PAD, BOS, END, USER, ASSISTANT = "<|pad|>", "<|bos|>", "<|end|>", "<|user|>", "<|assistant|>"
MARKS = (PAD, BOS, END, USER, ASSISTANT)
PAD_ID, BOS_ID, END_ID, USER_ID, ASSISTANT_ID = range(len(MARKS))
IMAGE, IMAGE_ID, IMAGE_TOKENS = "<|image|>", SIZE - 1, 16

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] != 'system' %}"
    "<|{{ message['role'] }}|>{% if message['content'] is string %}"
    "{{ message['content'] | trim }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|image|>{% elif part['type'] == 'text' %}"
    "{{ part['text'] | trim }}{% endif %}{% endfor %}{% endif %}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def train(texts: Iterable[str]) -> Tokenizer:
    """Learn merges from the texts; digits stay single so that numbers can be computed with."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainer())
    tokenizer.add_special_tokens([IMAGE])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, BOS_ID)]
    )
    return tokenizer


def trainer() -> trainers.BpeTrainer:
    """Byte-pair merges on top of all single bytes and the marks."""
    return trainers.BpeTrainer(
        vocab_size=IMAGE_ID,
        special_tokens=list(MARKS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )


def load(folder: Path) -> Tokenizer:
    """A saved vocabulary; in one that knows no images, their mark takes the last merge's place."""
    content = json.loads((folder / "tokenizer.json").read_text())
    pieces = content["model"]["vocab"]
    if last := next((text for text, id_ in pieces.items() if id_ == IMAGE_ID), None):
        del pieces[last]
        content["model"]["merges"].pop()
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens([IMAGE])
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `tokenizer.json` and `tokenizer_config.json`."""
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": [USER, ASSISTANT, IMAGE],
        "add_bos_token": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def plain_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """The text's tokens without marks."""
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def question_ids(tokenizer: Tokenizer, question: str) -> list[int]:
    """A user's turn and the mark that asks for an answer, as the chat template renders them.

    One mark of an image stands for as many tokens as the eye gives it.
    """
    ids = chain.from_iterable(
        [token] * (IMAGE_TOKENS if token == IMAGE_ID else 1)
        for token in plain_ids(tokenizer, question)
    )
    return [USER_ID, *ids, END_ID, ASSISTANT_ID]
