"""The pages of administrators: health, jobs, mail, people, the log."""
