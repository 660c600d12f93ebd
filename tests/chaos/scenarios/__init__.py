"""What is done to a scene. Each scenario is short or long by its counts, and returns a verdict."""
