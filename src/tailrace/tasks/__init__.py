"""Tasks: what people have to do, with labels, checklists, comments, and the record of every change."""
