"""From runs and nets to a folder that says what matters: tables, maps, a page.

Of these names:

- ``work/<run>_<product>_<side>_<operator>/*.npy``: what each masking did, kept, so that nothing is done twice
- ``results.json``: what was found, and what was checked
- ``task-<film>_timestamps.tsv``, ``regions.tsv``: each unit; beside every table and map a ``.json`` says what it means
- ``task-<film>_model-<product>_desc-{timestamps,regions}_changes.tsv.gz``: which outputs each unit changes
- ``sub-<subject>/[ses-<session>/]sub-<subject>_..._{timestamps,regions}.tsv``: evidence in one run
- ``maps/space-MNI152_desc-regions_dseg.nii.gz``: the number of each unit, and one
- ``maps/space-MNI152_model-<product>_stat-<what>_statmap.nii.gz``, ``report.html``, ``summary.txt``
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Image
from nilearn.image import coord_transform
from numpy.typing import NDArray
from pydantic import ValidationError

from cortexcast_models.bundle import Bundle
from cortexcast_training.eegfmri.eegfmri_preprocessing import RUNS, preprocessed_runs
from cortexcast_training.eegfmri.parcels import parcel_image, parcels
from cortexcast_training.eegfmri.run_file import read_runs
from cortexcast_training.eegfmri.trained_vae import Product
from cortexcast_training.masking.context import Context, context
from cortexcast_training.masking.explain import (
    Explainer,
    ExplainError,
    ExplainSettings,
    Resolution,
    Say,
    Source,
    of_parcels,
)
from cortexcast_training.masking.net import MaskedNet, of_bundle
from cortexcast_training.masking.report import summary, write_report
from cortexcast_training.masking.results import Results, Side, sides
from cortexcast_training.masking.tables import (
    meaning,
    write_changes,
    write_map,
    write_regions,
    write_run,
    write_timestamps,
)
from cortexcast_training.masking.voxels import of_voxels, voxel_image
from cortexcast_training.simulated_dataset import DESCRIPTION, description, write_json

RESULTS, REPORT, SUMMARY = "results.json", "report.html", "summary.txt"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Explained:
    """What came of it.

    Attributes:
        results: in numbers.
        lines: that say it.
        films: timestamps of each.
        brain: parcels or voxels.
    """

    results: Results
    lines: list[str]
    films: dict[str, Side]
    brain: Side


@dataclass(frozen=True)
class Masked:
    """What is masked.

    Attributes:
        sources: a run each.
        image: the number of each unit of the brain, from one on.
        resolution: of these units.
    """

    sources: list[Source]
    image: Nifti1Image
    resolution: Resolution


def masked_runs(folder: Path, resolution: Resolution) -> Masked:
    """The runs of a folder of `cortexcast data prepare`; of parcels any folder of ``*.run.npz`` will do.

    Raises:
        RunError: there are none, or one cannot be read.
        ExplainError: voxels are asked for, and there are none.
    """
    if resolution == "parcel":
        runs = read_runs(folder / RUNS if (folder / RUNS).is_dir() else folder)
        return Masked([of_parcels(run) for run in runs], parcel_image(), resolution)
    preprocessed = preprocessed_runs(folder)
    if not preprocessed:
        raise ExplainError(f"{folder} has no volumes: voxels need a folder of `cortexcast data prepare`")
    image = voxel_image(preprocessed)
    return Masked([of_voxels(run, image, folder) for run in preprocessed], image, resolution)


def explain(
    masked: Masked,
    nets: Mapping[Product, MaskedNet],
    models: Mapping[Product, str],
    settings: ExplainSettings,
    out: Path,
    command: str,
    say: Say = lambda _what, _done, _of: None,
) -> Explained:
    """Mask everything, and write what comes of it; what was done already is not done again.

    Args:
        masked: runs.
        nets: by product.
        models: what they are called.
        settings: how.
        out: the folder.
        command: that leads here.
        say: hears how far it is.

    Raises:
        ExplainError, RunError: runs and nets do not go together, or the folder is of others.
    """
    runs = [source.run for source in masked.sources]
    _claim(
        out,
        [
            *(f"{name}: {model}" for name, model in models.items()),
            f"cortexcast {version('cortexcast')}",
            *(f"{source.run.name} {_content(source)}" for source in masked.sources),
            masked.resolution,
            # What only judges may change without masking all anew.
            settings.model_dump_json(exclude={"level", "span_s"}),
        ],
    )
    explainer = Explainer(masked.sources, nets, settings, out / "work")
    explainer.mask(say)
    *of_films, brain = sides(explainer, say)
    films: dict[str, tuple[Side, Context]] = {}
    for side in of_films:
        assert side.film is not None
        films[side.film] = side, context(side, [run for run in runs if run.film == side.film])
    results = Results(
        data="simulated" if any(run.simulated for run in runs) else "recorded",
        models=dict(models),
        runs=tuple(run.name for run in runs),
        level=settings.level,
        resolution=masked.resolution,
        checked=tuple(
            each.checked for side in (*(side for side, _ in films.values()), brain) for each in side.maps.values()
        ),
        timestamps_in_both=sum(int(side.in_both.sum()) for side, _ in films.values()) if len(nets) > 1 else None,
        regions_in_both=int(brain.in_both.sum()) if len(nets) > 1 else None,
        volumes={film: min(explainer.n_volumes(film, product) for product in nets) for film in films},
        turns={film: min(len(explainer.turns(film, product).volumes) for product in nets) for film in films},
        settings=settings.model_dump_json(),
        command=command,
    )
    lines = summary(results, films, brain)
    _write(out, explainer, masked, films, brain, results, lines)
    return Explained(results, lines, {film: side for film, (side, _) in films.items()}, brain)


def read_summary(out: Path) -> str:
    """What was found, as it was printed then.

    Raises:
        ExplainError: there is nothing.
    """
    try:
        Results.model_validate_json((out / RESULTS).read_bytes())
        return (out / SUMMARY).read_text(encoding="utf-8")
    except (OSError, ValidationError):
        raise ExplainError(f"{out} holds no results: explain something into it first") from None


def nets_of(bundles: Sequence[Bundle]) -> tuple[dict[Product, MaskedNet], dict[Product, str]]:
    """The nets of bundles by product, and what they are called.

    Raises:
        ExplainError: two are of one product.
        BundleError: one cannot be masked.
    """
    nets: dict[Product, MaskedNet] = {}
    names: dict[Product, str] = {}
    for bundle in bundles:
        net, manifest = of_bundle(bundle), bundle.manifest
        product: Product = "stimulus" if net.knows_stimulus else "fmri"
        if product in nets:
            raise ExplainError(
                f"{names[product]} and {manifest.name} are both of {product}: give one of fMRI and one of the stimulus"
            )
        nets[product] = net
        names[product] = f"{manifest.name} {manifest.version} ({bundle.digest[:16]})"
    return nets, names


def _content(source: Source) -> str:
    """Of a run, and of what is masked of it: another preprocessing under the same name is another run."""
    run, digest = source.run, hashlib.sha256()
    seen = () if run.stimulus is None else (run.stimulus.embedding,)
    digest.update(repr(run.late_s).encode())
    for array in (run.power, run.bold, run.hops, source.parcel, source.share, source.courses, *seen):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _claim(out: Path, given: Sequence[str]) -> None:
    """Say in the folder what its work is of, so that nothing else is taken up there."""
    path, said = out / "work" / "of.txt", "\n".join(given) + "\n"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(said, encoding="utf-8")
        fresh.replace(path)
    elif path.read_text(encoding="utf-8") != said:
        raise ExplainError(f"{out} is of other runs, models or settings, see {path}: give another folder")


def _write(
    out: Path,
    explainer: Explainer,
    masked: Masked,
    films: Mapping[str, tuple[Side, Context]],
    brain: Side,
    results: Results,
    lines: Sequence[str],
) -> None:
    title = f"which moments of EEG and which parts of the brain matter, {results.data}"
    write_json(out / DESCRIPTION, description(title, "derivative", "cortexcast explain"))
    for film, (side, known) in films.items():
        write_timestamps(out / f"task-{film}_timestamps.tsv", side, known)
        write_changes(out, explainer, film, side, brain)
    for each in masked.sources:
        write_run(out, each, films[each.run.film][0])
        write_run(out, each, brain)
    source = masked.sources[0]
    at = np.searchsorted(source.units, brain.units)
    parcel = source.parcel[at]
    write_regions(out / "regions.tsv", brain, parcel, _places(masked, brain))
    maps = out / "maps"
    maps.mkdir(exist_ok=True)
    nibabel.save(masked.image, maps / "space-MNI152_desc-regions_dseg.nii.gz")
    images: dict[str, Nifti1Image] = {}
    for product, of_product in brain.maps.items():
        is_found, z = of_product.found.astype(np.float64), of_product.z
        for what, values in {"evidence": z, "found": is_found, "change": of_product.change}.items():
            write_map(_map_path(maps, product, what), masked.image, brain.units, values, meaning(what))
        path = _map_path(maps, product, "foundevidence")
        write_map(path, masked.image, brain.units, z * is_found, f"{meaning('evidence')}; zero where it was not found")
        images[product] = nibabel.load(path)
    runs = [each.run for each in masked.sources]
    write_report(out / REPORT, results, lines, films, runs, brain, parcel, images)
    (out / SUMMARY).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (out / RESULTS).write_text(results.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _map_path(maps: Path, product: Product, what: str) -> Path:
    return maps / f"space-MNI152_model-{product}_stat-{what}_statmap.nii.gz"


def _places(masked: Masked, brain: Side) -> Floats:
    """MNI coordinates of units, in mm."""
    if masked.resolution == "parcel":
        return parcels().centres[brain.units]
    voxels = np.argwhere(np.asarray(masked.image.dataobj) > 0)[brain.units]
    return np.stack(coord_transform(*voxels.T, masked.image.affine), axis=1)
