"""docs/protocol.md against the codec, the messages and a daemon: what another language is written from."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest
from bundles import write_small_bundle
from daemon import Daemon, running
from docs.pages import ROOT, code_blocks, code_spans, prose, table
from needed import needed_command
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cortexcast_client.wire import HEADER, SUBPROTOCOL, Flags, Frame, encode, to_json, with_dropped
from cortexcast_server import asyncapi, protocol

PAGE = ROOT / "docs" / "protocol.md"
FROM_SERVER = {row["type"].strip("`"): row["fields"] for row in table(PAGE, "type", "fields", "when")}
FROM_CLIENT = {row["type"].strip("`"): row["fields"] for row in table(PAGE, "type", "fields")}
MESSAGES = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in [*protocol.Message.__subclasses__(), *protocol.ClientMessage.__subclasses__()]
    if "type" in model.model_fields and get_origin(model.model_fields["type"].annotation) is Literal
}
DOCUMENT = asyncapi.document("1.2.3", "127.0.0.1:8765")
DESCRIBED: dict[str, Any] = DOCUMENT["components"]["messages"]
LAYOUT = DESCRIBED["dataFrame"]["x-layout"]
REQUESTS = {"subscribe", "ack", "unsubscribe"}
FRAME = Frame("meg", 11, 88, 12.5, np.arange(6, dtype=np.float32).reshape(2, 3), np.array([7, 8], np.float32))


def test_every_message_is_there_with_every_field() -> None:
    assert FROM_CLIENT.keys() == REQUESTS
    assert FROM_SERVER.keys() == MESSAGES.keys() - REQUESTS | {"frame"}
    documented = FROM_SERVER | FROM_CLIENT
    for kind, model in MESSAGES.items():
        missing = model.model_fields.keys() - {"type"} - set(code_spans(documented[kind]))
        assert not missing, f"{kind}: {missing}"
    assert to_json(FRAME).keys() == {"type", *code_spans(FROM_SERVER["frame"])} - {"?format=json"}


def test_a_product_is_described_to_its_last_field() -> None:
    (paragraph,) = [text for text in prose(PAGE).split("\n\n") if text.startswith("A product:")]
    named = set(code_spans(paragraph))
    for model in (protocol.Product, protocol.ProductChannel, protocol.ModelInfo):
        assert model.model_fields.keys() <= named
    assert set(get_args(protocol.SessionState)) <= set(code_spans(FROM_SERVER["status"]))


def test_the_header_is_at_the_offsets_given() -> None:
    expected = {
        "kind": 1, "version": 1, "product index": 5, "flags": Flags.STD | Flags.GAP,
        "sequence number": 11, "t0": 12.5, "index of the first sample": 88, "frames of this product dropped": 3,
        "n_channels": 2, "n_samples": 3,
    }  # fmt: skip
    frame = Frame("meg", 11, 88, 12.5, FRAME.data, FRAME.std, Flags.GAP)
    message = with_dropped(encode(frame, 5), 3)
    *header, payload, std = table(PAGE, "offset", "type", "field")
    codes = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "f64": "d"}
    assert len(header) == len(expected)
    for row, (field, value) in zip(header, expected.items(), strict=True):
        assert row["field"].startswith(field)
        assert struct.unpack_from(f"<{codes[row['type']]}", message, int(row["offset"])) == (value,)
    assert (payload["offset"], std["offset"]) == (str(HEADER.size), "then")
    np.testing.assert_array_equal(np.frombuffer(message, "<f4", offset=HEADER.size), [0, 1, 2, 3, 4, 5, 7, 8])


def test_every_flag_is_there_with_its_bit() -> None:
    documented = {row["flag"]: 1 << int(row["bit"]) for row in table(PAGE, "flag", "bit", "meaning")}
    assert documented == {flag.name: flag.value for flag in Flags}


def test_the_asyncapi_document_has_the_page_s_messages_and_says_when_they_come() -> None:
    when = {row["type"].strip("`"): row["when"] for row in table(PAGE, "type", "fields", "when")}
    assert when.keys() | REQUESTS | {"dataFrame"} == DESCRIBED.keys()
    assert {kind: DESCRIBED[kind]["summary"] for kind in when} == when


def test_the_asyncapi_document_lays_a_frame_out_as_the_page_does() -> None:
    *header, data, std = table(PAGE, "offset", "type", "field")
    assert [(str(row["offset"]), row["type"], row["description"]) for row in LAYOUT["header"]] == [
        (row["offset"], row["type"], row["field"]) for row in header
    ]
    for described, row in zip(LAYOUT["payload"], (data, std), strict=True):
        assert " × ".join([described["type"], *described["shape"]]) == row["type"]
        assert described["description"] == row["field"]
    names = [row["name"] for row in LAYOUT["header"]]
    assert all(length in names for row in LAYOUT["payload"] for length in row["shape"])
    flags = table(PAGE, "flag", "bit", "meaning")
    assert [(row["name"], str(row["bit"]), row["meaning"]) for row in LAYOUT["flags"]] == [
        tuple(row.values()) for row in flags
    ]


def test_the_asyncapi_document_has_the_page_s_codes() -> None:
    outcomes = {None: "stays", 1002: "is closed, 1002"}
    assert [
        (f"`{row['code']}`", row["meaning"], outcomes[row["closes-with"]])
        for row in DESCRIBED["error"]["x-error-codes"]
    ] == [tuple(row.values()) for row in table(PAGE, "code", "meaning", "the connection")]
    assert [
        (str(row["code"]), row["meaning"], row["come-again"]) for row in DOCUMENT["channels"]["ws"]["x-close-codes"]
    ] == [tuple(row.values()) for row in table(PAGE, "close code", "meaning", "come again")]


def test_the_extensions_have_the_keys_given() -> None:
    places = {
        "x-layout": LAYOUT,
        "x-error-codes": DESCRIBED["error"]["x-error-codes"][0],
        "x-close-codes": DOCUMENT["channels"]["ws"]["x-close-codes"][0],
    }
    rows = {
        row["key"].strip("`"): code_spans(row["what it holds"]) for row in table(PAGE, "where", "key", "what it holds")
    }
    assert rows.keys() == places.keys()
    assert set(rows["x-layout"]) <= {*LAYOUT, *LAYOUT["header"][0], *LAYOUT["payload"][0], *LAYOUT["flags"][0]}
    for key in ("x-error-codes", "x-close-codes"):
        assert rows[key] == list(places[key])


def test_the_c_example_is_built_and_run_as_the_page_says(tmp_path: Path) -> None:
    needed_command("cc", "gcc")
    for folder in ("clients", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (block,) = [block for block in code_blocks(PAGE, "sh") if "decode_frame" in block]
    done = subprocess.run(["sh", "-ec", block], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "flags GAP INTERPOLATED TRAINED_ON_SIMULATION STD" in done.stdout.splitlines()


def test_the_golden_files_are_described() -> None:
    (paragraph,) = [text for text in prose(PAGE).split("\n\n") if text.startswith("`tests/golden`")]
    assert {name for name in code_spans(paragraph) if name.endswith(".bin")} == {
        path.name for path in (ROOT / "tests" / "golden").glob("*.bin")
    }


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    small = write_small_bundle(tmp_path_factory.mktemp("bundle") / "small")
    with running("--model", small, "--idle") as daemon:
        yield daemon


MISTAKES = {
    "bad_message": ("", SUBPROTOCOL, {"type": "dance"}),
    "unknown_product": ("", SUBPROTOCOL, {"type": "subscribe", "products": ["mri"]}),
    "unknown_session": ("", SUBPROTOCOL, {"type": "subscribe", "products": ["meg"], "session": "x"}),
    "unknown_subprotocol": ("", "mqtt", None),
    "unknown_format": ("?format=xml", SUBPROTOCOL, None),
}


@pytest.mark.parametrize("row", table(PAGE, "code", "meaning", "the connection"), ids=lambda row: row["code"])
def test_errors_have_the_codes_given(daemon: Daemon, row: dict[str, str]) -> None:
    query, subprotocol, sent = MISTAKES[row["code"].strip("`")]
    # The library itself would refuse a server that chooses none of the subprotocols that it is told of.
    headers = {"Sec-WebSocket-Protocol": subprotocol} if subprotocol != SUBPROTOCOL else {}
    with connect(daemon.url + query, additional_headers=headers, compression=None) as client:
        if sent is not None:
            client.send(json.dumps(sent))
        while (message := json.loads(client.recv(timeout=20)))["type"] != "error":
            pass
        assert f"`{message['code']}`" == row["code"]
        if row["the connection"] == "stays":
            client.send(json.dumps({"type": "dance"}))
            assert json.loads(client.recv(timeout=20))["code"] == "bad_message"
        else:
            with pytest.raises(ConnectionClosed) as closed:
                client.recv(timeout=20)
            assert closed.value.rcvd is not None
            assert row["the connection"] == f"is closed, {closed.value.rcvd.code}"


def test_every_mistake_is_documented() -> None:
    assert [row["code"] for row in table(PAGE, "code", "meaning", "the connection")] == [
        f"`{code}`" for code in MISTAKES
    ]
