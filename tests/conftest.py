"""What every test runs with.

Hypothesis: a slow or busy machine fails no test, so no example has a deadline; a hang is pytest-timeout's affair.  All
else is as Hypothesis sets it, which is without randomness where it sees CI.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
