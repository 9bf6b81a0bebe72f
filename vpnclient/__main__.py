"""`python -m vpnclient`."""

from vpnclient.cli.main import run

if __name__ == "__main__":
    run()
