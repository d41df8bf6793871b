"""The HTTP contract, without a framework: Request to Response, routes and OpenAPI from one table of operations."""
