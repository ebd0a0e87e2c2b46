"""The autoencoder: products of experts, exact expectations, masks, and that it learns what there is to learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cortexcast_training.eegfmri.bands import BANDS
from cortexcast_training.eegfmri.centring import LEVEL_HOPS, SETTLE_HOPS, centred
from cortexcast_training.eegfmri.elbo import ElboSettings, divergence, log_likelihood, loss
from cortexcast_training.eegfmri.fit_vae import VaeFitSettings, explained_by_eeg, fit_vae
from cortexcast_training.eegfmri.hemodynamics import bold
from cortexcast_training.eegfmri.moments import STIMULUS_LAG_S, Moments, seen_before, settled
from cortexcast_training.eegfmri.runs import HOP_S, Run, hops_at
from cortexcast_training.eegfmri.stimulus import Stimulus
from cortexcast_training.eegfmri.targets import seen
from cortexcast_training.eegfmri.vae import BOLD, EEG, N_HOPS, STIMULUS, Gaussian, Vae, VaeShape, binned, product

N_ELECTRODES, N_PARCELS, N_DIMENSIONS = 4, 6, 3
N_FEATURES = N_ELECTRODES * len(BANDS)
SHAPE = VaeShape(N_FEATURES, N_PARCELS, n_filters=4, width=16, latent=4)


def made_run(seed: int, subject: str) -> Run:
    """Two processes, each with a band of EEG, parcels, and a dimension of the stimulus of its own."""
    rng = np.random.default_rng(seed)
    n_hops = 1600
    slow = np.array([np.convolve(row, np.ones(16) / 4, "same") for row in rng.standard_normal((2, n_hops))])
    power = -25 + 0.5 * rng.standard_normal((n_hops, N_ELECTRODES, len(BANDS)))
    power[:, :, 2] += slow[0, :, np.newaxis]
    power[:, :, 5] -= slow[1, :, np.newaxis]
    response = bold(slow, np.array([5.25, 5.25]), 1 / HOP_S)
    hops = hops_at(np.arange(2.0, 180.0) * 2.1, n_hops)
    signal = np.repeat(response[:, hops], N_PARCELS // 2, axis=0)
    signal += 0.5 * signal.std() * rng.standard_normal(signal.shape)
    embedding = np.stack([slow[0, hops], slow[1, hops], rng.standard_normal(len(hops))], axis=1)
    nameless = np.zeros((0, N_DIMENSIONS), np.float32), np.full(len(hops), -1)
    stimulus = Stimulus(embedding.astype(np.float32), (), *nameless)
    return Run(subject, "film01", power.astype(np.float32), signal.astype(np.float32), hops, stimulus)


@pytest.fixture(scope="module")
def train() -> Moments:
    return Moments([made_run(seed, f"sub-{seed}") for seed in range(4)])


@pytest.fixture(scope="module")
def held_out(train: Moments) -> Moments:
    return Moments([made_run(seed, f"sub-{seed}") for seed in (10, 11)], train.units)


def test_the_mean_so_far_is_what_a_stream_knows() -> None:
    power = np.random.default_rng(0).standard_normal((LEVEL_HOPS + 200, 3)).astype(np.float32) + 7
    out = centred(power)
    assert not out[:SETTLE_HOPS].any()
    for hop in (SETTLE_HOPS, 50, LEVEL_HOPS):
        expected = power[hop] - power[SETTLE_HOPS : hop + 1].mean(axis=0)
        np.testing.assert_allclose(out[hop], expected, atol=1e-4)
    # What comes later changes nothing, and a step fades over minutes.
    np.testing.assert_array_equal(centred(power[:100]), out[:100])
    step = np.concatenate([np.zeros((500, 1)), np.ones((4 * LEVEL_HOPS, 1))]).astype(np.float32)
    assert centred(step)[500 + LEVEL_HOPS, 0] == pytest.approx(np.exp(-1), abs=0.01)


def test_moments_hold_the_eeg_before_the_bold_and_what_was_seen_before() -> None:
    run = made_run(0, "sub-0")
    moments = Moments([run])
    volume = 100
    first = int(np.searchsorted(run.hops * HOP_S, 20.0))
    moment = moments[torch.tensor([volume - first])]
    course = centred(run.power).reshape(len(run.power), -1) / moments.units.power
    last = run.hops[volume]
    np.testing.assert_allclose(moment[EEG][0].numpy(), course[last + 1 - N_HOPS : last + 1], atol=1e-6)
    np.testing.assert_allclose(moment[BOLD][0].numpy(), run.bold[:, volume] / moments.units.bold, rtol=1e-5)
    assert run.stimulus is not None
    before = int(np.searchsorted(run.hops, last - round(STIMULUS_LAG_S / HOP_S), side="right")) - 1
    assert 2.1 * (volume - before) >= STIMULUS_LAG_S > 2.1 * (volume - before - 1)
    about_mean = run.stimulus.embedding[before] - run.stimulus.embedding.mean(axis=0)
    np.testing.assert_allclose(moment[STIMULUS][0], about_mean / moments.units.embedding, rtol=1e-4)


def test_volumes_are_not_used_of_which_it_is_not_known_what_was_seen() -> None:
    run = made_run(0, "sub-0")
    assert run.stimulus is not None
    embedding = run.stimulus.embedding.copy()
    embedding[-5:] = np.nan
    moments = Moments([replace(run, stimulus=replace(run.stimulus, embedding=embedding))])
    # Of the five last volumes three are of what was seen before that.
    assert len(moments) == len(Moments([run])) - 2
    assert moments.embedding is not None
    assert torch.isfinite(moments.embedding).all()


def test_what_is_on_before_the_film_is_not_taken_for_its_beginning() -> None:
    """Where the EEG began long before the scan, as NATVIEW's often does."""
    run = made_run(0, "sub-0")
    n_before = round(30 / HOP_S)
    early = replace(run, power=np.concatenate([run.power[:n_before], run.power]), hops=run.hops + n_before)
    with_stimulus = settled(early, with_stimulus=True)
    begins_s = (early.hops - early.hops[0]) * HOP_S
    assert (begins_s[with_stimulus] >= STIMULUS_LAG_S - HOP_S).all()
    assert len(settled(early)) > len(with_stimulus)
    assert np.isnan(seen(early)[0]).all()


