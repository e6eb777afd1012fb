"""Rules of requests to state bodies."""
