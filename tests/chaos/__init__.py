"""Callers in all stages, faults injected one after the other, and then the CEL log."""
