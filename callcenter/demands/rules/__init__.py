"""Rules of demands: states, deadlines, authorities, matching, manifest."""
