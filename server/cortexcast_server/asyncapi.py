"""``cortexcast.v1`` described to programs: an AsyncAPI 3.0 document, generated from the messages and the codec. Pure.

https://www.asyncapi.com/docs/reference/specification/v3.0.0. What AsyncAPI has no words for is under keys that begin
with ``x-``: the layout of a binary frame, and what the codes of errors and of closed connections mean.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any, get_args

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from cortexcast_client.wire import HEADER, KIND_DATA, SUBPROTOCOL, VERSION, Flags
from cortexcast_server.protocol import (
    Ack,
    Bye,
    ClientMessage,
    Error,
    ErrorCode,
    FrameFormat,
    Hello,
    Marker,
    Message,
    Products,
    Status,
    Subscribe,
    Unsubscribe,
)

Json = dict[str, Any]

_FROM_SERVER: dict[type[Message], str] = {
    Hello: "first, once",
    Products: "whenever a session began or was closed; the whole list",
    Status: "to subscribers, each second and at each change of state",
    Marker: "to subscribers, when a marker arrives",
    Error: "in answer to the client's mistake; the connection stays unless it cannot go on",
    Bye: "last, before the server closes",
}
"""When each message comes."""

_FROM_CLIENT: tuple[type[ClientMessage], ...] = (Subscribe, Ack, Unsubscribe)

_ERRORS: dict[ErrorCode, tuple[str, int | None]] = {
    "bad_message": ("not JSON, no known type, a field missing, unknown or of the wrong type", None),
    "unknown_product": ("no product of that name", None),
    "unknown_session": ("no session of that id", None),
    "unknown_subprotocol": ("the client offers only other subprotocols", 1002),
    "unknown_format": ("`?format=` is neither `binary` nor `json`", 1002),
}
"""What each code means, and what the connection is closed with."""

_CLOSE_CODES = {
    1001: ("the daemon stops; a `bye` with the reason came before, unless the client came while it stopped", "later"),
    1002: ("the subprotocol or the format is none of the daemon's; an `error` came before", "not like this"),
    1009: ("a message of the client's was longer than 64 KiB", "not like this"),
    1011: ("the client did not answer a ping within 20 s", "at once, with `resume`"),
    1012: ("the daemon stopped before the client had read its `bye`", "later"),
    1013: ("256 control messages were waiting, and the client did not read", "at once, with `resume`"),
}
"""What each code means, and when to come again."""

_TYPES = {"B": "u8", "H": "u16", "I": "u32", "Q": "u64", "d": "f64"}
"""Of the codec's format."""

_HEADER = {
    "kind": f"kind ({KIND_DATA}: data)",
    "version": f"version ({VERSION})",
    "product_index": "product index",
    "flags": "flags",
    "sequence": "sequence number",
    "t0": "t0: time of the first sample, seconds, LSL clock",
    "first_sample": "index of the first sample",
    "dropped": "frames of this product dropped for this subscriber so far",
    "n_channels": "n_channels",
    "n_samples": "n_samples",
}
"""What the fields mean, in their order."""

_FLAGS = {
    Flags.GAP: "samples are missing between the frame before and this one",
    Flags.RESET: "filters and model started anew; on what a model estimates, and on `meg_recorded`, until all that the "
    "model reads, its window or what it remembers beyond it, is of after the start",
    Flags.INTERPOLATED: "some channels of the model's montage were interpolated",
    Flags.BAD_CHANNELS: "some channels of the headset are flat or not finite and were left out",
    Flags.NO_SIGNAL: "too few good channels for an estimate, or no recorded MEG known for these samples: the payload "
    "is NaN",
    Flags.OUT_OF_DISTRIBUTION: "the EEG is farther from the training data than 99 % of what subjects like those show; "
    "only of models that can tell",
    Flags.REPLAYED: "the source is a recording",
    Flags.RESTAMPED: "the source's time stamps were not in the LSL clock and were replaced",
    Flags.TRAINED_ON_SIMULATION: "the model was trained on simulated recordings alone; one of physics is not trained "
    "and has no such flag",
    Flags.STD: "a standard deviation per channel follows the payload",
}

_DESCRIPTION = f"""\
A client offers the subprotocol `{SUBPROTOCOL}`; one that offers none is served all the same. Text messages are JSON
objects with a `type` and control the connection. Binary messages are data frames; with `?format=json` data frames are
text too. A client ignores types and keys that it does not know; the server refuses them.
A handshake that names an `Origin` other than the daemon's own address, and none of its setting `origins`, is answered
with HTTP 403."""


