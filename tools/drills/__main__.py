"""`python -m tools.drills`: see tools/drills/command.py."""

from tools.drills.command import command

if __name__ == "__main__":
    command(prog_name="python -m tools.drills")
