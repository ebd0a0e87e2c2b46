"""Measure how fast recordings of ds000117's size are prepared, in how much memory, and the memory of training on them.

::

    make bench-data

A run has 540,100 samples of 404 channels at 1100 Hz; six runs are one file under six names. Each is prepared by the
real command, with one process and with two. Memory is that of all its processes together (PSS), at its highest.

Then a small net is trained on one prepared run, and on so many that they hold six million frames. In one epoch as many
frames are drawn as there are. Memory is what the process has of its own (anonymous): recordings stay on the disk.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import psutil
from daemon import CORTEXCAST
from ds000117 import RATE_HZ, lay_out
from nets import montages, net_shape, untrained

from cortexcast_training.bids import write_subject
from cortexcast_training.contexts import Contexts, recording_sums
from cortexcast_training.fit import Examples, Progress, fit
from cortexcast_training.head import HeadSettings, draw_head
from cortexcast_training.recipe import FitSettings
from cortexcast_training.simulated_dataset import SimulatedDataset
from cortexcast_training.simulator import SimulationSettings, simulate
from cortexcast_training.sources import SourceSettings, draw_sources
from cortexcast_training.windows import Windows, read_all

N_SAMPLES, N_CHANNELS, N_RUNS = 540_100, 404, 6
N_FRAMES = 6_000_000
_PIECE_S = 20.0
_LOOK_S = 0.1


def make_dataset(folder: Path) -> Path:
    """Six runs of one subject, as long and with as many channels as those of ds000117."""
    settings = SimulationSettings(duration_s=_PIECE_S)
    simulation = simulate(draw_head(HeadSettings(), 1), sources := draw_sources(SourceSettings()), settings, 1)
    dataset = SimulatedDataset(folder / "simulated", "EEG and MEG", "make bench-data", "made up\n")
    write_subject(dataset, "sub-01", draw_head(HeadSettings(), 1), sources, settings, [(1, simulation)])
    laid_out = lay_out(folder / "simulated", folder / "ds000117")
    (first,) = laid_out.glob("sub-01/ses-meg/meg/*_meg.fif")
    raw = mne.io.read_raw_fif(first, preload=True, verbose="error")
    spare = mne.create_info([f"MISC{n:03d}" for n in range(N_CHANNELS - len(raw.ch_names))], RATE_HZ, verbose="error")
    nothing = np.zeros((len(spare["chs"]), raw.n_times))
    raw.add_channels([mne.io.RawArray(nothing, spare, verbose="error")], force_update_info=True)
    data = np.tile(raw.get_data(), -(-N_SAMPLES // raw.n_times))[:, :N_SAMPLES]
    mne.io.RawArray(data, raw.info, verbose="error").save(first, fmt="single", overwrite=True, verbose="error")
    for run in range(2, N_RUNS + 1):
        for path in first.parent.glob("*run-01_*"):
            os.link(path, path.with_name(path.name.replace("run-01_", f"run-{run:02d}_")))
    return laid_out


def prepare(dataset: Path, n_runs: int, n_workers: int, out: Path) -> tuple[float, float]:
    """Seconds that it takes, and the most memory in MB."""
    runs = [f"{run:02d}" for run in range(1, n_runs + 1)]
    flags = ["--out", out, "--workers", n_workers, "--runs", *runs]
    begin, most = time.perf_counter(), 0
    with psutil.Popen([*CORTEXCAST, "data", "prepare", dataset, *map(str, flags)], stdout=sys.stderr) as process:
        while process.poll() is None:
            most = max(most, pss(process))
            time.sleep(_LOOK_S)
        seconds = time.perf_counter() - begin
    if process.returncode:
        sys.exit(f"cortexcast data prepare ended with {process.returncode}")
    return seconds, most / 1e6


def pss(process: psutil.Process) -> int:
    """Bytes of a process and all that it started; what they share counts once."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_full_info().pss
        except psutil.Error:
            continue  # it has just ended
    return total


def one_epoch(folder: Path, say: Callable[[str], None]) -> None:
    """Train a small net on all recordings of a folder, until as many frames were drawn as there are; says a row."""
    recordings = read_all(folder)
    one = recordings[0]
    shape = net_shape(306, n_tokens=25, lookahead=2)
    net, units, labels = untrained([one], shape)
    n_frames = sum(len(each.eeg) for each in recordings)
    settings = FitSettings(
        n_windows=n_frames // (shape.n_tokens * shape.token), validate_every=10**6, validation_windows=64
    )
    worn = montages(settings)
    sums = recording_sums(net.adaptation, one, units.eeg, worn.matrices)
    # The recordings are one under many names, so that what is known of each is copied.
    windows = Windows(recordings, shape.n_tokens)
    examples = Examples(windows, Contexts([sums.clone() for _ in recordings]), [labels[0].copy() for _ in recordings])
    held_out = Examples(Windows([one], shape.n_tokens), Contexts([sums]))
    memory: list[float] = []

    def look(progress: Progress) -> None:
        if progress.step % max(1, progress.n_steps // 10) == 0:
            memory.append(anonymous_mb())

    fitted = fit(net, examples, held_out, units, worn, settings, folder.with_name("run"), look)
    shutil.rmtree(folder.with_name("run"))
    drawn = fitted.steps * settings.batch * shape.n_tokens * shape.token
    say(f"| {len(recordings)} | {n_frames:,} | {drawn:,} | {memory[0]:.0f} MB | {memory[-1]:.0f} MB |")


def anonymous_mb() -> float:
    """Of this process, what is no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1e3


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory(prefix="bench-data-") as scratch:
        folder = Path(scratch)
        dataset = make_dataset(folder)
        print("| runs | processes | seconds | times real time | most memory |\n|---|---|---|---|---|")
        for n_runs, n_workers in ((1, 1), (1, 2), (N_RUNS, 1), (N_RUNS, 2)):
            out = folder / f"prepared-{n_runs}-{n_workers}"
            seconds, megabytes = prepare(dataset, n_runs, n_workers, out)
            speed = n_runs * N_SAMPLES / RATE_HZ / seconds
            print(f"| {n_runs} | {n_workers} | {seconds:.0f} | {speed:.0f} | {megabytes:.0f} MB |", flush=True)
        print(
            "\n| recordings | frames | drawn in an epoch | memory after a tenth | at the end |\n|---|---|---|---|---|",
            flush=True,
        )
        (one,) = (folder / "prepared-1-1").glob("sub-*")
        n_frames = len(np.load(one / "eeg.npy", mmap_mode="r"))
        for n_recordings in (1, -(-N_FRAMES // n_frames)):
            many = folder / f"many-{n_recordings}"
            for number in range(n_recordings):
                shutil.copytree(one, many / f"sub-{number:02d}_run-01", copy_function=os.link)
            process = multiprocessing.get_context("spawn").Process(target=one_epoch, args=(many, print))
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(f"training ended with {process.exitcode}")


if __name__ == "__main__":
    main()
