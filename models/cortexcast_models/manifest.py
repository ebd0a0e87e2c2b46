"""The manifest: one strict JSON file that says what a bundle is, reads and gives.

Every model here is frozen and forbids unknown keys, so a misspelt key is an error and not a silent default.
Numbers are SI (V, T, T/m, m, s, Hz) unless a field's name carries its unit.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

Position = tuple[float, float, float]
"""Head coordinates in metres: x right, y to the front, z up (MNE's ``head`` frame)."""

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
"""A file of the bundle's own folder: a plain name that cannot lead out of it."""

BundleName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]

Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

Product = Literal["meg", "fmri", "stimulus"]

_UNITS = {"mag": "T", "grad": "T/m", "bold": "%", "embedding": "1", "label": "1"}
_TYPES = {"meg": ("mag", "grad"), "fmri": ("bold",), "stimulus": ("embedding", "label")}


class Strict(BaseModel):
    """A frozen record that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Electrode(Strict):
    """One EEG channel of the bundle's canonical montage."""

    name: str
    position: Position


class OutputChannel(Strict):
    """One channel that the bundle gives.

    ``location`` of a sensor is the coil's 12 numbers as FIFF has them (position in metres, then the three unit vectors
    of the coil's frame) in device coordinates; the position alone where the frame is unknown, empty where it has no
    place. That of a parcel, whose ``bold`` is a change in percent, is its centre in MNI coordinates, in metres. What is
    seen has none: dimensions of an ``embedding``, and how probable each ``label`` is.
    """

    name: str
    type: Literal["mag", "grad", "bold", "embedding", "label"]
    unit: Literal["T", "T/m", "%", "1"]
    location: tuple[float, ...] = ()
    coil_type: int | None = None

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.unit != _UNITS[self.type]:
            raise ValueError(f"channel {self.name!r} is a {self.type} in {self.unit}, must be in {_UNITS[self.type]}")
        if len(self.location) not in (0, 3, 12):
            raise ValueError(f"channel {self.name!r} has a location of {len(self.location)} numbers, not 0, 3 or 12")
        return self


class Resample(Strict):
    """Change of rate by a linear-phase polyphase filter.

    Up to ``passband_hz`` the signal passes unchanged; what would alias or image into that band is attenuated by
    ``stopband_db``. Streams too slow for the passband keep 80 % of their own Nyquist band.
    """

    kind: Literal["resample"]
    rate_hz: PositiveFloat
    passband_hz: PositiveFloat
    stopband_db: Annotated[float, Field(ge=20)] = 60.0


class Butterworth(Strict):
    """A causal Butterworth filter as second-order sections."""

    kind: Literal["highpass", "lowpass"]
    hz: PositiveFloat
    order: PositiveInt


class Notch(Strict):
    """A causal second-order notch."""

    kind: Literal["notch"]
    hz: PositiveFloat
    q: PositiveFloat


Filter = Annotated[Butterworth | Notch, Field(discriminator="kind")]


Absent = Literal["interpolated", "zero"]
"""What the model sees of electrodes that it knows and a headset lacks."""


class Preprocessing(Strict):
    """What happens to the EEG before the model sees it: resample, then filters in order, then re-reference."""

    resample: Resample
    filters: tuple[Filter, ...] = ()
    reference: Literal["average"] = "average"
    absent: Absent = "interpolated"

    @model_validator(mode="after")
    def _inside_nyquist(self) -> Self:
        nyquist = self.resample.rate_hz / 2
        edges = [self.resample.passband_hz, *(step.hz for step in self.filters)]
        if any(edge >= nyquist for edge in edges):
            raise ValueError(f"a filter edge of {max(edges)} Hz is not below the Nyquist rate of {nyquist} Hz")
        return self


