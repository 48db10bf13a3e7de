"""`python -m office_ingest`: the same commands as `outstation office`."""

from office_ingest.cli import main

if __name__ == "__main__":
    main()
