import pytest

from inference.models.chat_template import ChatTemplate, ChatTemplateError

TEXTS = "{% for one in messages %}[{{ one['role'] }}] {{ one['content'] | trim }};{% endfor %}"
STRICT_TEXTS = "{% for one in messages %}{{ '[' + one.role + '] ' + one.content }};{% endfor %}"
PARTS = (
    "{% for one in messages %}[{{ one.role }}] {% for part in one.content %}"
    "{% if part.type == 'image' %}<image>{% elif part.type == 'text' %}{{ part.text }}{% endif %}"
    "{% endfor %};{% endfor %}"
)
# As LLaVA's: images first, wherever they stand.
IMAGES_FIRST = (
    "{% for one in messages %}[{{ one.role }}] "
    "{% for _ in one.content | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}"
    "{% for part in one.content | selectattr('type', 'equalto', 'text') %}{{ part.text }}"
    "{% endfor %};{% endfor %}"
)
EITHER = (
    "{% for one in messages %}[{{ one.role }}] {% if one.content is string %}{{ one.content }}"
    "{% else %}{% for part in one.content %}{{ part.text or '<image>' }}{% endfor %}{% endif %};"
    "{% endfor %}"
)
TEMPLATES = {
    "texts": TEXTS,
    "strict texts": STRICT_TEXTS,
    "parts": PARTS,
    "images first": IMAGES_FIRST,
    "either": EITHER,
}


def user(content: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": content}]


@pytest.mark.parametrize("source", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize(
    "content",
    ["hi there", [{"type": "text", "text": "hi "}, {"type": "text", "text": "there"}]],
    ids=["a text", "parts"],
)
def test_any_template_shows_texts_and_parts_alike(source: str, content: object):
    assert ChatTemplate(source).render(user(content)) == "[user] hi there;"


@pytest.mark.parametrize("source", [PARTS, IMAGES_FIRST, EITHER])
def test_an_image_reaches_a_template_of_parts(source: str):
    content = [{"type": "image"}, {"type": "text", "text": "What is this?"}]

    assert ChatTemplate(source).render(user(content)) == "[user] <image>What is this?;"


@pytest.mark.parametrize(
    ("source", "takes"),
    [
        pytest.param(TEXTS, {"text"}, id="texts"),
        pytest.param(STRICT_TEXTS, {"text"}, id="strict texts"),
        pytest.param(PARTS, {"parts"}, id="parts"),
        pytest.param(IMAGES_FIRST, {"parts"}, id="images first"),
        pytest.param(EITHER, {"text", "parts"}, id="either"),
        pytest.param("{{ messages | tojson }}", {"text"}, id="written out"),
        pytest.param("{{ raise_exception('no system') }}", {"text"}, id="neither"),
    ],
)
def test_what_a_template_takes_is_found_by_trying(source: str, takes: set[str]):
    template = ChatTemplate(source)

    assert template.takes_text == ("text" in takes)
    assert template.takes_parts == ("parts" in takes)


def test_an_image_in_a_template_of_texts_becomes_its_mark():
    template = ChatTemplate(TEXTS, marks={"image_token": "<image>"})

    assert template.render(user([{"type": "image"}, {"type": "text", "text": "?"}])) == (
        "[user] <image>?;"
    )


def test_an_image_that_has_no_place_is_refused():
    with pytest.raises(ChatTemplateError, match="no place for parts of type 'image'"):
        ChatTemplate(TEXTS).render(user([{"type": "image"}]))


def test_a_message_without_content_stays_so():
    template = ChatTemplate("{% for one in messages %}{{ one.content is none }}{% endfor %}")

    assert template.render([{"role": "assistant", "content": None}]) == "True"


def test_tools_are_asked_for_as_transformers_templates_do():
    template = ChatTemplate("{% if tools is not none %}tools{% endif %}{{ documents is none }}")

    assert template.render([]) == "True"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        pytest.param("{% generation %}x{% endgeneration %}", "x", id="generation"),
        pytest.param("{% for i in [1, 2] %}{{ i }}{% break %}{% endfor %}", "1", id="break"),
        pytest.param("{{ {'a': '<é>'} | tojson }}", '{"a": "<é>"}', id="tojson"),
        pytest.param("{{ [1] | tojson(indent=1) }}", "[\n 1\n]", id="indented"),
        pytest.param("{% set n = namespace(x=1) %}{{ n.x }}", "1", id="namespace"),
        pytest.param("{{ add_generation_prompt }}", "True", id="the assistant is next"),
    ],
)
def test_what_templates_are_written_with_is_there(source: str, text: str):
    assert ChatTemplate(source).render([]) == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("{{ raise_exception('alternate roles') }}", "alternate roles", id="raised"),
        pytest.param("{{ 1 / 0 }}", "division by zero", id="arithmetic"),
        pytest.param("{{ messages[0].content.missing.more }}", "has no attribute", id="undefined"),
        pytest.param("{{ ''.__class__.__mro__ }}", "unsafe", id="a way out"),
        pytest.param("{{ messages.append(1) }}", "unsafe", id="a change"),
    ],
)
def test_a_template_that_fails_says_how(source: str, message: str):
    with pytest.raises(ChatTemplateError, match=f"refuses: .*{message}"):
        ChatTemplate(source).render(user("hi"))
