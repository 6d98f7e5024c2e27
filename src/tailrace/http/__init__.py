"""What every route shares: the session dependency, problem documents, paging, middleware."""
