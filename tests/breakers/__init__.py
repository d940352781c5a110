"""Suites that try to break the daemons: kills during writes, damaged stores, hostile requests, hostile links.

They run the real programs without a network. The dataplane's port is a null device, so the tests need no namespace and
no privileges. A failure prints the random seed. FAIRLEAD_BREAKER_SEED repeats a run; FAIRLEAD_LONG runs more rounds.
"""
