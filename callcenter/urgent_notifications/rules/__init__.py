"""Rules of urgent notifications of state bodies."""
