"""What masking does: the same as by brute force, in ONNX as in torch, by voxels as by parcels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation
from film_runs import film_run

from cortexcast_models.bundle import read_bundle, write_bundle
from cortexcast_training.eegfmri.elbo import ElboSettings, log_likelihood
from cortexcast_training.eegfmri.moments import Moments
from cortexcast_training.eegfmri.runs import Run, RunError
from cortexcast_training.eegfmri.vae import BOLD, EEG, N_HOPS, STIMULUS, Vae, VaeShape
from cortexcast_training.masking.effects import Effects, Judge, Units, mask_bold, mask_eeg
from cortexcast_training.masking.net import FILE, MaskedNet, of_bundle
from cortexcast_training.masking.operators import donated, surrogates
from cortexcast_training.masking.parts import of_model, parts_file
from cortexcast_training.masking.seen import Seen, see

Singles = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

RUN = film_run("sub-01", 1, 0, seconds=90.0)
SHIFTS = np.array([11, 14])
ATOL = 2e-3


@pytest.fixture(scope="module")
def vae() -> Vae:
    """Untrained, but for what would make it linear."""
    moments = Moments([RUN])
    torch.manual_seed(0)
    vae = Vae(VaeShape(len(moments.units.power), len(moments.units.bold), 4, n_filters=5, width=7, latent=6))
    for parameter in vae.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return vae.eval()


@pytest.fixture(scope="module")
def net(vae: Vae) -> MaskedNet:
    return of_model(vae, Moments([RUN]).units)


@pytest.fixture(scope="module")
def seen(net: MaskedNet) -> Seen:
    return see(RUN, net)


def likelihood(vae: Vae, given: dict[str, Singles], name: str, recorded: Singles) -> float:
    """By the net itself: the logarithm of what was recorded's probability, expected over the posterior; all volumes."""
    target = torch.from_numpy(recorded)
    shown = {name: target.unflatten(1, (-1, vae.shape.n_features)) if name == EEG else target}
    with torch.no_grad():
        posterior = vae.posterior({what: torch.from_numpy(values) for what, values in given.items()})
        return len(recorded) * float(
            log_likelihood(vae, posterior, shown, ElboSettings(eeg_weight=1, stimulus_weight=1))
        )


def both_ways(
    vae: Vae, side: str, shown: Singles, hidden: Singles, where: Singles, name: str, recorded: Singles
) -> float:
    """What it adds to show what is ``where``: to nothing, and to all else; the mean."""

    def at(values: Singles) -> float:
        return likelihood(vae, {side: values.astype(np.float32)}, name, recorded)

    to_all_else = at(shown) - at(np.where(where, hidden, shown))
    to_nothing = at(np.where(where, shown, hidden)) - at(hidden)
    return (to_all_else + to_nothing) / 2


@pytest.mark.parametrize("name", [BOLD, STIMULUS])
@pytest.mark.parametrize("hop", [0, 77, 200])
def test_masking_a_hop_is_what_the_net_makes_of_it(vae: Vae, net: MaskedNet, seen: Seen, name: str, hop: int) -> None:
    (instead,) = surrogates(seen.power, np.random.default_rng(0), 1)
    effects = mask_eeg(net, seen, Judge(net.decoder(name), seen.recorded[name], SHIFTS), [instead])
    where = (seen.window_hops == hop)[..., np.newaxis]
    shown, hidden = seen.windows(seen.power), seen.windows(instead)
    expected = both_ways(vae, EEG, shown, hidden, where, name, seen.recorded[name])
    assert effects.evidence[hop] == pytest.approx(expected, rel=1e-4, abs=ATOL)
    # What was recorded at another time is turned in time.
    turned = np.roll(seen.recorded[name], SHIFTS[1], axis=0)
    assert effects.chance[1, hop] == pytest.approx(
        both_ways(vae, EEG, shown, hidden, where, name, turned), rel=1e-4, abs=ATOL
    )


