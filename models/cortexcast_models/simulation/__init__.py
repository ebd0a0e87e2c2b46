"""The simulated brain that models are trained on and that the demo shows: what its activity is, and one head of it."""
