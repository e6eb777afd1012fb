"""People who sign in to the pages: who they are here, and what is changed about them."""
