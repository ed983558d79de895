"""The page that people look at: now, events, patients, what went wrong, models, backlogs; no other host is ever called."""
