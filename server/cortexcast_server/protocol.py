"""The JSON messages of ``cortexcast.v1``, typed. ``docs/protocol.md`` describes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter, ValidationError

from cortexcast_client.wire import SUBPROTOCOL


class ProtocolError(Exception):
    """A client's mistake, to be told to that client alone."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Message(BaseModel):
    """A frozen record; a client's unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProductChannel(Message):
    """One channel of a product; ``location`` is in metres: 3 numbers (head), or FIFF's 12 (device)."""

    name: str
    type: str
    unit: str
    location: tuple[float, ...]


class ModelInfo(Message):
    """Which bundle makes a product."""

    name: str
    version: str
    digest: str
    trained_on: str


class Product(Message):
    """One stream of frames that a client can subscribe to."""

    index: int
    session: str
    stream: str
    product: str
    rate_hz: float
    hop: int
    delay_s: float
    channels: tuple[ProductChannel, ...]
    model: ModelInfo | None
    replayed: bool


class Hello(Message):
    """The server's first message."""

    type: Literal["hello"] = "hello"
    version: str
    clock_offset: float
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

    seconds: float = Field(description="how much is compared, of the last 20 s")
    explained_variance: dict[str, float] = Field(
        description="share of the power of the file's MEG that the estimate explains, by `mag` and `grad`"
    )
    median_r: dict[str, float] = Field(
        description="the median over sensors of the correlation over time, by `mag` and `grad`"
    )


SessionState = Literal["live", "stalled", "lost", "failed", "ended"]


class Status(Message):
    """A session's health."""

    type: Literal["status"] = "status"
    session: str
    state: SessionState
    error: str | None
    samples_in: int
    samples_out: int
    gaps: int
    missing_s: float
    restarts: int
    rate_hz: float | None
    sample_age_s: float | None
    latency_ms: Latency | None
    bad_channels: tuple[str, ...]
    interpolated: tuple[str, ...]
    notes: tuple[str, ...]
    agreement: Agreement | None = Field(None, description="null where no file with MEG is replayed")
    dropped: dict[int, int] = {}


class Marker(Message):
    """A marker of the source's."""

    type: Literal["marker"] = "marker"
    session: str
    stream: str
    label: str
    time: float
    clock_offset: float


class Error(Message):
    """What a client did wrong."""

    type: Literal["error"] = "error"
    code: str
    message: str


class Bye(Message):
    """The server's last message."""

    type: Literal["bye"] = "bye"
    reason: str


class Subscribe(Message):
    """Ask for products; replaces the subscription before."""

    type: Literal["subscribe"]
    products: Annotated[tuple[str, ...], Field(min_length=1)]
    session: str | None = None
    resume: dict[str, NonNegativeInt] = {}
    acks: bool = False


class Ack(Message):
    """The last frame of a product that the client handled."""

    type: Literal["ack"]
    product: int
    sequence: NonNegativeInt


class Unsubscribe(Message):
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
