"""Rules of the directory of state bodies."""
