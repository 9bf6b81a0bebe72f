"""`python -m vpnclient`, looking for F5's way back to DTLS every two seconds, not every minute."""

from protocols.f5 import way
from vpnclient.cli.main import run

way.EVERY = 2.0

if __name__ == "__main__":
    run()
