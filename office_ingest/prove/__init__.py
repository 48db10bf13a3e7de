"""What can be shown to be so: replay and the auditor's walk."""
