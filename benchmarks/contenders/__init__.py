"""Who is measured beside the service: each a program of its own, `python -m benchmarks.contenders.NAME PLAN FOLDER`.

They import nothing of the service, and run in the environment that benchmarks/requirements.txt describes.
"""
