"""Which moments of EEG and which voxels of BOLD matter to a trained autoencoder, and how sure that is."""
