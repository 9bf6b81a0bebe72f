"""The application: command line, profiles, sign-in, session, host configuration and lab gateways."""

__version__ = "0.1.0"
