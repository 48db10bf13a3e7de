"""`python -m gateway`: the same commands as `outstation gateway`."""

from gateway.cli import main

if __name__ == "__main__":
    main()
