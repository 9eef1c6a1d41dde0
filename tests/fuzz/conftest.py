from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_UNHURRIED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile(
    "suite", max_examples=200, deadline=None, suppress_health_check=_UNHURRIED
)
settings.register_profile(
    "long", max_examples=100_000, deadline=None, suppress_health_check=_UNHURRIED
)


def pytest_collection_modifyitems(items):
    """Set the budget of these tests alone: others have settings of their own."""
    profile = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))
    for item in items:
        test = getattr(item, "function", None)
        if item.path.parent == item.config.rootpath / "tests" / "fuzz" and hasattr(
            test, "hypothesis"
        ):
            test._hypothesis_internal_use_settings = profile
