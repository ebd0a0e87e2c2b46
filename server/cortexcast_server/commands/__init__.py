"""The verbs of `cortexcast` that the server provides, a module each."""
