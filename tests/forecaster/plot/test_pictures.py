"""The picture, drawn both ways: with its gaps, names as they are, and no need of a network."""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from forecaster.demand.demand import Demand
from forecaster.forecast import QUANTILES, Forecast
from forecaster.plot import image, page
from forecaster.plot.picture import Line, Picture, Reliability, picture_of, thinned
from forecaster.scenarios import Scenarios
from telemetry.series import Series, Window

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
END = 1_800_000_000.0
RELIABILITY = Reliability(
    np.array([0.1, 0.5, 0.9]), np.array([0.12, 0.5, 0.88]), np.full(10, 0.1),
    np.linspace(0.0, 1.0, 11), 480,
)  # fmt: skip


def picture(
    *, end: float = END, name: str = "<b>chat</b> & $co", reliability: Reliability | None = None
) -> Picture:
    rates = 10 + 5 * np.sin(np.arange(600) / 50)
    rates[580:590] = np.nan
    demand = Demand(name, Series({}, Window(end - 599 * 60, end, 60.0), rates))
    values = np.outer(np.linspace(1.0, 1.5, 60), np.linspace(5.0, 20.0, len(QUANTILES)))
    scenarios = Scenarios(np.full((200, 60), 9.0))
    forecast = Forecast(end, 60.0, QUANTILES, values, "combination", 480, scenarios=scenarios)
    return picture_of(
        demand, forecast, zone=ZoneInfo("Europe/Berlin"), subtitle="The 1 h after.",
        reliability=reliability,
    )  # fmt: skip


def test_the_fan_begins_where_demand_was_last_known_and_widens_outwards() -> None:
    drawn = picture()

    assert drawn.middle[0] == drawn.recent.values[-1]
    assert next(band.name for band in drawn.bands) == "98% (p1 to p99)"
    for outer, inner in zip(drawn.bands, drawn.bands[1:], strict=False):
        assert (outer.lows <= inner.lows).all()
        assert (outer.highs >= inner.highs).all()


def test_a_gap_stays_a_gap_and_long_demand_is_thinned_without_moving_its_mean() -> None:
    line = Line(np.arange(10.0), np.array([1, 3, np.nan, np.nan, 5, np.nan, 2, 2, 2, 2], float))
    few = thinned(line, 5)

    np.testing.assert_array_equal(few.values, [2, np.nan, 5, 2, 2])
    assert thinned(line, 10) is line


@pytest.mark.parametrize("kind", image.KINDS)
@pytest.mark.parametrize("reliability", [None, RELIABILITY], ids=["alone", "with reliability"])
def test_an_image_is_of_the_kind_asked_for(kind: str, reliability: Reliability | None) -> None:
    content = image.image(picture(reliability=reliability), kind)

    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind]
    assert content.startswith(begins)


def test_a_png_is_large_enough_to_read_and_has_every_band() -> None:
    with Image.open(io.BytesIO(image.image(picture(), "png"))) as drawn:
        colours = {pixel for _, pixel in drawn.convert("RGB").getcolors(maxcolors=1 << 24)}
        assert drawn.size == (1800, 1260)

    for fan in ((220, 234, 251), (185, 213, 246), (147, 189, 240), (105, 162, 232)):
        assert fan in colours


@pytest.mark.parametrize("end", [END, 36_000.0], ids=["dated", "from the start"])
def test_an_image_names_its_axes_and_its_unit(end: float) -> None:
    made = image.figure(picture(end=end, reliability=RELIABILITY))
    labels = {axes.get_xlabel() for axes in made.axes} | {axes.get_ylabel() for axes in made.axes}

    assert "requests/s" in labels
    assert any("time" in label or "from the start" in label for label in labels)
    assert {"level forecast", "share of outcomes"} <= labels


def test_a_page_asks_nothing_of_a_network_and_takes_names_for_what_they_are() -> None:
    text = page.page(picture(reliability=RELIABILITY))

    assert "<title>Demand of &lt;b&gt;chat&lt;/b&gt; &amp; $co</title>" in text
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text)


@pytest.fixture
def browser_page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine's PATH")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser.new_context(viewport={"width": 1300, "height": 900}, offline=True).new_page()
        browser.close()


@pytest.mark.browser
def test_a_page_draws_itself_offline_and_without_an_error(
    browser_page: Page, tmp_path: Path
) -> None:
    path, errors = tmp_path / "x.html", []
    path.write_text(page.page(picture(reliability=RELIABILITY)))
    browser_page.on("pageerror", lambda error: errors.append(str(error)))
    browser_page.goto(path.as_uri())
    browser_page.wait_for_selector(".legend .traces")

    legend = browser_page.locator(".legendtext").all_text_contents()
    assert {"demand", "median (p50)", "98% (p1 to p99)"} <= set(legend)
    assert "requests/s" in browser_page.locator(".ytitle").all_text_contents()
    assert "<b>chat</b> & $co" in browser_page.locator(".gtitle").text_content()
    assert errors == []
