"""A port is bound before anything starts; one that is taken is named with what to do."""

import socket

import aiohttp
import pytest
from aiohttp import web

from warmfront.errors import StackError
from warmfront.listening import listen, serving_pages, url_of


async def test_pages_are_served_on_the_bound_socket_until_left():
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", hello)
    with listen("127.0.0.1", 0, name="console") as listener:
        async with (
            serving_pages(app, listener),
            aiohttp.ClientSession() as http,
            http.get(url_of(listener)) as response,
        ):
            assert await response.text() == "hello"


def test_a_taken_port_names_the_port_the_flag_and_the_setting():
    with listen("127.0.0.1", 0, name="gateway") as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError) as raised:
            listen("127.0.0.1", port, name="gateway")

    assert f"port {port} on 127.0.0.1 is taken" in str(raised.value)
    assert "--gateway-port" in str(raised.value)
    assert "[addresses] gateway" in str(raised.value)


def test_an_address_of_another_machine_is_said_so():
    with pytest.raises(StackError, match=r"cannot listen on 192\.0\.2\.1"):
        listen("192.0.2.1", 0, name="exporter")


def test_the_socket_is_free_again_after_it_is_closed():
    with listen("127.0.0.1", 0, name="console") as first:
        port = first.getsockname()[1]

    with listen("127.0.0.1", port, name="console") as again:
        assert isinstance(again, socket.socket)
