"""The parts of `cortexcast bench`: what is measured, between which processes, and what is made of the numbers."""
