"""The portal: public pages on which applicants write, in a process of their own."""
