"""Writes docs/proof.md and its pictures from the figures of the last runs. Read in order: sources, rows, picture, page."""
