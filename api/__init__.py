"""The door: the FastAPI application, request and response models, routes, the table of errors. No rules, no SQL."""
