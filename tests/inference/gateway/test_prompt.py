import pytest

from inference.gateway.prompt import (
    PREFIX_BYTES,
    PromptSize,
    bounded,
    image_of,
    pieces_of_chat,
    pieces_of_prompts,
    size_of_chat,
    size_of_prompts,
)


def picture(data):
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("expected", "messages"),
    [
        pytest.param(PromptSize(5), [{"role": "user", "content": "hello"}], id="a text"),
        pytest.param(PromptSize(4), [{"content": "ab"}, {"content": "cd"}], id="two messages"),
        pytest.param(PromptSize(3), user({"type": "text", "text": "abc"}), id="a part"),
        pytest.param(PromptSize(0, images=2), user(picture("A"), picture("B")), id="images"),
        pytest.param(PromptSize(), [{"role": "assistant", "content": None}], id="no content"),
        pytest.param(PromptSize(), {"content": "hello"}, id="no list"),
        pytest.param(PromptSize(), ["hello", 7, None, [[]]], id="no messages"),
        pytest.param(PromptSize(4), [{"content": "\ud800x"}], id="half a character"),
    ],
)
def test_the_size_of_a_chat(expected, messages):
    assert size_of_chat(messages) == expected


@pytest.mark.parametrize(
    ("expected", "prompts"),
    [
        pytest.param(PromptSize(5), "hello", id="a text"),
        pytest.param(PromptSize(12), [1, 2, 3], id="tokens"),
        pytest.param(PromptSize(3, prompts=2), ["a", "bc"], id="texts"),
        pytest.param(PromptSize(12, prompts=2), [[1, 2], [3]], id="lists of tokens"),
        pytest.param(PromptSize(), [], id="none"),
        pytest.param(PromptSize(), None, id="not given"),
        pytest.param(PromptSize(), {"a": 1}, id="an object"),
    ],
)
def test_the_size_of_prompts(expected, prompts):
    assert size_of_prompts(prompts) == expected


def test_turns_of_a_conversation_share_their_beginning():
    first = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]
    second = [*first, {"role": "assistant", "content": "yes?"}]

    assert list(pieces_of_chat(second))[:2] == list(pieces_of_chat(first))


def test_a_text_and_a_single_part_of_text_begin_alike():
    assert list(pieces_of_chat(user({"type": "text", "text": "hi"}))) == list(
        pieces_of_chat([{"role": "user", "content": "hi"}])
    )


def test_another_role_is_another_beginning():
    system = [{"role": "system", "content": "hi"}]

    assert list(pieces_of_chat(system)) != list(pieces_of_chat(user("hi")))


@pytest.mark.parametrize("data", ["A" * 9999 + "B", "B" + "A" * 9999, "A" * 9998, "A" * 10_001])
def test_images_that_differ_in_size_or_end_begin_differently(data):
    assert list(pieces_of_chat(user(picture(data)))) != list(
        pieces_of_chat(user(picture("A" * 10_000)))
    )


def test_a_large_image_is_told_by_little_of_it():
    assert sum(map(len, pieces_of_chat(user(picture("A" * 2_000_000))))) < 3000


@pytest.mark.parametrize(
    ("expected", "prompts"),
    [
        pytest.param([b"hello"], "hello", id="a text"),
        pytest.param([b"1 22 3"], [1, 22, 3], id="tokens"),
        pytest.param([b"a"], ["a", "b"], id="the first of many"),
        pytest.param([b"1 2"], [[1, 2], [3]], id="the first list of many"),
        pytest.param([], None, id="none"),
        pytest.param([], [{}], id="no prompt"),
    ],
)
def test_the_beginning_of_prompts(expected, prompts):
    assert list(pieces_of_prompts(prompts)) == expected


def test_no_more_of_the_beginning_is_given_than_is_compared():
    long = [{"role": "user", "content": "x" * 50_000}] * 9

    pieces = list(bounded(pieces_of_chat(long)))

    assert sum(map(len, pieces)) == PREFIX_BYTES
    assert len(pieces) == 2


@pytest.mark.parametrize("part", [None, "text", {"type": "text"}, {"image_url": {"url": "x"}}])
def test_what_is_no_image_has_no_url(part):
    assert image_of(part) is None


def test_an_image_without_a_url_is_still_an_image():
    assert image_of({"type": "image_url"}) == ""
