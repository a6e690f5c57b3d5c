"""`python -m doggo`."""

from doggo.apps.cli import main

if __name__ == "__main__":
    main()
