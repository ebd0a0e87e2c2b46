"""The contract between training and server: manifest, bundle, causal preprocessing, montage."""
