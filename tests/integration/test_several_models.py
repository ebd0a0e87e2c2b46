"""A daemon with models of several products: each product comes at its rate, from one headset, over both ways out."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pylsl
from daemon import run, running
from headset import streaming

from cortexcast_client import Connection
from cortexcast_server.lsl_metadata import read_channels


def test_each_product_comes_at_its_rate(small: Path, small_fmri: Path) -> None:
    with streaming(), running("--model", small_fmri, "--model", small, "--wait", "20") as daemon:
        daemon.wait_for_session()
        with Connection(daemon.url, ["eeg", "meg", "fmri"], reconnect=False) as connection:
            frames = list(islice(connection, 150))
            products = {product.name: product for product in connection.products}
        assert set(products) == {"eeg", "meg", "fmri"}
        counts = Counter(frame.product for frame in frames)
        assert max(counts.values()) - min(counts.values()) <= 2
        fmri = products["fmri"]
        assert (fmri.rate_hz, fmri.hop) == (25.0, 1)
        assert fmri.model is not None
        assert fmri.model.name == "small-fmri"
        assert fmri.channels[0].unit == "%"
        assert fmri.channels[0].location == (0.01, -0.08, 0.02)
        for product, last in (("fmri", (3, 1)), ("meg", (3, 8))):
            mine = [frame for frame in frames if frame.product == product]
            assert mine[-1].data.shape == last
            steps = np.diff([frame.t0 for frame in mine])
            np.testing.assert_allclose(steps, 0.04, atol=1e-3)
        in_use = {model["name"] for model in daemon.http("GET", "/api/v1/models")[1] if model["in_use"]}
        assert in_use == {"small", "small-fmri"}


def test_the_outlet_says_that_it_is_fmri_and_where_the_parcels_lie(small: Path, small_fmri: Path) -> None:
    with streaming(), running("--model", small, "--model", small_fmri, "--wait", "20") as daemon:
        daemon.wait_for_session()
        (info,) = pylsl.resolve_byprop("type", "fMRI", timeout=20)
        inlet = pylsl.StreamInlet(info)
        channels = read_channels(inlet.info(timeout=10))
        assert info.nominal_srate() == 25.0
        assert [channel.name for channel in channels] == ["Visual 1", "Visual 2", "Visual 3"]
        assert channels[1].unit == "%"
        assert channels[1].type == "bold"
        assert channels[1].position == (20.0, -80.0, 20.0)
        samples, stamps = inlet.pull_chunk(timeout=10.0, max_samples=25)
        assert len(samples) == 25
        np.testing.assert_allclose(np.diff(stamps), 0.04, atol=5e-3)


def test_two_models_of_one_product_are_refused(small: Path) -> None:
    refused = run("serve", "--port", "0", "--idle", "--model", small, "--model", "meg-leadfield")
    assert refused.returncode == 1
    assert "small and meg-leadfield both give meg: serve one of them" in refused.stderr
    assert refused.stderr.count("\n") == 1
