"""One recording in a simulated scanner and one cleaning of it, for all tests that look at them."""

from __future__ import annotations

import pytest
from scanned import Scanned, scan

from cortexcast_training.eegfmri.eeg_cleaning import CleanEeg, clean_eeg


@pytest.fixture(scope="session")
def scanned() -> Scanned:
    return scan()


@pytest.fixture(scope="session")
def cleaned(scanned: Scanned) -> CleanEeg:
    return clean_eeg(scanned.recording, scanned.n_volumes, scanned.settings.bold.tr_s)
