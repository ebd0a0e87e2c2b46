"""clients/examples/decode_frame.c, compiled and run: it reads what the codec reads, and nothing else does it harm."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from client.golden import GOLDEN, golden_frames
from hypothesis import example, given, settings
from hypothesis import strategies as st
from needed import needed_command

from cortexcast_client.wire import HEADER, Flags, WireError, decode, encode

SOURCE = Path(__file__).parents[2] / "clients" / "examples" / "decode_frame.c"
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ENVIRONMENT = os.environ | {"ASAN_OPTIONS": "exitcode=99", "UBSAN_OPTIONS": "exitcode=99"}
ANY_PRODUCT = dict.fromkeys(range(2**16), ("session", "meg"))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = needed_command("cc", "gcc")
    built = tmp_path_factory.mktemp("c") / "decode_frame"
    done = subprocess.run(
        [compiler, *WARNINGS, *SANITIZERS, "-o", built, SOURCE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return built


def run(program: Path, *files: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([program, *files], input=stdin, capture_output=True, env=ENVIRONMENT, check=False, timeout=60)


def fields_of(printed: bytes) -> dict[str, list[list[str]]]:
    """Each line's words by its first one."""
    fields: dict[str, list[list[str]]] = {}
    for line in printed.decode().splitlines():
        name, *words = line.split()
        fields.setdefault(name, []).append(words)
    return fields


def floats(rows: Any) -> Any:
    return np.array(rows, np.float32)


@pytest.mark.parametrize("name", golden_frames())
def test_it_prints_what_the_golden_files_hold(program: Path, name: str) -> None:
    expected = json.loads((GOLDEN / f"frame-{name}.json").read_text())
    frame = expected["frame"]
    done = run(program, GOLDEN / f"frame-{name}.bin")
    assert (done.returncode, done.stderr) == (0, b"")
    printed = fields_of(done.stdout)
    assert printed["product_index"] == [[str(expected["product_index"])]]
    assert printed["flags"] == [frame["flags"]]
    for field in ("sequence", "first_sample", "dropped"):
        assert printed[field] == [[str(frame[field])]]
    assert [float(number) for (number,) in printed["t0"]] == [frame["t0"]]
    np.testing.assert_array_equal(floats(printed["data"]), floats(frame["data"]))
    if frame["std"] is None:
        assert "std" not in printed
    else:
        np.testing.assert_array_equal(floats(printed["std"]), floats([frame["std"]]))
    assert run(program, stdin=(GOLDEN / f"frame-{name}.bin").read_bytes()).stdout == done.stdout


def test_it_knows_every_flag(program: Path) -> None:
    _, frame = golden_frames()["eeg"]
    message = bytearray(encode(frame, 0) + bytes(4 * len(frame.data)))
    message[4:8] = (2 ** len(Flags) - 1).to_bytes(4, "little")
    printed = fields_of(run(program, stdin=bytes(message)).stdout)
    assert printed["flags"] == [[flag.name for flag in Flags]]


def check(program: Path, messages: Sequence[bytes]) -> None:
    """It prints those that the codec reads, says in a line what is wrong with each other one, and never crashes."""
    readable = [is_frame(message) for message in messages]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(number)) for number in range(len(messages))]
        for file, message in zip(files, messages, strict=True):
            file.write_bytes(message)
        done = run(program, *files)
    complaints = done.stderr.decode().splitlines()
    assert done.returncode == (0 if all(readable) else 1), done.stderr
    wrong = [file for file, is_readable in zip(files, readable, strict=True) if not is_readable]
    assert len(complaints) == len(wrong)
    for complaint, file in zip(complaints, wrong, strict=True):
        assert complaint.startswith(f"decode_frame: {file} ")
    assert len(fields_of(done.stdout).get("sequence", [])) == sum(readable)


def is_frame(message: bytes) -> bool:
    try:
        decode(message, ANY_PRODUCT)
    except WireError:
        return False
    return True


def test_no_truncated_frame_is_taken_for_one(program: Path) -> None:
    whole = [encode(frame, index) for index, frame in golden_frames().values()]
    truncated = [message[:end] for message in whole for end in range(len(message))]
    assert not any(map(is_frame, truncated))
    check(program, truncated)


headers = st.builds(
    HEADER.pack,
    st.sampled_from([1, 1, 1, 0, 255]),
    st.sampled_from([1, 1, 1, 2]),
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.floats(),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 3) | st.integers(0, 2**16 - 1),
    st.integers(0, 3) | st.integers(0, 2**16 - 1),
)
payloads = st.integers(0, 12).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))


@settings(max_examples=20)
@given(st.lists(st.binary(max_size=100) | st.tuples(headers, payloads).map(b"".join), min_size=20, max_size=60))
@example([HEADER.pack(1, 1, 0, flags, 0, 0.0, 0, 0, 2**16 - 1, 2**16 - 1) for flags in (0, Flags.STD)])
@example([HEADER.pack(1, 1, 0, flags, 0, 0.0, 0, 0, 0, 2**16 - 1) for flags in (0, Flags.STD)])
def test_any_bytes_are_a_frame_or_an_error_in_a_line(program: Path, messages: list[bytes]) -> None:
    check(program, messages)


def test_a_file_that_cannot_be_read_is_an_error_in_a_line(program: Path, tmp_path: Path) -> None:
    done = run(program, tmp_path / "none.bin", GOLDEN / "frame-eeg.bin", tmp_path)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        f"decode_frame: {tmp_path / 'none.bin'} cannot be read",
        f"decode_frame: {tmp_path} cannot be read",
    ]
    assert b"sequence 0\n" in done.stdout


def test_it_is_short() -> None:
    assert len(SOURCE.read_text().splitlines()) < 60