def test_a_volume_that_shows_its_middle_is_of_what_was_seen_at_its_lag() -> None:
    """As where slices were not brought to the volume's beginning."""
    run, late_s = made_run(0, "sub-0"), 1.0
    late = replace(run, hops=run.hops + round(late_s / HOP_S), late_s=late_s)
    begins_s = (run.hops + 1) * HOP_S
    seen_s = (late.hops[20:] + 1) * HOP_S - STIMULUS_LAG_S
    shown = seen_before(late)[20:]
    assert (begins_s[shown] <= seen_s + HOP_S).all()
    assert (begins_s[shown + 1] > seen_s - HOP_S).all()


def test_an_expert_that_knows_nothing_changes_nothing() -> None:
    one = Gaussian(torch.randn(5, 3), torch.randn(5, 3))
    nothing = Gaussian(torch.full((5, 3), 9.0), torch.full((5, 3), 40.0))
    for with_it, without in zip(product([one, nothing]), product([one]), strict=True):
        torch.testing.assert_close(with_it, without)
    sure = product([one, Gaussian(torch.full((5, 3), 2.0), torch.full((5, 3), -20.0))])
    torch.testing.assert_close(sure.mean, torch.full((5, 3), 2.0), atol=1e-4, rtol=0)


def test_divergence_is_that_of_samples() -> None:
    p = Gaussian(torch.tensor([0.5]), torch.tensor([-0.4]))
    q = Gaussian(torch.tensor([-0.2]), torch.tensor([0.3]))
    x = p.mean + (0.5 * p.log_variance).exp() * torch.randn(400_000, generator=torch.Generator().manual_seed(0))

    def log(x: torch.Tensor, at: Gaussian) -> torch.Tensor:
        return -0.5 * (at.log_variance + (x - at.mean) ** 2 / at.log_variance.exp())

    torch.testing.assert_close(divergence(p, q)[0], (log(x, p) - log(x, q)).mean(), atol=3e-3, rtol=0)
    assert divergence(p, p).item() == pytest.approx(0, abs=1e-6)


