"""Suites that try to break the daemons: kills amid writes, damaged stores, hostile requests, hostile links.

The real programs, without a network: the dataplane's port is a null device, and no namespace or right is needed. What is random is by a
seed, which a failure shows. FAIRLEAD_LONG makes each suite go on for longer; FAIRLEAD_BREAKER_SEED repeats one.
"""
