"""What every route shares: dependencies, fields, limits, problem documents, middleware."""
