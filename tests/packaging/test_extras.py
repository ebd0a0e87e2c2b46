"""The wheel, installed alone and with each extra in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest
from environments import ROOT, Environment, needed, new_environment
from needed import needed_command

from cortexcast_models.bundle import shipped_bundles

pytestmark = pytest.mark.timeout(300)  # installs some hundred megabytes

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = [Path(package) for package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
VERBS = PROJECT["project"]["entry-points"]["cortexcast.commands"]


@dataclass(frozen=True)
class Extra:
    """What works with an extra.

    Attributes:
        packages: those of ours of which every module must import.
        absent: others' modules that it must not bring.
        without: modules of ours that need another extra.
    """

    packages: tuple[str, ...]
    absent: tuple[str, ...]
    without: tuple[str, ...] = ()


NEEDS_MNE = ("cortexcast_client.mne_raw",)
EXTRAS = {
    "": Extra(
        ("cortexcast_client",), ("scipy", "pydantic", "mne", "fastapi", "onnxruntime", "pylsl", "torch"), NEEDS_MNE
    ),
    "client": Extra(("cortexcast_client",), ("pydantic", "fastapi", "onnxruntime", "pylsl", "torch")),
    "models": Extra(
        ("cortexcast_client", "cortexcast_models"),
        ("mne", "fastapi", "onnx", "onnxruntime", "pylsl", "torch"),
        NEEDS_MNE,
    ),
    "server": Extra(
        ("cortexcast_client", "cortexcast_models", "cortexcast_server"),
        ("nilearn", "onnx", "torch", "mne_lsl", "httpx", "pytest"),
    ),
    "training": Extra(
        ("cortexcast_client", "cortexcast_models", "cortexcast_training"),
        ("fastapi", "uvicorn", "pylsl", "mne_lsl", "pytest"),
    ),
}

IMPORT_ALL = """
import importlib, pkgutil
for name in {packages}:
    package = importlib.import_module(name)
    print(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__") and module.name not in {without}:
            importlib.import_module(module.name)
            print(module.name)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", str(directory), str(ROOT)]
    subprocess.run(pip, check=True, capture_output=True)
    (path,) = directory.iterdir()
    return path


@pytest.fixture(scope="module", params=EXTRAS, ids=lambda extra: extra or "base")
def extra(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def environment(extra: str, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What an extra brings: installed where that is quick, else as the metadata say; the image's test installs one."""
    environment = new_environment(tmp_path_factory.mktemp("environment"))
    if extra:
        environment.link(needed(wheel, extra))
        environment.install("--no-deps", str(wheel))
    else:
        environment.install(str(wheel))
    return environment


def is_of_npm(path: Path) -> bool:
    """What brings, checks and formats the dashboard's code lies beside it, and is of no use where that is installed."""
    return path.parent.name == "cortexcast_web" and path.suffix != ".py" and path.name != "py.typed"


def test_the_wheel_holds_niivue_and_its_licences(wheel: Path) -> None:
    needed_command("npm", "npm")
    with ZipFile(wheel) as archive:
        assert archive.getinfo("cortexcast_web/site/vendor/niivue.js").file_size > 1_000_000
        assert b"BSD-2-Clause" in archive.read("cortexcast_web/site/vendor/LICENCES.txt")


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        path.relative_to((ROOT / package).parent).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and not {"__pycache__", "node_modules"} & set(path.parts) and not is_of_npm(path)
    }
    assert held == files
    assert {f"{package.name}/py.typed" for package in PACKAGES} <= held


def test_every_module_imports_with_its_extra_alone(environment: Environment, extra: str) -> None:
    packages = EXTRAS[extra].packages
    imported = environment.python(IMPORT_ALL.format(packages=packages, without=EXTRAS[extra].without)).split()
    assert set(packages) <= set(imported)


def test_an_extra_brings_nothing_that_it_does_not_need(environment: Environment, extra: str) -> None:
    find = f"from importlib.util import find_spec; print(*[n for n in {EXTRAS[extra].absent} if find_spec(n)])"
    assert environment.python(find).split() == []


def test_the_command_knows_its_version_and_every_verb(environment: Environment, wheel: Path) -> None:
    assert environment.run("cortexcast", "--version").stdout.split() == wheel.name.split("-")[:2]
    completed = environment.run("cortexcast", "--help")
    assert completed.returncode == 0
    assert "(not installed)" not in completed.stdout
    assert set(VERBS) <= set(completed.stdout.split())


@pytest.mark.parametrize("extra", ["models"], indirect=True)
def test_the_shipped_bundles_arrive_whole(environment: Environment) -> None:
    read = "from cortexcast_models.bundle import *; print(*[n for n in shipped_bundles() if read_bundle(n)])"
    assert environment.python(read).split() == shipped_bundles() != []


@pytest.mark.parametrize("extra", [""], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "needs"), [(["serve", "--idle"], "server"), (["record", "--out", "a_raw.fif"], "client")]
)
def test_a_verb_without_its_extra_says_in_one_line_what_to_install(
    environment: Environment, arguments: list[str], needs: str
) -> None:
    completed = environment.run("cortexcast", *arguments)
    assert (completed.returncode, completed.stdout) == (2, "")
    wanted = f"cortexcast {arguments[0]} needs the {needs} extra: pip install 'cortexcast[{needs}]'"
    assert completed.stderr.startswith(wanted)
    assert completed.stderr.count("\n") == 1
