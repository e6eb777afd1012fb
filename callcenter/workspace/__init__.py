"""A consultant's page: own state, own call, softphone."""
