"""Executes GraphQL documents: prepares them, compiles their operations to plans, and runs the plans. Knows no REST."""
