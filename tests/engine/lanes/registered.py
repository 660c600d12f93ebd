"""A registered function; only workers import this, so that the registry of the tests stays as it is."""

from registry import register_job


@register_job("lanes_test_function", isolation="process", final_errors=KeyError)
def fail_for_good(job_id: str) -> None:
    raise KeyError("gone")
