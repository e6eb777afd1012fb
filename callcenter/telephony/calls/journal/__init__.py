"""Write-behind journal of call events, spooled on disk when late."""
