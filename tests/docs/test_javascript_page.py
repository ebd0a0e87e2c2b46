"""What docs/javascript-client.md shows is run as it stands: in Node, and in a page of another origin."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import open_page
from daemon import Daemon, replaying
from docs.pages import ROOT, code_blocks, code_spans, table
from docs.readers import ADDRESS
from needed import node
from playwright.sync_api import expect

PAGE = ROOT / "docs" / "javascript-client.md"
CLIENT = ROOT / "clients" / "cortexcast_web" / "site" / "client.js"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder, and the origin that it is served at."""
    folder = tmp_path_factory.mktemp("site")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, site: tuple[Path, str]) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("javascript")
    (folder / "cortexcast.toml").write_text(f'origins = ["{site[1]}"]')
    with replaying(folder) as daemon:
        yield daemon


def of(daemon: Daemon, block: str) -> str:
    """A block as it stands, but for the port."""
    return block.replace(ADDRESS, daemon.url.removeprefix("ws://").removesuffix("/ws"))


@pytest.mark.parametrize("page", [PAGE, ROOT / "README.md"], ids=lambda page: page.name)
def test_in_node_it_prints_frames(daemon: Daemon, tmp_path: Path, page: Path) -> None:
    (block,) = code_blocks(page, "js")
    program = tmp_path / "program.mjs"
    program.write_text(of(daemon, block).replace('"./clients', f'"{ROOT.as_posix()}/clients'))
    # What Node 22 has without being asked for it.
    command = [node(), "--experimental-websocket", str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if line.startswith("frame"))
        finally:
            process.kill()
    assert re.fullmatch(r"frame \d+: .*-?\d\.\d+e-1\d T(/m)?\n", line)


def test_a_page_of_another_origin_shows_a_level(daemon: Daemon, site: tuple[Path, str]) -> None:
    folder, origin = site
    (block,) = code_blocks(PAGE, "html")
    (folder / "alpha.html").write_text(of(daemon, block), encoding="utf-8")
    with open_page() as page:
        page.goto(f"{origin}/alpha.html")
        expect(page.locator("output")).to_have_text(re.compile(r"^Oz -?\d+\.\d µV$"), timeout=20_000)
        base = daemon.url.replace("ws://", "http://").removesuffix("/ws")
        assert page.evaluate(f"fetch('{base}/healthz').then((answer) => answer.json())") == {"status": "ok"}


def test_every_handler_is_there() -> None:
    documented = [*code_spans(" ".join(row["handler"] for row in table(PAGE, "handler", "called with")))]
    declared = re.findall(r"^ \* @property \{\(.*\) => void\} \[(\w+)\]", CLIENT.read_text(), re.MULTILINE)
    assert documented == declared
