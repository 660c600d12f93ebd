"""Where functions run that a thread of the pool is not for: worker processes, and one loop for coroutines."""
