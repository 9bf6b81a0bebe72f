"""Signing in: who answers the gateway's questions, and where stored secrets come from."""
