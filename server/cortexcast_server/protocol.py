"""The JSON messages of ``cortexcast.v1``, typed. ``docs/protocol.md`` describes them, and ``asyncapi`` to programs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter, ValidationError

from cortexcast_client.wire import SUBPROTOCOL

ErrorCode = Literal["bad_message", "unknown_product", "unknown_session", "unknown_subprotocol", "unknown_format"]

FrameFormat = Literal["binary", "json"]
"""How a client takes data frames."""


class ProtocolError(Exception):
    """A client's mistake, to be told to that client alone."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Message(BaseModel):
    """A frozen record. A client ignores keys that it does not know: a newer daemon may say more."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class ClientMessage(Message):
    """What a client sends; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


class ProductChannel(Message):
    """One channel of a product."""

    name: str
    """As `MEG0113` or `Cz`."""

    type: str
    """`eeg`, `mag`, `grad`, `bold`, `embedding` or `label`."""

    unit: str
    """`V`, `T`, `T/m`, `%`, or `1` of what has none."""

    location: tuple[float, ...]
    """In metres: 3 numbers (head coordinates; of `bold` MNI's), FIFF's 12 (device coordinates), or none."""


class ModelInfo(Message):
    """Which bundle makes a product."""

    name: str
    version: str

    digest: str
    """SHA-256 of the bundle's manifest."""

    trained_on: str
    """`physics`, `simulated` or `recorded`."""


class Product(Message):
    """One stream of frames that a client can subscribe to."""

    index: int
    """How frames and acknowledgements name it; never used twice."""

    session: str
    """The id of the session that it belongs to."""

    stream: str
    """The headset's name."""

    product: str
    """`eeg`, `meg`, `fmri`, `stimulus` or `meg_recorded`."""

    rate_hz: float

    hop: int
    """Samples a frame."""

    delay_s: float
    """The newest EEG sample that a frame needed is this much younger than the frame's last sample."""

    channels: tuple[ProductChannel, ...]
    """In the order of a frame's rows."""

    model: ModelInfo | None
    """Null for what no model makes."""

    replayed: bool
    """The source is a recording, not a headset."""

    simulated: bool
    """No brain was measured: the source says that it was simulated."""


class Hello(Message):
    """The server's first message."""

    type: Literal["hello"] = "hello"

    version: str
    """The daemon's."""

    clock_offset: float
    """Seconds to add to a time of the LSL clock to get Unix time."""

    products: tuple[Product, ...]


class Products(Message):
    """The whole list of products, anew."""

    type: Literal["products"] = "products"
    products: tuple[Product, ...]


class Latency(Message):
    """From the newest EEG sample that a frame needed to the frame's publication, over the last second."""

    p50: float
    p95: float
    p99: float


class Agreement(Message):
    """How the estimate of MEG agrees with the MEG of the replayed file, by the type of sensor.

    Of the demo's simulated file that is the truth; of a real one the MEG as it was recorded, with its noise and in its
    own helmet's pose, while the estimate is for the virtual helmet.
    """

    seconds: float
    """How much is compared, of the last 20 s."""

    explained_variance: dict[str, float]
    """Share of the power of the file's MEG that the estimate explains, by `mag` and `grad`."""

    median_r: dict[str, float]
    """The median over sensors of the correlation over time, by `mag` and `grad`."""


SessionState = Literal["live", "stalled", "lost", "failed", "ended"]


class Status(Message):
    """A session's health."""

    type: Literal["status"] = "status"
    session: str
    state: SessionState

    error: str | None
    """Why it failed."""

    samples_in: int
    """Of the headset."""

    samples_out: int
    """Of MEG, or where none is served of what comes most often."""

    gaps: int
    """How often samples were missing."""

    missing_s: float
    """How much was missing, in seconds."""

    restarts: int
    """How often the source was opened anew."""

    rate_hz: float | None
    """The source's, measured; null where it is not known yet."""

    sample_age_s: float | None
    """Of the newest sample; null before the first."""

    clock_offset: float
    """As of `hello`, now: the two clocks part where a machine sleeps or its clock is set."""

    latency_ms: Latency | None
    """Null where no frame was published in the last second."""

    bad_channels: tuple[str, ...]
    """Channels of the headset that are left out now: flat, not finite, or without a place on the head."""

    interpolated: tuple[str, ...]
    """Channels of the product `eeg` that are interpolated now; all of them where no estimate is possible."""

    notes: tuple[str, ...]
    """What a person should know about the source, a sentence each."""

    agreement: Agreement | None = None
    """Null where no file with MEG is replayed."""

    dropped: dict[int, int] = {}
    """Frames that this subscriber did not get, by product index."""


class Marker(Message):
    """A marker of the source's."""

    type: Literal["marker"] = "marker"
    session: str

    stream: str
    """The name of the marker stream."""

    label: str

    time: float
    """Seconds of the LSL clock."""

    clock_offset: float
    """Seconds to add to `time` to get Unix time."""


class Error(Message):
    """What a client did wrong."""

    type: Literal["error"] = "error"
    code: ErrorCode

    message: str
    """What was wrong and what to do."""


class Bye(Message):
    """The server's last message."""

    type: Literal["bye"] = "bye"
    reason: str


class Subscribe(ClientMessage):
    """Ask for products; replaces the subscription before."""

    type: Literal["subscribe"]

    products: Annotated[tuple[str, ...], Field(min_length=1)]
    """Their names, as `["meg"]`."""

    session: str | None = None
    """One session's id; null for every session, those to come as well."""

    resume: dict[str, NonNegativeInt] = {}
    """The last sequence number handled, by `SESSION/PRODUCT`."""

    acks: bool = False
    """The client will acknowledge."""


class Ack(ClientMessage):
    """The last frame of a product that the client handled."""

    type: Literal["ack"]

    product: int
    """Its index."""

    sequence: NonNegativeInt


class Unsubscribe(ClientMessage):
    """No more frames, please."""

    type: Literal["unsubscribe"]


Request = Annotated[Subscribe | Ack | Unsubscribe, Field(discriminator="type")]
_request: TypeAdapter[Subscribe | Ack | Unsubscribe] = TypeAdapter(Request)


def parse_request(text: str | bytes) -> Subscribe | Ack | Unsubscribe:
    """A client's message.

    Raises:
        ProtocolError: not JSON, not an object of a known type, a field missing, unknown or of the wrong type.
    """
    try:
        return _request.validate_json(text)
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ProtocolError(
            "bad_message",
            f"not a message of {SUBPROTOCOL}: {where + ': ' if where else ''}{first['msg']}. Send JSON objects of type "
            "'subscribe', 'ack' or 'unsubscribe'",
        ) from None
