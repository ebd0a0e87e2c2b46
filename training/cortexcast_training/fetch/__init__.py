"""Public data sets, fetched into a folder: what is wanted of them, over which connection, and what is there."""
