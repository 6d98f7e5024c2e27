"""Who may come in: people, their sessions and API tokens, and the set-up of the first administrator."""