def document(version: str, host: str, *, encrypted: bool = False) -> Json:
    """The AsyncAPI document of a daemon.

    Args:
        version: the daemon's.
        host: its address, ``HOST:PORT``.
        encrypted: it is reached through TLS.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "cortexcast",
            "version": version,
            "description": "EEG, and estimates of MEG and fMRI from it, live over a WebSocket.",
            "license": {"name": "BSD-3-Clause"},
        },
        "defaultContentType": "application/json",
        "servers": {"daemon": {"host": host, "protocol": "wss" if encrypted else "ws"}},
        "channels": {"ws": _channel()},
        "operations": {
            "tell": _operation("send", [*map(_kind, _FROM_SERVER), "frame", "dataFrame"]),
            "hear": _operation("receive", [*map(_kind, _FROM_CLIENT)]),
        },
        "components": _components(),
    }


def _kind(message: type[Message]) -> str:
    """The ``type`` in its JSON."""
    kind: str = get_args(message.model_fields["type"].annotation)[0]
    return kind


def _operation(action: str, messages: list[str]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/ws"},
        "messages": [{"$ref": f"#/channels/ws/messages/{name}"} for name in messages],
    }


def _channel() -> Json:
    formats = {"type": "string", "enum": list(get_args(FrameFormat)), "default": "binary"}
    subprotocol = {"type": "string", "description": "the subprotocols offered", "examples": [SUBPROTOCOL]}
    return {
        "address": "/ws",
        "title": SUBPROTOCOL,
        "description": _DESCRIPTION,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _components()["messages"]},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {"type": "object", "properties": {"format": formats}},
                "headers": {"type": "object", "properties": {"Sec-WebSocket-Protocol": subprotocol}},
            }
        },
        "x-close-codes": [
            {"code": code, "meaning": meaning, "come-again": again} for code, (meaning, again) in _CLOSE_CODES.items()
        ],
    }


class _Untitled(GenerateJsonSchema):
    """Without the titles that repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


@cache
def _components() -> Json:
    # What the server sends has each of its fields; a client leaves out what has a default.
    models: list[tuple[type[Message], JsonSchemaMode]] = [
        *((message, "serialization") for message in _FROM_SERVER),
        *((message, "validation") for message in _FROM_CLIENT),
    ]
    reference = "#/components/schemas/{model}"
    schemas = models_json_schema(models, ref_template=reference, schema_generator=_Untitled)[1]["$defs"]
    messages: Json = {
        _kind(message): {
            "name": _kind(message),
            "summary": when,
            "payload": {"$ref": reference.format(model=message.__name__)},
        }
        for message, when in [*_FROM_SERVER.items(), *((message, message.__doc__) for message in _FROM_CLIENT)]
    }
    messages["error"]["x-error-codes"] = [
        {"code": code, "meaning": meaning, "closes-with": closes} for code, (meaning, closes) in _ERRORS.items()
    ]
    messages["frame"] = {
        "name": "frame",
        "summary": "only with `?format=json`",
        "payload": {"$ref": reference.format(model="Frame")},
    }
    messages["dataFrame"] = {
        "name": "dataFrame",
        "summary": "a frame, but with `?format=json`",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary", "description": "laid out as `x-layout` says"},
        "x-layout": _layout(),
    }
    return {"messages": messages, "schemas": schemas | {"Frame": _json_frame()}}


def _layout() -> Json:
    fields, offset = [], 0
    for code, (name, description) in zip(HEADER.format.removeprefix("<"), _HEADER.items(), strict=True):
        fields.append({"name": name, "offset": offset, "type": _TYPES[code], "description": description})
        offset += struct.calcsize(f"<{code}")
    return {
        "byte-order": "little-endian",
        "header": fields,
        "payload": [
            {
                "name": "data",
                "type": "f32",
                "shape": ["n_channels", "n_samples"],
                "description": "the data, channel-major, SI units (V, T, T/m)",
            },
            {
                "name": "std",
                "type": "f32",
                "shape": ["n_channels"],
                "description": "standard deviation of each channel's estimate, only with flag STD",
                "only-with-flag": Flags.STD.name,
            },
        ],
        "flags": [
            {"name": flag.name, "bit": flag.bit_length() - 1, "meaning": meaning} for flag, meaning in _FLAGS.items()
        ],
    }


def _json_frame() -> Json:
    """What ``wire.to_json`` makes, which is no pydantic model: a frame goes out 25 times a second."""
    count = {"type": "integer", "minimum": 0}
    value = {"type": ["number", "null"]}
    properties: Json = {
        "type": {"const": "frame", "type": "string"},
        "session": {"type": "string"},
        "product": {"type": "string"},
        "sequence": {**count, "description": "counts the product's frames in its session"},
        "first_sample": {**count, "description": "its index, counted at the product's rate"},
        "t0": {"type": "number", "description": "time of the first sample, seconds, LSL clock"},
        "flags": {"type": "array", "items": {"type": "string", "enum": [flag.name for flag in _FLAGS]}},
        "dropped": {**count, "description": "frames of this product dropped for this subscriber so far"},
        "data": {
            "type": "array",
            "items": {"type": "array", "items": value},
            "description": "a list of samples for each channel, SI units (V, T, T/m), NaN as null",
        },
        "std": {
            "type": ["array", "null"],
            "items": value,
            "description": "standard deviation of each channel's estimate, or null",
        },
    }
    return {
        "description": "One hop of one product, as text.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }
