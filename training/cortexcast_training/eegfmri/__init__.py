"""EEG to fMRI: simulated recordings with known truth, preprocessing, models."""
