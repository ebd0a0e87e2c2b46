"""What every test shares: an LSL network of the run's own, and the real recordings."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path

import pytest
from bundles import write_small_bundle, write_small_fmri_bundle
from hypothesis import settings
from needed import lacking

from cortexcast_server.lsl_config import private_network

settings.register_profile("cortexcast", deadline=None)  # how fast a machine is must not decide a test
settings.load_profile("cortexcast")

REAL_DATA = Path(__file__).parents[2] / "shared" / "data"

_lsl_folder = tempfile.TemporaryDirectory(prefix="cortexcast-lsl-")


def pytest_configure(config: pytest.Config) -> None:
    # liblsl reads this once, when it is first used; subprocesses inherit it, so they are on the same network.
    path = Path(_lsl_folder.name, "lsl_api.cfg")
    path.write_text(private_network())
    os.environ["LSLAPICFG"] = str(path)
    # pylsl and MNE-LSL each bring a liblsl of their own: only one may be in a process.
    spec = importlib.util.find_spec("pylsl")
    assert spec is not None
    assert spec.origin is not None
    library = str(Path(spec.origin).parent / "lib" / "liblsl.so")
    os.environ["PYLSL_LIB"] = os.environ["MNE_LSL_LIB"] = library


def pytest_unconfigure(config: pytest.Config) -> None:
    _lsl_folder.cleanup()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small bundle of MEG."""
    return write_small_bundle(tmp_path / "small")


@pytest.fixture
def small_fmri(tmp_path: Path) -> Path:
    """One of fMRI."""
    return write_small_fmri_bundle(tmp_path / "small-fmri")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings."""
    return REAL_DATA if REAL_DATA.is_dir() else lacking(f"the real recordings are not in {REAL_DATA}")
