"""The page in a real browser, against a real server and a real store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from dashboards.console.console import Console
from dashboards.console.feeds import Feeds
from telemetry.clock import ManualClock
from telemetry.store import StoreUnavailableError

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PLOTS = ("demand", "replicas", "ttft", "tpot", "tokens", "queue", "anomalies")
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PATIENCE = 20.0  # seconds, for a machine that is busy with something else
POINTS = """id => (document.getElementById(id).data ?? [])
    .map(trace => [trace.name, trace.y.filter(value => value !== null).length])"""
RANGE = "id => document.getElementById(id).layout.xaxis.range.map(String)"
OVERFLOW = "() => document.documentElement.scrollWidth - window.innerWidth"


@dataclass
class Opened:
    """A page, and everything it complained of or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    origins: set[str] = field(default_factory=set)

    def text(self, selector: str):
        return expect(self.page.locator(selector), selector)

    async def points(self, plot: str) -> dict[str, int]:
        """Return how many points each trace of a plot has, once it is drawn."""
        await self.page.locator(f"#{plot}-plot").scroll_into_view_if_needed()
        drawn = self.page.locator(f"#{plot}-plot.js-plotly-plot")
        await drawn.wait_for(state="attached", timeout=PATIENCE * 1000)
        return dict(await self.page.evaluate(POINTS, f"{plot}-plot"))

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await is_so():  # noqa: ASYNC110 - the browser tells nobody
                await asyncio.sleep(0.05)


OpenPage = Callable[..., AbstractAsyncContextManager[Opened]]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def open_page(chromium) -> OpenPage:
    """Open pages that note every complaint; each is closed after use."""
    expect.set_options(timeout=PATIENCE * 1000)

    @asynccontextmanager
    async def open_page(url: str, viewport=DESK, **options) -> AsyncIterator[Opened]:
        context = await chromium.new_context(viewport=viewport, **options)
        page = await context.new_page()
        opened = Opened(page)
        page.on("console", lambda line: note(opened, line.type, line.text))
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("request", lambda asked: opened.origins.add(urlsplit(asked.url).netloc))
        await page.goto(url)
        try:
            yield opened
        finally:
            await context.close()

    return open_page


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def busy_server(serve_for_all, busy_console):
    return await serve_for_all(busy_console)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def shown(open_page, busy_server) -> AsyncIterator[Opened]:
    """The busy stack's page on a desk in Tokyo, opened once for all who only look at it."""
    async with open_page(busy_server.url, timezone_id="Asia/Tokyo") as opened:
        yield opened


def note(opened: Opened, kind: str, text: str) -> None:
    if kind in {"error", "warning"}:
        opened.complaints.append(text)


async def test_every_plot_is_drawn_and_nothing_complains(shown, busy_server):
    for plot in PLOTS:
        points = await shown.points(plot)
        assert max(points.values()) > 50, plot

    assert shown.complaints == []
    assert shown.origins == {urlsplit(busy_server.url).netloc}
    assert await shown.page.evaluate(OVERFLOW) <= 0


async def test_demand_is_drawn_with_the_past_band_and_the_future_one(shown):
    points = await shown.points("demand")

    assert points["demand"] > 90
    assert points["forecast"] > 90
    assert points["outlook"] == 31  # thirty steps, joined to the present
    has_gap = "() => document.getElementById('demand-plot').data.at(-1).y.includes(null)"
    assert await shown.page.evaluate(has_gap)


async def test_decisions_are_shown_with_reason_sentence_and_numbers(shown, world):
    for decision in world.feeds.decisions(6):
        await shown.text("#decisions").to_contain_text(decision["sentence"])
    await shown.text("#decisions").to_contain_text("scale down")

    await shown.page.locator("#decisions summary").first.press("Enter")

    await shown.text("#decisions dl >> nth=0").to_contain_text("13.8")


async def test_tiles_say_what_matters_now(shown):
    await shown.text("#tiles").to_contain_text("3serving")
    await shown.text("#tiles").to_contain_text("objective 1 s")
    await shown.text("#tiles").to_contain_text("14.9 req/s are expected")
    await shown.text("#health").to_have_text("All answering")


async def test_what_is_simulated_says_so(shown):
    await shown.text("#notes").to_contain_text("25 ms per iteration")
    await shown.text("#notes").to_contain_text("2 GPUs are simulated")
    await shown.text("#gpus-badge").to_be_visible()


async def test_times_are_in_the_browsers_own_zone(shown):
    await shown.points("demand")

    await shown.text("#footer").to_contain_text("23:13:23 · times in Asia/Tokyo")
    await shown.text("#demand-plot .xtick >> nth=-1").to_contain_text("23:1")