class Tensor(Strict):
    """One input or output of the ONNX graph.

    Roles: ``eeg`` (the window, V), ``estimate`` (the outputs, in their units), ``std`` (standard deviation of the
    estimate, one value an output channel, same unit), ``novelty`` (how far the window is from the training data: above
    1, farther than 99 % of what subjects like those show), ``state`` (an output of this role feeds the input of the
    same ``state_of``; it is zero at the beginning, and after a gap in the EEG unless it ``survives_gaps``).

    Axes: ``channel, time`` of the window and of the estimate, ``channel`` of std, ``score`` of novelty, a ``batch`` of
    1 before them where the graph has one; those of a state are the model's own. An estimate of MEG has a hop's samples,
    any other one sample.
    """

    name: str
    role: Literal["eeg", "estimate", "std", "novelty", "state"]
    dtype: Literal["float32"] = "float32"
    shape: tuple[PositiveInt, ...]
    axes: tuple[str, ...]
    state_of: str | None = None
    survives_gaps: bool = False
    """Of a state: it is not of the last seconds, such as what is known of the wearer."""

    @model_validator(mode="after")
    def _one_axis_a_dimension(self) -> Self:
        if len(self.shape) != len(self.axes):
            raise ValueError(f"tensor {self.name!r} has {len(self.shape)} dimensions but {len(self.axes)} axes")
        if (self.role == "state") != (self.state_of is not None):
            raise ValueError(f"tensor {self.name!r}: exactly the tensors of role 'state' carry state_of")
        if self.survives_gaps and self.role != "state":
            raise ValueError(f"tensor {self.name!r} is no state, so it cannot survive gaps")
        return self


class Input(Tensor):
    """One input of the ONNX graph."""

    role: Literal["eeg", "state"]


class Output(Tensor):
    """One output of the ONNX graph."""

    role: Literal["estimate", "std", "novelty", "state"]


class Golden(Strict):
    """A recorded input and its output: the server replays it at load.

    ``file`` is an .npz with one array per graph input and output. An output passes when its greatest deviation is
    at most ``tolerance`` times the RMS of the recorded output.
    """

    file: str
    tolerance: PositiveFloat


class Metric(Strict):
    """One number of the model card, with the 95 % confidence interval and the command that printed it."""

    name: str
    value: float
    ci95: tuple[float, float] | None = None
    n: PositiveInt | None = None
    command: str


class Training(Strict):
    """What the model was fitted to. Absent where nothing was fitted."""

    data: tuple[str, ...]
    train_subjects: tuple[str, ...]
    held_out_subjects: tuple[str, ...]


