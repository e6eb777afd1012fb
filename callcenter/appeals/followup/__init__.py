"""Follow-up of appeals: attachments, letters and reminders."""
