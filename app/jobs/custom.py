"""Your own job functions.

from app.jobs.registry import register_job

@register_job("my_custom_job")
def my_custom_job(job_id: str, job_metadata: dict = None):
    print(f"Running job {job_id} with metadata: {job_metadata}")
"""
