"""Offline: from recordings and physics to bundles."""
