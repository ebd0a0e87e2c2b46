"""The daemon's settings: one table of names, defaults and meanings, for file, environment and flags.

``cortexcast.toml`` in the working directory (or ``--config FILE``), then ``CORTEXCAST_*`` environment variables, then
flags; the later wins. An unknown key in the file is an error.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from cortexcast_models.bundle import DEFAULTS
from cortexcast_server.hub import Limits
from cortexcast_server.lsl_streams import Query

DEFAULT_FILE = Path("cortexcast.toml")


class SettingsError(Exception):
    """A setting is unknown or has a value that it cannot have."""


class Settings(BaseSettings):
    """What `cortexcast serve` can be told."""

    model_config = SettingsConfigDict(env_prefix="CORTEXCAST_", extra="forbid", frozen=True, allow_inf_nan=False)

    host: str = Field(
        "127.0.0.1", description="address to listen on; 0.0.0.0 lets the whole network read, without a password"
    )
    port: int = Field(8765, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    models: Annotated[tuple[str, ...], NoDecode] = Field(
        tuple(DEFAULTS.values()),
        min_length=1,
        description="bundles, of a product each: shipped ones by name, or folders; in the variable with commas between",
    )
    origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="web pages of these origins may read and control too, as http://localhost:3000; in the variable "
        "with commas between",
    )
    name: str = Field("", description="take the LSL stream of this name")
    type: str = Field("", description="take the LSL stream of this type")
    source_id: str = Field("", description="take the LSL stream of this source_id")
    predicate: str = Field("", description="take the LSL stream that this XPath predicate matches")
    unit: str | None = Field(None, description="unit of the EEG, where the stream declares none or a wrong one")
    wait_s: float = Field(5.0, ge=0, description="how long to wait for the stream, in seconds")
    outlets: bool = Field(True, description="push the products to LSL outlets too")
    history_s: float = Field(
        10.0, gt=0, description="frames kept for clients that lost their connection, in seconds of signal"
    )
    outbox_s: float = Field(
        2.0, gt=0, description="a slower client loses its oldest frames beyond this, in seconds of signal"
    )
    ack_window_s: float = Field(
        2.0, gt=0, description="frames under way to a client that acknowledges, in seconds of signal"
    )

    @field_validator("models", "origins", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        """One, or several with commas between, as a variable of the environment has them."""
        return tuple(name.strip() for name in given.split(",")) if isinstance(given, str) else given

    @property
    def query(self) -> Query:
        """Which stream to take."""
        return Query(self.name, self.type, self.source_id, self.predicate)

    @property
    def limits(self) -> Limits:
        """What the hub keeps."""
        return Limits(self.history_s, self.outbox_s, self.ack_window_s)


def add_models(parser: argparse.ArgumentParser) -> None:
    """Declare ``--model``, the flag of the setting ``models``."""
    parser.add_argument(
        "--model",
        action="append",
        dest="models",
        metavar="MODEL",
        help="bundle: the name of a shipped one, or a folder; again for one of another product",
    )


def load_settings(config: Path | None, flags: dict[str, Any]) -> Settings:
    """The settings from file, environment and flags.

    Args:
        config: the file; None takes ``cortexcast.toml`` of the working directory where there is one.
        flags: what was given on the command line, by field name; None means not given.

    Raises:
        SettingsError: with the file or variable, the key and what is wrong.
    """
    path = config or DEFAULT_FILE
    from_file: dict[str, Any] = {}
    if config is not None or path.is_file():
        try:
            from_file = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path} is not TOML: {error}") from None
    try:
        from_environment = Settings().model_dump(exclude_unset=True)
        given = {key: value for key, value in flags.items() if value is not None}
        return Settings(**{**from_file, **from_environment, **given})
    except ValidationError as error:
        known = ", ".join(sorted(Settings.model_fields))
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise SettingsError(f"unknown setting {key!r} in {path}; there are: {known}") from None
        raise SettingsError(f"setting {key!r} (file, CORTEXCAST_{key.upper()} or flag): {first['msg']}") from None
