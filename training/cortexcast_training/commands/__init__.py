"""The verbs of ``cortexcast`` that training provides."""
