"""Scripts that run on the board: each does N operations between two readings of a clock that counts instructions."""