def test_the_expected_likelihood_is_that_of_samples(train: Moments) -> None:
    torch.manual_seed(0)
    vae = Vae(SHAPE)
    drawn = train[torch.arange(8)]
    shown = {EEG: binned(drawn[EEG]), BOLD: drawn[BOLD]}
    settings = ElboSettings()
    posterior = Gaussian(torch.randn(8, 4), torch.randn(8, 4) - 1)
    exact = log_likelihood(vae, posterior, shown, settings)
    point = torch.full((8, 4), -60.0)
    samples = [
        log_likelihood(vae, Gaussian(posterior.mean + (0.5 * posterior.log_variance).exp() * torch.randn(8, 4), point),
                       shown, settings).item()
        for _ in range(1000)
    ]  # fmt: skip
    assert np.mean(samples) == pytest.approx(exact.item(), abs=5 * np.std(samples) / np.sqrt(1000))


def test_masks_put_the_token_there_and_nowhere_else() -> None:
    vae = Vae(SHAPE)
    with torch.no_grad():
        vae.tokens[EEG].fill_(7.0)
    values, mask = torch.randn(2, N_HOPS, N_FEATURES), torch.zeros(2, N_HOPS)
    mask[1, 5] = 1
    masked = vae.masked(EEG, values, mask)
    assert (masked[1, 5] == 7).all()
    masked[1, 5] = values[1, 5]
    assert torch.equal(masked, values)


def test_it_learns_bold_from_eeg_alone_and_knows_how_well(train: Moments, held_out: Moments, tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = Vae(VaeShape(N_FEATURES, N_PARCELS, N_DIMENSIONS, n_filters=4, width=16, latent=4))
    before = explained_by_eeg(vae, held_out, BOLD)
    steps: list[int] = []
    settings = VaeFitSettings(n_moments=20_000, batch=64, validate_every=100)
    best = fit_vae(vae, train, held_out, BOLD, settings, tmp_path, lambda each: steps.append(each.step))
    assert before < 0.1
    assert best > 0.55  # of 0.8 that is no noise
    assert best == pytest.approx(explained_by_eeg(vae, held_out, BOLD))
    assert steps == list(range(1, 313))
    given = held_out[torch.arange(len(held_out))]
    with torch.no_grad():
        posterior = vae.posterior({EEG: given[EEG]})
        seen = vae.decode(posterior.mean)[STIMULUS].mean
        both = vae.decode(vae.posterior({EEG: given[EEG], BOLD: given[BOLD]}).mean)[BOLD].mean
    r = [np.corrcoef(seen[:, d], given[STIMULUS][:, d])[0, 1] for d in range(N_DIMENSIONS)]
    assert min(r[:2]) > 0.4
    assert abs(r[2]) < 0.3
    # With the BOLD itself it knows more.
    assert ((both - given[BOLD]) ** 2).mean() < (1 - best) * (given[BOLD] ** 2).mean()


def test_the_same_seed_gives_the_same_net(train: Moments, held_out: Moments, tmp_path: Path) -> None:
    nets = []
    for number in (0, 1):
        torch.manual_seed(0)
        vae = Vae(SHAPE)
        plain = {name: moment for name, moment in train[torch.arange(4)].items() if name != STIMULUS}
        assert torch.isfinite(loss(vae, plain, {**plain, EEG: binned(plain[EEG])}, ElboSettings(), 1.0))
        without = Moments([made_run(0, "sub-0")])
        without.embedding = None
        fit_vae(vae, without, without, BOLD, VaeFitSettings(n_moments=640, batch=64), tmp_path / str(number))
        nets.append(vae.state_dict())
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])
