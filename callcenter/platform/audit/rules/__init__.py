"""Rules of the audit log: hash chain, signed checkpoints, verification."""
