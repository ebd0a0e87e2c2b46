"""docs/protocol.md against the codec, the messages and a daemon: what another language is written from."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
from bundles import write_small_bundle
from daemon import Daemon, running
from docs.pages import ROOT, code_spans, prose, table
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cortexcast_client.wire import HEADER, SUBPROTOCOL, Flags, Frame, encode, to_json, with_dropped
from cortexcast_server import protocol

PAGE = ROOT / "docs" / "protocol.md"
FROM_SERVER = {row["type"].strip("`"): row["fields"] for row in table(PAGE, "type", "fields", "when")}
FROM_CLIENT = {row["type"].strip("`"): row["fields"] for row in table(PAGE, "type", "fields")}
MESSAGES = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in protocol.Message.__subclasses__()
    if "type" in model.model_fields and get_origin(model.model_fields["type"].annotation) is Literal
}
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
