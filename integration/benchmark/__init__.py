"""The parts of integration/bench.py: stacks, their load, processor time, the report."""
