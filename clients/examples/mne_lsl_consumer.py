"""Read the MEG from its LSL outlet with MNE-LSL, and print band power: for programs that speak LSL already.

Run a daemon, 'cortexcast demo' or 'cortexcast serve', then::

    pip install mne-lsl
    python mne_lsl_consumer.py simulated_headset_raw    # the headset's name, as 'cortexcast streams' lists it

LSL carries no flags: what is not known is NaN, and is left out here.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from mne.time_frequency import psd_array_welch
from mne_lsl.stream import StreamLSL

BANDS_HZ = {"theta": (4.0, 8.0), "alpha": (8.0, 13.0), "beta": (13.0, 30.0)}
WINDOW_S = 2.0


def main() -> None:
    """Print a line each second until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stream", help="the headset's stream; the outlet of its MEG is STREAM-meg")
    args = parser.parse_args()

    stream = StreamLSL(bufsize=WINDOW_S, name=f"{args.stream}-meg").connect(timeout=20)
    stream.pick("mag")
    try:
        while True:
            time.sleep(1.0)
            data, times = stream.get_data()
            # The buffer begins with zeros, whose times are 0 too.
            known = np.isfinite(data).all(axis=0) & (times > 0)
            if not known.all():
                continue
            power, hz = psd_array_welch(data, stream.info["sfreq"], n_fft=data.shape[1] // 2, verbose="error")
            femtotesla = {
                name: 1e15 * np.sqrt(power[:, (hz >= low) & (hz < high)].mean(axis=0).sum() * (hz[1] - hz[0]))
                for name, (low, high) in BANDS_HZ.items()
            }
            bands = "  ".join(f"{name} {amplitude:.1f} fT" for name, amplitude in femtotesla.items())
            print(f"{times[-1]:.2f} s  {bands}", flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        stream.disconnect()


if __name__ == "__main__":
    main()
