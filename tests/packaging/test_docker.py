"""The image's own steps, read from the Dockerfile and run in a directory that stands for the image's root.

What needs a container engine or root stays out: the base image, ``useradd`` and ``COPY --from``, whose files are there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from string import Template

import pytest
from environments import ROOT, Environment, new_environment

from cortexcast_server.settings import Settings

pytestmark = pytest.mark.timeout(300)  # installs some hundred megabytes

DOCKER = ROOT / "docker"
LINE_S = 30.0
Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """The Dockerfile's instructions, name and value, by stage; each stage begins with its FROM."""
    text = re.sub(r"^\s*#.*\n", "", (DOCKER / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", "")
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        name, _, value = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append((name, value))
    return found


class Image:
    """Runs a stage's instructions in ``root``. ``variables`` is what ARG and ENV have set."""

    def __init__(self, root: Path, base: Environment) -> None:
        self.root = root
        self.base = base
        self.variables: dict[str, str] = {}
        self.directory = root

    def inside(self, path: str) -> str:
        """Where an absolute path of the image lies."""
        return f"{self.root}{path}" if path.startswith("/") else path

    def expand(self, value: str) -> str:
        return Template(value).substitute({"PATH": self.base.environ["PATH"], **self.variables})

    def carry_out(self, name: str, value: str) -> None:
        match name:
            case "ARG":
                name, _, default = value.partition("=")
                self.variables[name] = self.inside(default)
            case "ENV":
                name, _, default = value.partition("=")
                self.variables[name] = self.expand(default)
            case "WORKDIR":
                self.directory = Path(self.inside(value))
                self.directory.mkdir(parents=True, exist_ok=True)
            case "COPY":
                *sources, target = map(self.inside, shlex.split(value))
                self._copy(sources, target)
            case "RUN":
                # Bytecode is made where it is used: of all that is installed it takes half a minute.
                environment = replace(self.base, variables={**self.variables, "PIP_COMPILE": "0"})
                subprocess.run(["/bin/sh", "-c", value], env=environment.environ, cwd=self.directory, check=True)
            case "FROM" | "USER" | "EXPOSE" | "HEALTHCHECK" | "ENTRYPOINT" | "CMD":
                pass
            case _:
                raise AssertionError(f"this test cannot carry out {name}")

    def _copy(self, sources: list[str], target: str) -> None:
        for source in sources:
            path = self.directory / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, path, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                path = path / source if target.endswith("/") else path
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, path)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image's files and variables, made by the Dockerfile's own steps."""
    base = new_environment(tmp_path_factory.mktemp("python"), with_pip=True)
    root = tmp_path_factory.mktemp("root")
    build, final = stages()
    builder, image = Image(root, base), Image(root, base)
    for name, value in build:
        builder.carry_out(name, value)
    for name, value in final:
        if name != "RUN" and not value.startswith("--from"):
            image.carry_out(name, value)
    return image


def command(image: Image, *instructions: str) -> list[str]:
    """The final stage's command lines in their exec form, one behind the other."""
    values = dict(stages()[-1])
    lists = [json.loads(values[name][values[name].index("[") :]) for name in instructions]
    return [image.inside(argument) for arguments in lists for argument in arguments]


@pytest.fixture
def daemon(image: Image) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The image's command with no stream and on a free port, and the environment that its health check has."""
    environ = replace(image.base, variables=image.variables).environ
    arguments = [*command(image, "ENTRYPOINT", "CMD"), "--idle"]
    process = subprocess.Popen(
        arguments, env={**environ, "CORTEXCAST_PORT": "0"}, cwd=image.directory, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        address = re.search(r"ws://0\.0\.0\.0:(\d+)/ws", line)
        assert address is not None, line
        yield process, {**environ, "CORTEXCAST_PORT": address.group(1)}
    finally:
        process.kill()
        process.communicate()


def test_the_health_check_tells_a_running_daemon_from_a_stopped_one(
    image: Image, daemon: tuple[subprocess.Popen[str], dict[str, str]]
) -> None:
    process, environ = daemon
    check = command(image, "HEALTHCHECK")
    assert subprocess.run(check, env=environ, check=False).returncode == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(LINE_S) == 0
    stopped = subprocess.run(check, env=environ, check=False, capture_output=True, text=True)
    assert stopped.returncode == 1
    assert stopped.stderr.startswith("no daemon answers at 0.0.0.0:")


def test_the_daemon_runs_from_the_image_and_not_from_the_source(image: Image) -> None:
    find = "import cortexcast_server, sys; print(sys.prefix, cortexcast_server.__file__)"
    prefix, file = Environment(Path(image.variables["PREFIX"])).python(find).split()
    assert prefix == image.variables["PREFIX"]
    assert Path(file).is_relative_to(prefix)


def test_the_build_context_holds_what_is_copied() -> None:
    kept = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    copies = [shlex.split(value) for stage in stages() for name, value in stage if name == "COPY"]
    sources = [source for *sources, _ in copies for source in sources if not sources[0].startswith("--from")]
    assert sorted(line.removeprefix("!") for line in kept if line.startswith("!")) == sorted(sources)


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml"])
def test_every_variable_is_a_setting(file: str) -> None:
    settings = set(re.findall(r"\bCORTEXCAST_([A-Z_]+)\b", (DOCKER / file).read_text()))
    assert settings
    assert {name.lower() for name in settings} <= set(Settings.model_fields)


def test_compose_gives_the_daemon_the_hosts_network_and_the_lsl_configuration() -> None:
    text = (DOCKER / "compose.yaml").read_text()
    keys = dict(re.findall(r"^ +(?:- )?(\w+): (.+)$", text, flags=re.MULTILINE))
    assert keys["network_mode"] == "host"
    assert keys["LSLAPICFG"] == keys["target"]
    assert (DOCKER / keys["context"] / keys["dockerfile"]).samefile(DOCKER / "Dockerfile")
    assert "HEALTHCHECK" in dict(stages()[-1])
    assert "healthcheck" not in keys


NO_MULTICAST = """
[multicast]
ResolveScope = machine
MachineAddresses = {}
LinkAddresses = {}
SiteAddresses = {}
OrganizationAddresses = {}
GlobalAddresses = {}
"""
OUTLET = """
import pylsl, sys
outlet = pylsl.StreamOutlet(pylsl.StreamInfo("cap", "EEG", 1, 100, "float32", "cap"))
print("up", flush=True)
sys.stdin.read()
"""
LOOK = "import pylsl; print(*[info.name() for info in pylsl.resolve_bypred(\"name='cap'\", 1, {wait_s})])"


def lsl_config(*hosts: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **variables}
    return subprocess.run(
        [DOCKER / "make-lsl-config", *hosts], env=environ, check=False, capture_output=True, text=True
    )


def test_streams_of_the_hosts_named_are_found_where_multicast_is_not(tmp_path: Path) -> None:
    session = f"test-{tmp_path.parent.name}-{os.getpid()}"

    def config(name: str, text: str) -> dict[str, str]:
        path = tmp_path / name
        path.write_text(text + NO_MULTICAST)
        return {**os.environ, "LSLAPICFG": str(path)}

    def look(environ: dict[str, str], wait_s: float) -> str:
        found = subprocess.run(
            [sys.executable, "-c", LOOK.format(wait_s=wait_s)],
            env=environ,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return found.stdout.strip()

    alone = config("alone.cfg", f"[lab]\nSessionID = {session}\n")
    with subprocess.Popen(
        [sys.executable, "-c", OUTLET], env=alone, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as peer:
        assert peer.stdout is not None
        assert peer.stdout.readline() == b"up\n"
        named = lsl_config("localhost", "127.0.0.1", LSL_SESSION_ID=session)
        assert look(config("named.cfg", named.stdout), LINE_S) == "cap"
        assert look(alone, 1.0) == ""
        peer.communicate()


@pytest.mark.parametrize("hosts", [(), ("a, b",), ("",), ("--help",), ("x}",)])
def test_a_host_that_cannot_be_one_is_refused_in_one_line(hosts: tuple[str, ...]) -> None:
    refused = lsl_config(*hosts)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("make-lsl-config: ")
    assert refused.stderr.count("\n") == 1