async def test_a_zoom_holds_for_all_plots_until_it_is_taken_back(shown):
    await shown.points("demand")
    whole = await shown.page.evaluate(RANGE, "demand-plot")
    pane = shown.page.locator("#demand-plot .nsewdrag").first
    await pane.scroll_into_view_if_needed()
    box = await pane.bounding_box()
    middle = box["y"] + box["height"] / 2
    await shown.page.mouse.move(box["x"] + 200, middle)
    await shown.page.mouse.down()
    await shown.page.mouse.move(box["x"] + 400, middle, steps=4)
    await shown.page.mouse.up()
    await shown.text("#zoom").to_be_visible()
    zoomed = await shown.page.evaluate(RANGE, "demand-plot")

    async with shown.page.expect_response("**/api/snapshot"):
        pass
    assert whole != zoomed
    assert zoomed == await shown.page.evaluate(RANGE, "demand-plot")
    assert zoomed == await shown.page.evaluate(RANGE, "replicas-plot")

    await shown.page.locator("#zoom").press("Enter")
    await shown.text("#zoom").to_be_hidden()
    assert whole == await shown.page.evaluate(RANGE, "demand-plot")


async def test_a_lost_daemon_is_said_and_forgiven_when_it_is_back(shown, busy_server):
    await shown.text("#banner").to_be_hidden()

    await busy_server.stop()
    await shown.text("#banner").to_contain_text("does not answer")
    await shown.text("#banner").to_contain_text("What you see is from")
    await shown.text("#health").to_have_text("No answer")

    await busy_server.start()
    await shown.text("#banner").to_be_hidden()
    await shown.text("#health").to_have_text("All answering")


async def test_the_page_follows_a_stack_from_before_its_first_metric(
    serve, open_page, unborn_stack, world
):
    stack = unborn_stack
    console = Console(stack.store, settings=world.settings, clock=stack.clock)
    async with open_page((await serve(console)).url) as shown:
        for plot in PLOTS:
            await shown.points(plot)
            await shown.text(f"#{plot}-empty").to_be_visible()
        await shown.text("#decisions").to_contain_text("No decision yet")
        await shown.text("#gpus").to_contain_text("No GPU has answered")
        await shown.text("#tiles .figure >> nth=0").to_have_text(world.unknown + "req/s")
        await shown.text("#demand-empty").to_contain_text("Nothing has been counted yet")
        await shown.text("#demand-empty").to_contain_text("curl http://127.0.0.1:8000/v1/")

        stack.start()
        stack.live(until=world.now + 40 * world.step)

        async def is_drawn() -> bool:
            return (await shown.points("demand"))["demand"] >= 39

        await shown.until(is_drawn)
        await shown.text("#demand-empty").to_be_hidden()
        assert shown.complaints == []


async def test_what_cannot_be_read_says_so_where_it_would_stand(serve, open_page, world):
    class Broken:
        def latest(self, *_, **__):
            raise StoreUnavailableError("the disk is gone")

        gauge = increase = latest

    clock = ManualClock(world.now)
    console = Console(Broken(), settings=world.settings, clock=clock, feeds=world.feeds)
    async with open_page((await serve(console)).url) as shown:
        await shown.text("[data-section=demand] .unavailable").to_contain_text("the disk is gone")
        await shown.text("#decisions").to_contain_text("14.9 req/s")
        await shown.text("#health").to_have_text("1 problem")
        await shown.points("demand")
        assert shown.complaints == []


async def test_hostile_and_endless_texts_stay_texts_and_fit_a_phone(
    serve, open_page, busy_stack, world
):
    text = world.hostile_text

    def rows(*_):
        row = {"at": world.now, "reason": text, "sentence": text, "numbers": {text: text}}
        endless = {**row, "reason": "r" * 60, "sentence": "s" * 300, "numbers": {"n" * 80: 1}}
        both = ({**row, "id": text, "state": text}, {**endless, "id": "i" * 60, "state": "failed"})
        return [{**one, "signal": one["reason"], "until": None} for one in both]

    feeds = Feeds(decisions=rows, fleet=rows, anomalies=rows)
    settings = replace(world.hostile(world.settings), notes=(text, "x" * 120))
    console = Console(busy_stack.store, settings=settings, clock=busy_stack.clock, feeds=feeds)
    async with open_page((await serve(console)).url, PHONE, color_scheme="dark") as shown:
        await shown.text("#model").to_have_text(text)
        for place in ("#addresses", "#notes", "#decisions", "#fleet", "#events", "#demand-empty"):
            await shown.text(place).to_contain_text(text)
        assert await shown.page.title() == f"{text} · Warmfront"
        assert await shown.page.locator("body script, body img:not([alt=''])").count() == 0
        await shown.points("anomalies")
        assert await shown.page.evaluate(OVERFLOW) <= 0
        assert shown.complaints == []


async def test_the_page_fits_a_phone(open_page, busy_server):
    async with open_page(busy_server.url, PHONE, is_mobile=True, has_touch=True) as shown:
        await shown.points("anomalies")

        assert await shown.page.evaluate(OVERFLOW) <= 0
        assert shown.complaints == []
