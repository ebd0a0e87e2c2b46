"""The simulated brain that models are trained on and that the demo shows: what its activity is, and one head of it."""

SIMULATED = "simulated by cortexcast"
"""How the description in the header of every file begins whose brain was never in a head."""
