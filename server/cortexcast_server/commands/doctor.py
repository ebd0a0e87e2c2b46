"""Check what streaming needs here: liblsl, its ports and multicast, clocks, and the model bundles."""

from __future__ import annotations

import argparse
import importlib.util
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pylsl
from pylsl.lib import lib

from cortexcast_models.bundle import BundleError, read_bundle, shipped_bundles
from cortexcast_server.inference import load
from cortexcast_server.lsl_config import config_file, quiet
from cortexcast_server.lsl_streams import resolve

_OK, _WARNING, _FAILURE = "ok", "warning", "FAILURE"
_LSL_PORTS = range(16572, 16604)
_PORTS_A_SESSION = 8
_MAX_CLOCK_ERROR_S = 1e-3

Finding = tuple[str, str]
"""A verdict and a line about it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("--port", type=int, default=8765, help="the port that the daemon will listen on (default 8765)")


def main(args: argparse.Namespace) -> int:
    """Print a line a finding; 1 if anything is broken."""
    quiet()
    checks: list[Callable[[], Iterator[Finding]]] = [
        _libraries,
        _configuration,
        _lsl_ports,
        lambda: _daemon_port(args.port),
        _loopback,
        _bundles,
    ]
    verdicts = []
    for check in checks:
        for verdict, line in check():
            print(f"{verdict:8} {line}", flush=True)
            verdicts.append(verdict)
    return 1 if _FAILURE in verdicts else 0


def _libraries() -> Iterator[Finding]:
    ours = Path(lib._name).resolve()
    version, protocol = pylsl.library_version(), pylsl.protocol_version()
    yield _OK, f"liblsl {version // 100}.{version % 100}, protocol {protocol / 100:.2f}, from {ours}"
    # Looked up, not imported: importing MNE-LSL would load its copy.
    spec = importlib.util.find_spec("mne_lsl")
    if spec is None or spec.origin is None:
        return
    chosen = os.environ.get("MNE_LSL_LIB") or os.environ.get("PYLSL_LIB")
    theirs = Path(chosen).resolve() if chosen else Path(spec.origin).parent / "lsl" / "lib"
    if theirs == ours:
        yield _OK, "MNE-LSL uses the same liblsl"
    else:
        yield (
            _WARNING,
            f"MNE-LSL brings a liblsl of its own ({theirs}): a process that imports both needs MNE_LSL_LIB={ours}",
        )


def _configuration() -> Iterator[Finding]:
    path = config_file()
    yield _OK, f"liblsl is configured by {path}" if path else "liblsl has no configuration file: its defaults hold"


def _lsl_ports() -> Iterator[Finding]:
    free = [port for port in _LSL_PORTS if _can_bind(port, socket.SOCK_STREAM) and _can_bind(port, socket.SOCK_DGRAM)]
    line = f"{len(free)} of LSL's {len(_LSL_PORTS)} ports from {_LSL_PORTS[0]} are free"
    if len(free) >= _PORTS_A_SESSION:
        yield _OK, line
    else:
        yield _WARNING, f"{line}: each outlet needs two; widen [ports] PortRange in lsl_api.cfg"


def _daemon_port(port: int) -> Iterator[Finding]:
    if _can_bind(port, socket.SOCK_STREAM):
        yield _OK, f"port {port} is free for the daemon"
    else:
        yield _WARNING, f"port {port} is in use: a daemon runs there, or choose another with --port"


def _can_bind(port: int, kind: int) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _loopback() -> Iterator[Finding]:
    source_id = f"cortexcast-doctor:{secrets.token_hex(4)}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo("doctor", "Test", 1, 100, pylsl.cf_float32, source_id))
    found = [info for info in resolve(look_s=2.0) if info.source_id() == source_id]
    if not found:
        yield (
            _FAILURE,
            "a stream of this machine is not found: multicast is blocked. Open UDP port 16571 in the firewall, or "
            "name the machines in [lab] KnownPeers of lsl_api.cfg (in a container: host network)",
        )
        return
    yield _OK, "multicast: a stream of this machine is found"
    inlet = pylsl.StreamInlet(found[0], recover=False)
    try:
        offset = inlet.time_correction(5.0)
        inlet.open_stream(5.0)
        outlet.push_sample([1.0])
        sample, _ = inlet.pull_sample(5.0)
    except (pylsl.util.TimeoutError, pylsl.util.LostError):
        sample, offset = None, float("nan")
    inlet.close_stream()
    if sample != [1.0]:
        yield _FAILURE, "a sample went out and did not come in: does a firewall block TCP and UDP ports 16572 to 16604?"
        return
    yield _OK, "a sample went out and came in"
    verdict = _OK if abs(offset) < _MAX_CLOCK_ERROR_S else _FAILURE
    yield verdict, f"clocks: LSL's correction for this machine's own stream is {1e3 * offset:+.3f} ms"


def _bundles() -> Iterator[Finding]:
    for name in shipped_bundles():
        try:
            bundle = read_bundle(name)
            load(bundle)
        except BundleError as error:
            yield _FAILURE, str(error)
        else:
            yield _OK, f"bundle {name} {bundle.manifest.version} computes its golden output"
