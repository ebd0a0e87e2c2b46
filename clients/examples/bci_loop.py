"""The loop of a brain-computer interface: alpha power of virtual sensors over the occiput, sent as OSC.

Run a daemon, 'cortexcast demo' or 'cortexcast serve', then::

    pip install cortexcast python-osc
    python bci_loop.py --osc 127.0.0.1:9000

Each message is ``/cortexcast/alpha`` with the share of the power from 1 to 40 Hz that is alpha, 0 to 1, and the time of
its last sample in seconds of the LSL clock. Eight come each second; none while nothing is known.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from pythonosc.udp_client import SimpleUDPClient

from cortexcast_client import DEFAULT_URL, Connection, Flags, Product

ALPHA_HZ = 8.0, 13.0
BROAD_HZ = 1.0, 40.0
WINDOW_S = 1.0
EVERY_S = 0.12
N_SENSORS = 8


def occipital(product: Product) -> NDArray[np.intp]:
    """The rows of the magnetometers that lie farthest back; y points to the front."""
    rows = [row for row, channel in enumerate(product.channels) if channel.type == "mag"]
    return np.array(sorted(rows, key=lambda row: product.channels[row].location[1])[:N_SENSORS])


def alpha_share(window: NDArray[np.float32], rate_hz: float) -> float:
    """How much of the power of ``(n_sensors, n_samples)`` is alpha."""
    tapered = (window - window.mean(axis=1, keepdims=True)) * np.hanning(window.shape[1])
    power = (np.abs(np.fft.rfft(tapered)) ** 2).sum(axis=0)
    hz = np.fft.rfftfreq(window.shape[1], 1 / rate_hz)
    alpha, broad = (power[(hz >= low) & (hz <= high)].sum() for low, high in (ALPHA_HZ, BROAD_HZ))
    return float(alpha / broad)


def main() -> None:
    """Send until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default=DEFAULT_URL, help="of the daemon (default %(default)s)")
    parser.add_argument(
        "--osc", default="127.0.0.1:9000", metavar="HOST:PORT", help="who listens (default %(default)s)"
    )
    args = parser.parse_args()
    host, _, port = args.osc.rpartition(":")
    osc = SimpleUDPClient(host, int(port))

    with Connection(args.url, ["meg"]) as connection:
        window = np.empty((N_SENSORS, 0), np.float32)
        last, sent_until = None, 0.0
        for frame in connection:
            product = connection.product(frame)
            # A window must not reach across what is missing, nor hold what is not known.
            follows = last is not None and (frame.session, frame.sequence) == (last.session, last.sequence + 1)
            if not follows or frame.flags & (Flags.GAP | Flags.NO_SIGNAL):
                window = window[:, :0]
            last = frame
            if Flags.NO_SIGNAL in frame.flags:
                continue
            n_window = round(WINDOW_S * product.rate_hz)
            window = np.hstack([window, frame.data[occipital(product)]])[:, -n_window:]
            end = float(product.times(frame)[-1])
            if window.shape[1] == n_window and end > sent_until + 0.99 * EVERY_S:
                osc.send_message("/cortexcast/alpha", [alpha_share(window, product.rate_hz), end])
                sent_until = end


if __name__ == "__main__":
    main()
