from opentelemetry.trace import SpanKind, StatusCode

from tests.inference.gateway.fake_replica import ask, refuse

CHAT = "/v1/chat/completions"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def test_each_request_is_one_server_span_within_the_callers_trace(
    start_replica, start_gateway, http
):
    replica, gateway = await start_replica(), await start_gateway()
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    async with http.post(gateway.url + CHAT, json=ask(stream=True), headers=headers) as response:
        await response.read()
    (span,) = gateway.requests

    assert span.name == "chat tiny"
    assert span.kind is SpanKind.SERVER
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    wanted = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "tiny",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 3,
        "http.request.method": "POST",
        "http.route": CHAT,
        "http.response.status_code": 200,
        "warmfront.replica": "r1",
    }
    assert wanted.items() <= span.attributes.items()
    assert replica.requests[0][0]["traceparent"] == f"00-{TRACE}-{span.context.span_id:016x}-01"


async def test_without_a_callers_trace_a_new_one_begins(start_replica, start_gateway, http):
    replica, gateway = await start_replica(), await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask()):
        pass
    (span,) = gateway.requests

    assert span.parent is None
    assert f"{span.context.trace_id:032x}" in replica.requests[0][0]["traceparent"]


async def test_the_span_of_a_failure_says_why(start_replica, start_gateway, http):
    await start_replica(behave=refuse)
    gateway = await start_gateway(max_tries=1)
    async with http.post(gateway.url + CHAT, json=ask()) as response:
        assert response.status == 503
    (span,) = gateway.requests

    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "no_replica"
    assert span.attributes["http.response.status_code"] == 503


async def test_a_clients_mistake_is_not_an_error_of_the_server(start_gateway, http):
    gateway = await start_gateway()
    async with http.post(gateway.url + CHAT, json=ask(model="gpt-9")) as response:
        assert response.status == 404
    (span,) = gateway.requests

    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["http.response.status_code"] == 404
    assert "gen_ai.request.model" not in span.attributes