class Manifest(Strict):
    """A bundle's manifest, version 1.

    ``window``, ``memory``, ``hop`` and ``lookahead`` count samples at ``preprocessing.resample.rate_hz``: each hop the
    model reads the last ``window`` samples and estimates what was ``lookahead`` samples before the newest: of MEG the
    ``hop`` samples that end there, of fMRI and stimulus that moment. ``memory`` is how far beyond the window those of
    its states reach that a gap ends.

    ``parcels_file``, of fMRI alone, is a NIfTI image in MNI space: at each voxel the number of its output channel, from
    one on, or zero.
    """

    manifest_version: Literal[1]
    name: BundleName
    version: Version
    description: str
    product: Product
    trained_on: Literal["physics", "simulated", "recorded"]
    files: dict[FileName, Sha256]
    model_file: str
    window: PositiveInt
    memory: Annotated[int, Field(ge=0)] = 0
    hop: PositiveInt
    lookahead: Annotated[int, Field(ge=0)] = 0
    montage: Annotated[tuple[Electrode, ...], Field(min_length=8)]
    preprocessing: Preprocessing
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    channels: Annotated[tuple[OutputChannel, ...], Field(min_length=1)]
    parcels_file: FileName | None = None
    golden: Golden
    metrics: tuple[Metric, ...] = ()
    training: Training | None = None
    built_by: str
    git_commit: str | None = None
    licence: str
    intended_use: str

    @property
    def rate_hz(self) -> float:
        """The rate of the model's input, in Hz."""
        return self.preprocessing.resample.rate_hz

    @property
    def n_estimates(self) -> int:
        """Samples that the model gives for each hop."""
        return self.hop if self.product == "meg" else 1

    @property
    def estimate_hz(self) -> float:
        """The rate of the model's output, in Hz."""
        return self.rate_hz * self.n_estimates / self.hop

    @model_validator(mode="after")
    def _files_are_listed(self) -> Self:
        for name in (self.model_file, self.golden.file, self.parcels_file):
            if name is not None and name not in self.files:
                raise ValueError(f"{name!r} has no sha256 under 'files'")
        if "manifest.json" in self.files:
            raise ValueError("'files' lists manifest.json, which cannot hold its own sha256")
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        lists: dict[str, list[str | None]] = {
            "montage": [electrode.name for electrode in self.montage],
            "channels": [channel.name for channel in self.channels],
            "tensors": [tensor.name for tensor in (*self.inputs, *self.outputs)],
            "states of the inputs": [tensor.state_of for tensor in self.inputs if tensor.role == "state"],
            "states of the outputs": [tensor.state_of for tensor in self.outputs if tensor.role == "state"],
        }
        for kind, names in lists.items():
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{kind}: {name!r} is there twice")
        return self

    @model_validator(mode="after")
    def _product_has_its_own(self) -> Self:
        types = _TYPES[self.product]
        for channel in self.channels:
            if channel.type not in types:
                raise ValueError(
                    f"channel {channel.name!r} is a {channel.type}, those of {self.product} are {' or '.join(types)}"
                )
        if (self.parcels_file is not None) != (self.product == "fmri"):
            raise ValueError("exactly a bundle of fmri has a parcels_file")
        return self

    @model_validator(mode="after")
    def _hops_fill_the_window(self) -> Self:
        if self.lookahead % self.hop:
            raise ValueError(f"lookahead {self.lookahead} is not a multiple of the hop {self.hop}")
        # What is given but once a hop may be older than the window: the model's state remembers.
        if self.product == "meg" and self.hop + self.lookahead > self.window:
            raise ValueError(f"hop {self.hop} + lookahead {self.lookahead} is more than the window {self.window}")
        return self

    @model_validator(mode="after")
    def _tensors_have_their_roles(self) -> Self:
        roles: list[str] = [tensor.role for tensor in (*self.inputs, *self.outputs)]
        for role in ("eeg", "estimate"):
            if roles.count(role) != 1:
                raise ValueError(f"needs exactly one tensor of role {role!r}, has {roles.count(role)}")
        for role in ("std", "novelty"):
            if roles.count(role) > 1:
                raise ValueError(f"needs at most one tensor of role {role!r}, has {roles.count(role)}")
        states = [{t.state_of: t.shape for t in side if t.role == "state"} for side in (self.inputs, self.outputs)]
        if states[0] != states[1]:
            raise ValueError("each state input needs a state output of the same state_of and shape, and the reverse")
        return self

    @model_validator(mode="after")
    def _tensors_have_their_shapes(self) -> Self:
        implied = {
            "eeg": (("channel", len(self.montage)), ("time", self.window)),
            "estimate": (("channel", len(self.channels)), ("time", self.n_estimates)),
            "std": (("channel", len(self.channels)),),
            "novelty": (("score", 1),),
        }
        for tensor in (*self.inputs, *self.outputs):
            if tensor.role == "state":
                continue
            found, expected = tuple(zip(tensor.axes, tensor.shape, strict=True)), implied[tensor.role]
            if found not in (expected, (("batch", 1), *expected)):
                raise ValueError(f"tensor {tensor.name!r} is {_words(found)}, the manifest implies {_words(expected)}")
        return self


def _words(axes: tuple[tuple[str, int], ...]) -> str:
    return " x ".join(f"{name} {size}" for name, size in axes)
