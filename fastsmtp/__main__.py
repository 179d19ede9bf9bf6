"""`python -m fastsmtp` is the command `fastsmtp`."""

from fastsmtp.cli import main

if __name__ == "__main__":
    main(prog_name="fastsmtp")
