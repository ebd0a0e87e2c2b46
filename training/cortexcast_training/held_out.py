"""Subjects that nothing was fitted to: what they are judged on, and of simulated ones, the best that can be done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cortexcast_models.preprocessing import Preprocessor
from cortexcast_models.simulation.randomness import stream
from cortexcast_training.baselines import fir_taps
from cortexcast_training.datasets import Simulated, as_recording
from cortexcast_training.head import HeadSettings
from cortexcast_training.oracle import oracle, response
from cortexcast_training.prepare import PrepareSettings, montage_map, prepare
from cortexcast_training.recipe import SimulatedData
from cortexcast_training.recording import RecordingError
from cortexcast_training.sensor_noise import NoiseSettings
from cortexcast_training.simulator import RATE_HZ, simulate
from cortexcast_training.sources import draw_sources, patch_fields
from cortexcast_training.streamed import Estimates
from cortexcast_training.virtual_helmet import virtual_helmet_map
from cortexcast_training.wiener import Taps
from cortexcast_training.windows import Prepared

BAYES, STATE_KNOWN, OWN_WIENER = "Bayes oracle", "states known", "own Wiener, true covariances"

NO_SHIFT = "none"
SMALL_HEADS = "heads smaller than those of the training data"

OWN_SHARE = 0.5
"""Of a recording, its beginning: for estimates that are fitted to the subject's own data."""

WARM_UP_S = 2.0
"""Of the rest, given to the methods but not judged: the window of a model fills up."""

LAST_S = 0.2
"""Likewise at the end, where a look-ahead has nothing to read."""

_BEYOND_SD = 4.0
"""Of the training heads: so far from their mean size are heads that lie outside their range."""

_RUN_S = 120.0
"""The longest run that is simulated at once: the memory that it takes grows with it."""


@dataclass(frozen=True)
class HeldOut:
    """A subject to judge methods on.

    Attributes:
        own: what the subject's own linear estimates may be fitted to.
        test: what all methods estimate.
        judged: bool ``(n,)``, the samples of ``test`` that count.
        bounds: estimates of ``test`` by who knows the truth; empty for recorded subjects.
    """

    own: Prepared
    test: Prepared
    judged: NDArray[np.bool_]
    bounds: Mapping[str, Estimates]

    @property
    def target(self) -> NDArray[np.float32]:
        """What an estimate is judged against: the noise-free MEG where it is known, else the recorded."""
        return self.test.meg if self.test.true_meg is None else self.test.true_meg


def held_out(prepared: Prepared) -> HeldOut:
    """Split a recording: the subject's own data first, then what is judged.

    Raises:
        RecordingError: it is too short to be split.
    """
    return _split(prepared, {})


def simulated_held_out(subject: Simulated, settings: PrepareSettings, lookahead: int) -> HeldOut:
    """Simulate a subject, and estimate its MEG by what only a simulation knows.

    Args:
        subject: whom.
        settings: the model's.
        lookahead: hops that the model, and so the oracle, may read after the one that is estimated.
    """
    data = subject.data
    head, sources = subject.head, draw_sources(data.sources)
    simulation = simulate(head, sources, data.recording, subject.seed)
    recording = as_recording(subject.subject, head, simulation)
    prepared = prepare(recording, settings)
    to_montage = montage_map(recording, settings.preprocessing.absent)
    hop, rate_hz = settings.hop, prepared.rate_hz
    preprocessor = Preprocessor(settings.preprocessing, RATE_HZ, len(simulation.eeg), hop)
    blocks = preprocessor.push(simulation.eeg - simulation.artefact_eeg)
    clean = (to_montage @ np.concatenate([block.data for block in blocks], axis=1)).T
    taps = fir_taps(rate_hz)
    known = oracle(
        patch_fields(head, sources),
        sources,
        data.recording.noise,
        to_montage,
        virtual_helmet_map(recording.dev_head_t, recording.good_sensors),
        response(settings.preprocessing, RATE_HZ),
        taps,
    )
    ahead = Taps(taps.back, min(lookahead * hop, taps.ahead), taps.step)
    bounds = {
        BAYES: known.bayes(clean, hop, lookahead, ahead),
        STATE_KNOWN: known.with_states(clean, simulation.states, RATE_HZ, ahead),
        OWN_WIENER: known.own_wiener(clean, taps),
    }
    return _split(prepared, bounds)


