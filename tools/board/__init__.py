"""Boards: what each is, how its image is made and brought onto it, and what it says on its console."""