@pytest.mark.parametrize("name", [EEG, STIMULUS])
def test_masking_a_parcel_is_what_the_net_makes_of_it(vae: Vae, net: MaskedNet, seen: Seen, name: str) -> None:
    shown = seen.recorded[BOLD]
    instead = np.broadcast_to(net.token(BOLD), shown.shape)
    parcels = Units(np.arange(40), np.ones(40, np.float32), shown.T[:40])
    judge = Judge(net.decoder(name), seen.recorded[name], SHIFTS)
    effects = together(list(mask_bold(net, seen, judge, parcels, [instead.T[:40]])))
    hidden = np.where(np.arange(shown.shape[1]) < 40, instead, shown)
    for parcel in (0, 39):
        where = np.arange(shown.shape[1]) == parcel
        expected = both_ways(vae, BOLD, shown, hidden, where, name, seen.recorded[name])
        assert effects.evidence[parcel] == pytest.approx(expected, rel=1e-4, abs=ATOL)


def together(parts: list[Effects]) -> Effects:
    return Effects(
        *(
            np.concatenate([vars(part)[name] for part in parts], axis=-1 if name == "chance" else 0)
            for name in vars(parts[0])
        )
    )


def test_a_voxel_changes_its_parcel_by_its_share(net: MaskedNet, seen: Seen) -> None:
    """Two voxels that are the same, of half of a parcel each, masked as the parcel is: nearly half of it each."""
    judge = Judge(net.decoder(STIMULUS), seen.recorded[STIMULUS], SHIFTS)
    course = seen.recorded[BOLD].T[7:8]
    whole = Units(np.array([7]), np.ones(1, np.float32), course)
    halves = Units(np.array([7, 7]), np.full(2, 0.5, np.float32), course.repeat(2, axis=0))
    hidden = np.zeros_like(course)
    (of_parcel,) = mask_bold(net, seen, judge, whole, [hidden])
    (of_voxels,) = mask_bold(net, seen, judge, halves, [hidden.repeat(2, axis=0)])
    assert of_voxels.evidence[0] == pytest.approx(of_voxels.evidence[1])
    assert of_voxels.evidence.sum() == pytest.approx(of_parcel.evidence[0], rel=1e-4, abs=ATOL)


def test_the_change_of_all_outputs_is_the_sum_of_each(net: MaskedNet, seen: Seen) -> None:
    instead = [np.broadcast_to(net.token(EEG), seen.power.shape)]
    effects = mask_eeg(net, seen, Judge(net.decoder(BOLD), seen.recorded[BOLD], SHIFTS), instead)
    np.testing.assert_allclose(effects.on.sum(axis=1), effects.change, rtol=1e-3, atol=1e-6)
    assert (effects.change >= 0).all()
    parcels = Units(np.arange(5), np.ones(5, np.float32), seen.recorded[BOLD].T[:5])
    (of_bold,) = mask_bold(
        net,
        seen,
        Judge(net.decoder(EEG), seen.recorded[EEG], SHIFTS),
        parcels,
        [np.zeros((5, seen.n_volumes), np.float32)],
    )
    # Of windows that reach before the first hop something is lost.
    assert (of_bold.on.sum(axis=1) <= 1.001 * of_bold.change).all()
    np.testing.assert_allclose(of_bold.on.sum(axis=1), of_bold.change, rtol=0.05)


def test_what_changes_is_what_captum_finds(vae: Vae, net: MaskedNet, seen: Seen) -> None:
    """Which runs the whole net for each unit that is masked."""
    volume, token = seen.n_volumes - 1, torch.from_numpy(np.array(net.token(EEG)))
    window = torch.from_numpy(seen.windows(seen.power)[volume : volume + 1])
    hops = torch.arange(N_HOPS)[:, np.newaxis].expand(window.shape[1:])[np.newaxis]

    @torch.no_grad()
    def predicted(windows: torch.Tensor) -> torch.Tensor:
        return vae.decode(vae.posterior({EEG: windows}).mean)[BOLD].mean

    found = FeatureAblation(predicted).attribute(window, baselines=token.expand_as(window), feature_mask=hops)
    only = replace(seen, hops=seen.hops[-1:], recorded={name: each[-1:] for name, each in seen.recorded.items()})
    instead = [np.broadcast_to(net.token(EEG), seen.power.shape)]
    judge = Judge(net.decoder(BOLD), only.recorded[BOLD], np.array([0]))
    effects = mask_eeg(net, only, judge, instead)
    expected = found[..., 0].numpy().T ** 2 * judge.precision / 2
    np.testing.assert_allclose(effects.on[only.window_hops[0]], expected, rtol=1e-3, atol=1e-6)