def own_recording(subject: Simulated, duration_s: float, settings: PrepareSettings) -> Prepared:
    """Record a simulated subject once more, in the same cap and helmet: all that happens is drawn anew.

    So it holds nothing of what ``simulated_held_out`` gives, however long it is.

    Args:
        subject: whom.
        duration_s: how long, in several runs of which each begins as the filters settle.
        settings: the model's.
    """
    data = subject.data
    head, sources = subject.head, draw_sources(data.sources)
    n = math.ceil(duration_s / _RUN_S)
    lasting = data.recording.model_copy(update={"duration_s": duration_s / n})

    def run(number: int) -> Prepared:
        seed = int(stream(subject.seed, "own recording", number).integers(2**32))
        simulation = simulate(head, sources, lasting, seed)
        # Calibration must not see the truth.
        return prepare(as_recording(subject.subject, head, simulation, with_truth=False), settings)

    runs = [run(number) for number in range(n)]
    eeg, meg, good = (np.concatenate([getattr(each, name) for each in runs]) for name in ("eeg", "meg", "good"))
    return replace(runs[0], eeg=eeg, meg=meg, good=good)


def shifts(data: SimulatedData) -> dict[str, SimulatedData]:
    """Subjects unlike those of the training data, in one respect each."""

    def head(**changes: float) -> SimulatedData:
        return data.model_copy(update={"head": HeadSettings(**{**data.head.model_dump(), **changes})})

    def states(n: int) -> SimulatedData:
        changed = {"states": n, "drawn_states": data.sources.states}
        return data.model_copy(update={"sources": data.sources.model_copy(update=changed)})

    half = max(1, data.sources.states // 2)
    noise = NoiseSettings(**{**data.recording.noise.model_dump(), "eeg_v": 2 * data.recording.noise.eeg_v})
    return {
        # Along every axis. Their spread is smaller too, or some would come back into the range.
        SMALL_HEADS: head(
            scale_mean=data.head.scale_mean - _BEYOND_SD * data.head.scale_sd, scale_sd=data.head.scale_sd / 4
        ),
        "only half of the states occur": states(half),
        "half as many new states join": states(data.sources.states + half),
        "half the SNR of the EEG": data.model_copy(
            update={"recording": data.recording.model_copy(update={"noise": noise})}
        ),
        "skull conductivity varies three times as much": head(skull_log_sd=3 * data.head.skull_log_sd),
        "helmet varies three times as much": head(
            helmet_shift_sd_m=3 * data.head.helmet_shift_sd_m,
            helmet_rotation_sd_deg=3 * data.head.helmet_rotation_sd_deg,
        ),
    }


def _split(prepared: Prepared, bounds: Mapping[str, NDArray[np.float64]]) -> HeldOut:
    rate_hz = prepared.rate_hz
    cut_s = round(OWN_SHARE * len(prepared.good)) * prepared.hop / rate_hz
    own, test = prepared.part(0.0, cut_s), prepared.part(cut_s, prepared.duration_s)
    judged = np.repeat(test.good, test.hop)
    judged[: round(WARM_UP_S * rate_hz)] = False
    judged[len(judged) - round(LAST_S * rate_hz) :] = False
    if judged.sum() < 2 * round(WARM_UP_S * rate_hz):
        raise RecordingError(
            f"{prepared.subject}, {prepared.run}: {prepared.duration_s:g} s are too short to judge an estimate on"
        )
    begin, end = len(own.eeg), len(own.eeg) + len(test.eeg)
    return HeldOut(
        own=own,
        test=test,
        judged=judged,
        bounds={name: Estimates(np.asarray(estimate[begin:end], np.float32)) for name, estimate in bounds.items()},
    )
