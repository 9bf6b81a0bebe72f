"""The whole client beside openconnect and beside a bare pump: what `python -m benchmarks.tunnel` runs."""