def test_parcels_that_were_not_scanned_say_nothing_and_are_not_asked(vae: Vae, net: MaskedNet) -> None:
    bold = RUN.bold.copy()
    bold[3] = np.nan
    partly = see(replace(RUN, bold=bold), net)
    judge = Judge(net.decoder(BOLD), partly.recorded[BOLD], SHIFTS)
    assert np.flatnonzero(~judge.known).tolist() == [3]
    effects = mask_eeg(net, partly, judge, surrogates(partly.power, np.random.default_rng(0), 1))
    assert np.isfinite(effects.evidence).all()
    assert effects.on.shape == (len(partly.power), net.n_parcels - 1)


def test_onnx_gives_what_torch_gives(vae: Vae, net: MaskedNet, seen: Seen, tmp_path: Path) -> None:
    fields, files = json.loads((read_bundle("stimulus-vae").directory / "manifest.json").read_text()), {}
    bundle = read_bundle("stimulus-vae")
    files = {name: (bundle.directory / name).read_bytes() for name in fields.pop("files")}
    written = write_bundle(tmp_path / "bundle", fields, files | {FILE: parts_file(vae, Moments([RUN]).units)})
    exported = of_bundle(written)
    instead = surrogates(seen.power, np.random.default_rng(0), 1)
    ours, theirs = (
        mask_eeg(each, seen, Judge(each.decoder(STIMULUS), seen.recorded[STIMULUS], SHIFTS), instead)
        for each in (net, exported)
    )
    for name in vars(ours):
        np.testing.assert_allclose(vars(theirs)[name], vars(ours)[name], rtol=1e-3, atol=ATOL)


def of_other_parcels(run: Run) -> Run:
    return replace(run, bold=run.bold[:-1])


def of_another_space(run: Run) -> Run:
    assert run.stimulus is not None
    return replace(run, stimulus=replace(run.stimulus, embedding=run.stimulus.embedding[:, 1:]))


def of_nothing_seen(run: Run) -> Run:
    return replace(run, stimulus=None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (of_other_parcels, "has 299 parcels, the model 300"),
        (of_another_space, "has 3 dimensions of what was seen, the model 4"),
        (of_nothing_seen, "nothing is known of what was seen"),
    ],
)
def test_a_run_that_the_net_cannot_read_is_refused(net: MaskedNet, changed: Callable[[Run], Run], message: str) -> None:
    with pytest.raises(RunError, match=message):
        see(changed(RUN), net)


def test_a_surrogate_keeps_spectrum_and_mean_and_correlations() -> None:
    courses = np.cumsum(np.random.default_rng(0).standard_normal((201, 3)), axis=0).astype(np.float32)
    for n in (200, 201):
        (surrogate,) = surrogates(courses[:n], np.random.default_rng(1), 1)
        np.testing.assert_allclose(
            np.abs(np.fft.rfft(surrogate, axis=0)), np.abs(np.fft.rfft(courses[:n], axis=0)), atol=0.05
        )
        np.testing.assert_allclose(np.corrcoef(surrogate.T), np.corrcoef(courses[:n].T), atol=1e-3)
        assert np.abs(np.corrcoef(surrogate[:, 0], courses[:n, 0])[0, 1]) < 0.95


def test_a_donor_is_turned_and_as_long_as_is_asked_for() -> None:
    donors = [np.arange(50, dtype=np.float32)[:, np.newaxis], 100 + np.arange(70, dtype=np.float32)[:, np.newaxis]]
    for course in donated(donors, 60, 8, np.random.default_rng(0), 8):
        assert course.shape == (60, 1)
        start = course[0, 0] % 100
        n = 50 if course[0, 0] < 100 else 70
        assert 8 <= start <= n - 8
