"""The dashboard in a real Chromium, on a real daemon: each view shows what comes, and says what it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browser import Dashboard, open_dashboard
from daemon import Daemon
from needed import npm_package
from playwright.sync_api import Browser, expect

from cortexcast_client import Connection

CANVASES = ["traces-eeg", "traces-meg", "electrodes", "topography", "truth", "brain"]
PANELS = [*CANVASES, "stimulus"]

PIXELS = """(id) => {
  const canvas = document.querySelector(`#${id} canvas`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let [painted, sum] = [0, 0];
  for (let at = 0; at < data.length; at += 4) {
    if (!data[at + 3]) continue;
    painted += 1;
    sum = (31 * sum + at + data[at] + 7 * data[at + 1] + 13 * data[at + 2]) % 1000003;
  }
  return { share: painted / (data.length / 4), sum };
}"""
"""How much of a canvas is painted, and a number that changes with what is."""


@pytest.fixture
def dashboard(browser: Browser, daemon: Daemon) -> Iterator[Dashboard]:
    with open_dashboard(browser, daemon.url) as dashboard:
        dashboard.wait_for_frames("meg")
        yield dashboard


@pytest.mark.parametrize("view", CANVASES)
def test_a_view_paints_what_comes(dashboard: Dashboard, view: str) -> None:
    dashboard.wait("live.latest.has('fmri') && live.latest.has('meg_recorded')")
    dashboard.page.wait_for_function(f"() => ({PIXELS})({view!r}).share > 0.01", polling=100)
    before = dashboard.page.evaluate(PIXELS, view)
    dashboard.page.wait_for_function(f"(sum) => ({PIXELS})({view!r}).sum !== sum", arg=before["sum"], polling=100)


def test_views_say_in_words_what_they_show(dashboard: Dashboard) -> None:
    dashboard.wait("live.status?.agreement && live.latest.has('stimulus') && live.latest.has('fmri')")
    patterns = {
        "traces-eeg": r"70 of 70 channels, every sample at 200 Hz",
        "traces-meg": r"34 of 306 channels, every sample at 200 Hz",
        "electrodes": r"\d+ of 70 good · median spread [\d.]+ µV, brightest [\d.]+ µV",
        "topography": r"magnetometers ±[\d.]+ fT · gradiometers 0 to [\d.]+ fT/cm",
        "truth": r"last \d+ s · mag: explained variance -?\d\.\d\d, median r -?\d\.\d\d · grad: .*",
        "brain": r"±[\d.]+ % · at -?\d+, -?\d+, -?\d+ mm: .*",
        "stimulus": r"8 of 16 labels, the likeliest first",
    }
    for view, pattern in patterns.items():
        expect(dashboard.page.locator(f"#{view} .note")).to_have_text(re.compile(pattern))


def test_the_agreement_is_the_daemon_s(dashboard: Dashboard) -> None:
    note, agreement = dashboard.wait(
        "live.status?.agreement && document.querySelector('#truth .note').textContent.startsWith('last') && "
        "[document.querySelector('#truth .note').textContent, live.status.agreement]"
    )
    for kind in ("mag", "grad"):
        explained, r = (agreement[key][kind] for key in ("explained_variance", "median_r"))
        assert f"{kind}: explained variance {explained:.2f}, median r {r:.2f}" in note
    assert agreement["explained_variance"]["mag"] > 0.2


def test_what_the_page_has_is_what_another_client_gets(dashboard: Dashboard, daemon: Daemon) -> None:
    with Connection(daemon.url, ["meg"]) as connection:
        frame = next(iter(connection))
    dashboard.wait(f"live.rings.get('meg').end > {frame.first_sample + 8}")
    channel, sample = 17, frame.first_sample + 3
    assert dashboard.value(f"live.rings.get('meg').at({channel}, {sample})") == frame.data[channel, 3]


def test_labels_are_ranked_as_the_python_client_ranks_them(dashboard: Dashboard, daemon: Daemon) -> None:
    with Connection(daemon.url, ["stimulus"]) as connection:
        frames = iter(connection)
        next(frames)
        dashboard.wait("Number(document.querySelector('#stimulus ol').dataset.sequence) > 0")
        dashboard.wait_for_frames("stimulus", 2)
        sequence, *names = dashboard.value(
            "[document.querySelector('#stimulus ol').dataset.sequence, "
            "...[...document.querySelectorAll('#stimulus li span')].map((name) => name.innerText)]"
        )
        frame = next(frame for frame in frames if frame.sequence == int(sequence))
        ranked = connection.product(frame).ranked_labels(frame)
    assert names == [name for name, _ in ranked[: len(names)]]
    assert len(names) == 8


def test_the_bar_says_where_it_all_comes_from(dashboard: Dashboard) -> None:
    dashboard.wait("live.status?.rate_hz && live.latency(0.95)")
    badges = dashboard.page.locator(".badge").all_inner_texts()
    assert badges == ["simulated", "replayed", "trained on simulation"]
    expect(dashboard.page.locator("[data-field=source] output")).to_have_text("live")
    expect(dashboard.page.locator("[data-field=rate] output")).to_have_text(re.compile(r"^(499|500|501)\.\d Hz$"))
    expect(dashboard.page.locator("[data-field=latency] output")).to_have_text(re.compile(r"^\d+ ms / \d+ ms$"))
    expect(dashboard.page.locator("[data-field=dropped] output")).to_have_text("0")
    expect(dashboard.page.locator("[data-field=acknowledged] output")).to_have_text(re.compile(r"^\d\.\d s ago$"))
    for product in dashboard.value("[...live.products.values()].filter((each) => each.model)"):
        expect(dashboard.page.locator(".models")).to_contain_text(product["model"]["digest"][:8])


def test_keys_do_what_they_say(dashboard: Dashboard) -> None:
    page = dashboard.page
    dashboard.wait("live.rings.get('eeg').end - live.rings.get('eeg').begin > 500")
    page.keyboard.press(" ")
    expect(page.locator("#traces-eeg button", has_text="Go on")).to_be_visible()
    painted = dashboard.value("pace.count")
    dashboard.wait(f"pace.count > {painted} + 2")
    kept = page.evaluate(PIXELS, "traces-eeg")
    dashboard.wait_for_frames("eeg")
    assert page.evaluate(PIXELS, "traces-eeg") == kept
    page.keyboard.press(" ")
    expect(page.locator("#traces-eeg button", has_text="Pause")).to_be_visible()
    page.wait_for_function(f"(sum) => ({PIXELS})('traces-eeg').sum !== sum", arg=kept["sum"], polling=100)
    scale = page.get_by_label("EEG: height of a row")
    expect(scale.locator("option:checked")).to_have_text(re.compile(r"^auto, [\d.]+ µV$"))
    page.keyboard.press("-")
    before = float(scale.input_value())
    page.keyboard.press("+")
    assert float(scale.input_value()) < before
    page.keyboard.press("-")
    assert float(scale.input_value()) == before
    page.keyboard.press("c")
    expect(page.locator("#connect")).to_be_visible()
    page.keyboard.press("l")
    expect(page.locator("#live")).to_be_visible()
    page.keyboard.press("?")
    expect(page.locator("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()


def test_every_control_is_reached_by_the_tab_key(dashboard: Dashboard) -> None:
    page = dashboard.page
    dashboard.wait("document.querySelector('.replay:not([hidden])')")
    wanted = page.evaluate(
        "[...document.querySelectorAll('button, select, input, [tabindex]')]"
        ".filter((each) => each.checkVisibility() && !each.disabled).length"
    )
    page.evaluate("window.reached = new Set()")
    for _ in range(wanted + 2):
        page.keyboard.press("Tab")
        page.evaluate("reached.add(document.activeElement)")
    assert page.evaluate("reached.delete(document.body), reached.size") >= wanted


def test_marks_are_painted_and_stay_where_they_are(dashboard: Dashboard) -> None:
    """Through a pause and a change of the window's size, too."""
    page = dashboard.page
    red = """() => {
      const canvas = document.querySelector("#traces-eeg canvas");
      const probe = document.createElement("i");
      probe.style.color = "var(--marker)";
      document.body.append(probe);
      const colour = getComputedStyle(probe).color.match(/\\d+/g).map(Number);
      probe.remove();
      const row = canvas.getContext("2d").getImageData(0, canvas.height - 1, canvas.width, 1).data;
      const found = [];
      for (let x = 0; x < canvas.width; x++) if (colour.every((part, k) => row[4 * x + k] === part)) found.push(x);
      return found;
    }"""
    page.get_by_label("EEG: names of channels").fill("Cz")
    page.wait_for_function(f"() => ({red})().length > 1", polling=100)
    pause = page.locator("#traces-eeg button", has_text="Pause")
    pause.click()
    expect(page.locator("#traces-eeg .note")).to_contain_text("paused")
    painted = dashboard.value("pace.count")
    dashboard.wait(f"pace.count > {painted} + 2")
    marks = page.evaluate(red)
    assert len(marks) > 1
    page.set_viewport_size({"width": 1280, "height": 800})
    dashboard.wait(f"pace.count > {painted} + 20")
    assert page.evaluate(red) == marks


def test_channels_can_be_chosen_by_group_and_name(dashboard: Dashboard) -> None:
    page = dashboard.page
    page.get_by_label("MEG estimate: which channels").select_option("all")
    expect(page.locator("#traces-meg .note")).to_contain_text("306 of 306 channels")
    page.get_by_label("MEG estimate: which channels").select_option("magnetometers")
    page.get_by_label("MEG estimate: names of channels").fill("MEG01*")
    expect(page.locator("#traces-meg .note")).to_contain_text(re.compile(r"^4 of 306 channels"))
    page.get_by_label("EEG: width of the window").select_option("20")
    expect(page.locator("#traces-eeg canvas")).to_have_attribute("aria-label", re.compile("20 s wide"))


def test_the_replay_is_paused_moved_and_hurried(
    dashboard: Dashboard, daemon: Daemon, request: pytest.FixtureRequest
) -> None:
    page = dashboard.page
    replay = page.locator(".replay")
    expect(replay).to_be_visible()

    def status() -> dict[str, Any]:
        return dict(daemon.http("GET", "/api/v1/replays")[1][0]["status"])

    page.keyboard.press("r")
    request.addfinalizer(lambda: daemon.http("POST", "/api/v1/replays/1/resume"))  # the file's tests share it
    expect(replay.get_by_role("button")).to_have_text("Go on")
    assert status()["state"] == "paused"
    replay.get_by_role("slider").fill("42")
    expect(replay.locator("output")).to_have_text("42 of 60 s")
    assert status()["position_s"] == pytest.approx(42)
    replay.get_by_role("button").click()
    expect(replay.get_by_role("button")).to_have_text("Pause")
    with page.expect_response("**/speed"):
        replay.get_by_role("combobox").select_option("2")
    assert status()["speed"] == 2
    expect(replay.get_by_role("combobox")).to_have_value("2")
    with page.expect_response("**/speed"):
        replay.get_by_role("combobox").select_option("1")
    dashboard.wait("live.marks.some(({ label }) => label === 'cortexcast/seek')")


def test_while_a_replay_goes_on_the_page_asks_for_no_more_than_its_place(dashboard: Dashboard) -> None:
    """What a session is, is much to tell, and asked once."""
    last = "performance.getEntriesByType('resource').slice(-4)"
    dashboard.wait(f"{last}.length === 4 && {last}.every(({{ name }}) => name.endsWith('/api/v1/replays'))")


def test_a_panel_fills_the_page_and_becomes_small_again(dashboard: Dashboard) -> None:
    page = dashboard.page
    small = page.locator("#topography").bounding_box()
    page.get_by_label("Enlarge MEG field").click()
    large = page.locator("#topography").bounding_box()
    assert small and large  # noqa: PT018
    assert large["width"] > 4 * small["width"]
    page.get_by_label("Enlarge MEG field").click()
    assert page.locator("#topography").bounding_box() == small


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1920, 1080), (390, 844)])
def test_all_is_on_the_page(browser: Browser, daemon: Daemon, width: int, height: int) -> None:
    """On a laptop without scrolling; on a phone one below the other, and nothing is too wide."""
    with open_dashboard(browser, daemon.url, width=width, height=height) as dashboard:
        dashboard.wait_for_frames()
        page = dashboard.page
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for view in PANELS:
            box = page.locator(f"#{view}").bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["height"] > 150
            if width > 900:
                assert box["y"] + box["height"] <= height
            cut = f"(({{ scrollWidth, clientWidth }}) => scrollWidth - clientWidth)(document.querySelector('#{view}'))"
            assert page.evaluate(cut) <= 1, view


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_names_contrast_and_structure_are_accessible(browser: Browser, daemon: Daemon, theme: Any, width: int) -> None:
    """By axe's rules for WCAG 2.1 AA, on both pages."""
    axe = (npm_package("axe-core") / "axe.min.js").read_text()
    with open_dashboard(browser, daemon.url, width=width, theme=theme) as dashboard:
        dashboard.wait_for_frames()
        dashboard.page.evaluate(axe)
        for page in ("live", "connect"):
            dashboard.page.click(f"#to-{page}")
            expect(dashboard.page.locator(f"#{page}")).to_be_visible()
            if page == "connect":
                expect(dashboard.page.get_by_role("button", name="Look again")).to_be_enabled()
            found = dashboard.page.evaluate("axe.run()")
            violations = {rule["id"]: [node["html"] for node in rule["nodes"]] for rule in found["violations"]}
            assert violations == {}
            assert {"color-contrast", "button-name", "landmark-one-main"} <= {rule["id"] for rule in found["passes"]}


def test_the_theme_can_be_chosen_and_stays(dashboard: Dashboard) -> None:
    page = dashboard.page
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(back)
    page.keyboard.press("t")
    page.keyboard.press("t")
    expect(page.locator("#theme")).to_have_text("Theme: dark")
    assert page.evaluate(back) != light
    page.reload()
    expect(page.locator("#theme")).to_have_text("Theme: dark")


def test_without_niivue_the_brain_stays_in_slices(browser: Browser, daemon: Daemon) -> None:
    with open_dashboard(browser, daemon.url) as dashboard:
        page = dashboard.page
        page.route("**/vendor/niivue.js", lambda route: route.fulfill(status=404, body=""))
        dashboard.wait("live?.latest.has('fmri')")
        page.get_by_role("button", name="3-D").click()
        expect(page.get_by_role("button", name="no 3-D")).to_be_enabled()  # it can be tried again
        before = page.evaluate(PIXELS, "brain")
        page.wait_for_function(f"(sum) => ({PIXELS})('brain').sum !== sum", arg=before["sum"], polling=100)
        # The missing file is a line in the console, as it should be.
        dashboard.errors[:] = [each for each in dashboard.errors if "404" not in each]
