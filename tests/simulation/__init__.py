"""Deterministic simulation of the controllers' cluster: real code, virtual time, seeded faults."""
