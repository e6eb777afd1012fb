"""A caller of 111: menu, queue, voicemail, callback request, redirect."""
