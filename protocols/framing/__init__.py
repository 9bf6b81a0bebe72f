"""Framings: wire bytes to packets and control frames, and back.  NAME.py is the reference, NAME.c its fast twin."""
