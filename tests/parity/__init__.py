"""graphql-core's own execution tests, run with plans in the place of its executor."""
