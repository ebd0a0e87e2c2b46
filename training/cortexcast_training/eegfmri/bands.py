"""The rhythms of EEG, by their conventional bands."""

BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "low alpha": (8.0, 10.0),
    "high alpha": (10.0, 13.0),
    "low beta": (13.0, 18.0),
    "mid beta": (18.0, 24.0),
    "high beta": (24.0, 30.0),
    "gamma": (30.0, 45.0),
}
"""From and to, in Hz. Above, what a scanner leaves of EEG is its own."""
