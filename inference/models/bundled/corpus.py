"""Plain English from the documentation of the Python interpreter at hand (PSF licence)."""

import ast
import re
import sysconfig
import warnings
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

HELD_OUT_SHARE = 20
PASSAGE_CHARACTERS = 700
ANSWER_CHARACTERS = 260
SKIPPED = {"test", "tests", "site-packages", "__pycache__"}
SKIPPED |= {"encodings", "idlelib", "lib2to3", "turtledemo"}
CODE = (">>>", "::=", "  |", "+--", "...  ", " -> ", "#!", "==", "  --")

UNDERLINE = re.compile(r"^([*=\-~^\"#.+])\1{2,}$")
BULLET = re.compile(r"^([*\-+]|\d+[.)]|\(\d+\))\s+")
ROLE = re.compile(r":[a-z:]+:`~?([^`<]+?)(?:\s*<[^>]*>)?`")
LEAD_IN = re.compile(r"(?<=[.!?]) [^.!?]*:$")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"])")
PROSE = re.compile(r"^(?:[A-Z]|\"\w)[\w\s—,.;:'\"()/\-?!]*[.!?]$")


@dataclass(frozen=True, slots=True)
class Passage:
    """A run of plain paragraphs, one a line."""

    text: str

    @property
    def is_held_out(self) -> bool:
        """True of one passage in twenty, whatever the others are."""
        return zlib.crc32(self.text.encode()) % HELD_OUT_SHARE == 0


@dataclass(frozen=True, slots=True)
class Subject:
    """Something a reader may ask about, by any of its names, and what the documentation says."""

    names: tuple[str, ...]
    answer: str


def passages() -> list[Passage]:
    """Every distinct passage, topics first."""
    texts = [*topics.values(), *(doc for _, doc in docstrings())]
    found = (text for doc in texts for text in split_passages(paragraphs(doc)))
    return [Passage(text) for text in dict.fromkeys(found)]


def topic_subjects() -> list[Subject]:
    """Each topic of the language reference, under its key and its title."""
    found = []
    for key, text in sorted(topics.items()):
        if answer := first_sentences(paragraphs(text)):
            found.append(Subject(topic_names(key, text), answer))
    return found


def library_subjects() -> list[Subject]:
    """The public modules, classes and functions of the standard library that have a summary."""
    found: dict[str, Subject] = {}
    for name, doc in docstrings():
        answer = first_sentences(paragraphs(doc))
        if answer and not any(part.startswith("_") for part in name.split(".")):
            found.setdefault(name, Subject((name,), answer))
    return list(found.values())


def topic_names(key: str, text: str) -> tuple[str, ...]:
    """The topic's title as one would say it, and its key where that differs."""
    title = text.strip().splitlines()[0].replace('"', "").lower()
    spoken = re.sub(r" \(.*\)| — .*", "", title).strip()
    return tuple(dict.fromkeys((spoken, key.replace("-", " "))))


def docstrings() -> Iterator[tuple[str, str]]:
    """Each documented object of the standard library by its dotted name, in a fixed order."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if SKIPPED.isdisjoint(parts) and not parts[0].startswith("config-"):
            module = ".".join(part for part in parts if part != "__init__")
            yield from documented(module, parse(path))


def parse(path: Path) -> ast.Module:
    """The module's tree; the odd escapes of old files are not ours to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(path.read_bytes())


def documented(name: str, node: ast.AST) -> Iterator[tuple[str, str]]:
    """The node's own docstring, then those of the classes and functions inside it."""
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    if isinstance(node, kinds) and (doc := ast.get_docstring(node)):
        yield name, doc
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from documented(f"{name}.{child.name}", child)


def paragraphs(doc: str) -> list[str]:
    """The prose of a document: no headings, code, grammar, tables or markup."""
    blocks = re.split(r"\n[ \t]*\n", doc.expandtabs())
    plain = (plain_text(block) for block in blocks if not is_code(block))
    return [text for text in plain if is_prose(text)]


def is_code(block: str) -> bool:
    """True of sessions, grammar and tables, and of headings with a line under them."""
    underlined = any(UNDERLINE.match(line.strip()) for line in block.splitlines())
    return underlined or any(mark in block for mark in CODE)


def plain_text(block: str) -> str:
    """The block on one line, without markup and without a last sentence that leads to code."""
    text = BULLET.sub("", " ".join(block.split()))
    text = ROLE.sub(r"\1", text)
    text = re.sub(r"``?([^`]+)``?", r"\1", text).replace("`", "")
    text = re.sub(r"(?<!\w)\*{1,2}(\w[^*]*?)\*{1,2}(?!\w)", r"\1", text)
    text = re.sub(r"\s*\[\d+\]", "", text)
    text = LEAD_IN.sub("", text.replace("::", ":"))
    return re.sub(r":$", ".", text)


def is_prose(text: str) -> bool:
    """True of whole sentences made mostly of words."""
    letters = sum(char.isalpha() or char == " " for char in text)
    return len(text) >= 30 and letters > 0.85 * len(text) and bool(PROSE.match(text))


def split_passages(lines: Iterable[str]) -> Iterator[str]:
    """Join neighbouring paragraphs, as many as stay short together."""
    kept = ""
    for line in lines:
        for piece in split_long(line):
            if kept and len(kept) + len(piece) >= PASSAGE_CHARACTERS:
                yield kept
                kept = ""
            kept = f"{kept}\n{piece}".lstrip()
    if kept:
        yield kept


def split_long(line: str) -> Iterator[str]:
    """The line itself, or sentences of it where it is longer than a passage."""
    while len(line) > PASSAGE_CHARACTERS:
        head = leading(SENTENCE_END.split(line), PASSAGE_CHARACTERS)
        if not head or head == line:
            return
        yield head
        line = line[len(head) :].strip()
    yield line


def first_sentences(lines: list[str]) -> str:
    """As many sentences of the first paragraph as make a short answer, or none."""
    return leading(SENTENCE_END.split(lines[0]), ANSWER_CHARACTERS) if lines else ""


def leading(sentences: list[str], characters: int) -> str:
    """The longest run of leading sentences within so many characters."""
    text = ""
    for sentence in sentences:
        joined = f"{text} {sentence}".strip()
        if len(joined) > characters:
            break
        text = joined
    return text
