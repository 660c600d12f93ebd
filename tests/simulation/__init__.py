"""A deterministic simulation: the real engine on several nodes, one store, virtual time, and faults by a seed."""
