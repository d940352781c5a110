"""The bench suite. `python3 -m bench.suite --help`; tools/bench.sh installs and builds first.

A part (micro, pipeline, wire, kernel, control, scale) is a module with `run(context)`, which yields Row objects. Things
that are compared are measured in turn (A B A B). A row keeps every sample, so that medians, ratios and spreads can be
computed again from the JSON.
"""
