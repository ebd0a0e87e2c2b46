"""The golden frames: bytes and expected fields that every client's decoder must agree on.

``python tests/client/golden.py`` writes ``tests/golden/frame-*.{bin,json}`` anew; do so only when the protocol changes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cortexcast_client.wire import Flags, Frame, encode, to_json

GOLDEN = Path(__file__).parents[1] / "golden"


def golden_frames() -> dict[str, tuple[int, Frame]]:
    """Product index and frame by name."""
    ramp = np.arange(12, dtype=np.float32).reshape(3, 4)
    return {
        "eeg": (0, Frame("eeg", 0, 0, 1000.0, ramp * np.float32(1e-6), session="cap")),
        # Beyond 32 bits in each 64-bit field, within what a JavaScript number holds.
        "meg": (
            513,
            Frame(
                product="meg",
                sequence=2**40 + 7,
                first_sample=2**45 + 175,
                t0=123456.789,
                data=(ramp - 5) * np.float32(3e-14),
                std=np.array([1e-14, 2e-14, 4e-12], np.float32),
                flags=Flags.GAP | Flags.INTERPOLATED | Flags.TRAINED_ON_SIMULATION | Flags.STD,
                dropped=2**32 - 1,
                session="cap",
            ),
        ),
        "no-signal": (
            65535,
            Frame(
                product="meg",
                sequence=9,
                first_sample=225,
                t0=-0.25,
                data=np.full((2, 1), np.nan, np.float32),
                flags=Flags.NO_SIGNAL | Flags.BAD_CHANNELS | Flags.REPLAYED,
                session="recording",
            ),
        ),
    }


def main() -> None:
    """Write the files."""
    GOLDEN.mkdir(exist_ok=True)
    for name, (index, frame) in golden_frames().items():
        (GOLDEN / f"frame-{name}.bin").write_bytes(encode(frame, index))
        expected = {"product_index": index, "frame": to_json(frame)}
        (GOLDEN / f"frame-{name}.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
