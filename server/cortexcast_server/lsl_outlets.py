"""LSL outlets of a session: EEG as preprocessed and each model's estimate, with full channel metadata."""

from __future__ import annotations

import numpy as np
import pylsl

from cortexcast_client.wire import Flags, Frame
from cortexcast_server.engine import EEG, FMRI, MEG, STIMULUS
from cortexcast_server.lsl_metadata import OUTLET_SOURCE, OutletChannel, make_info
from cortexcast_server.protocol import Product
from cortexcast_server.signal import SignalError

_LSL_TYPE = {EEG: "EEG", MEG: "MEG", FMRI: "fMRI", STIMULUS: "Stimulus"}

_FILL_S = 10.0
"""A gap up to this long is filled with NaN, since a declared rate binds; after a longer one the outlet starts anew."""


class Outlet:
    """One product's outlet, float32; EEG in microvolts as the XDF convention wants, all else in its own unit.

    Raises:
        SignalError: liblsl has no port left for it.
    """

    def __init__(self, product: Product) -> None:
        self._product = product
        self._in_microvolts = product.product == EEG
        model = product.model
        self._info = make_info(
            f"{product.stream}-{product.product}",
            _LSL_TYPE[product.product],
            product.rate_hz,
            f"{OUTLET_SOURCE}{product.session}:{product.product}",
            [
                OutletChannel(
                    channel.name,
                    channel.type.upper() if self._in_microvolts else channel.type,
                    "microvolts" if self._in_microvolts else channel.unit,
                    channel.location,
                )
                for channel in product.channels
            ],
            session=product.session,
            signal_delay_s=f"{product.delay_s:.6f}",
            model="" if model is None else f"{model.name} {model.version} {model.digest}",
            trained_on="" if model is None else model.trained_on,
            replayed=str(product.replayed).lower(),
            simulated=str(product.simulated).lower(),
        )
        self._outlet = self._open()
        self._next_t0: float | None = None

    def _open(self) -> pylsl.StreamOutlet:
        try:
            return pylsl.StreamOutlet(self._info)
        except RuntimeError as error:
            raise SignalError(
                f"the LSL outlet {self._info.name()!r} cannot be opened ({error}): widen [ports] PortRange in "
                "lsl_api.cfg, or serve without outlets (setting outlets = false)"
            ) from None

    def push(self, frame: Frame) -> None:
        """Send a frame; its samples keep their times."""
        if Flags.GAP in frame.flags and self._next_t0 is not None:
            self._fill(frame.t0)
        samples = frame.data.T * np.float32(1e6) if self._in_microvolts else frame.data.T
        self._push(samples, frame.t0)

    def _push(self, samples: np.ndarray, t0: float) -> None:
        n = len(samples)
        # LSL's stamp of a chunk is that of its last sample.
        self._outlet.push_chunk(np.ascontiguousarray(samples), t0 + (n - 1) / self._product.rate_hz)
        self._next_t0 = t0 + n / self._product.rate_hz

    def _fill(self, t0: float) -> None:
        assert self._next_t0 is not None
        missing_s = t0 - self._next_t0
        n = round(missing_s * self._product.rate_hz)
        if n > 0 and missing_s <= _FILL_S:
            self._push(np.full((n, len(self._product.channels)), np.nan, np.float32), self._next_t0)
        elif missing_s > _FILL_S or n < 0:
            del self._outlet
            self._outlet = self._open()
