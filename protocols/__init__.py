"""VPN protocols: sign-in, tunnel set-up, framings and controllers.  Knows no operating system, terminal or route."""
