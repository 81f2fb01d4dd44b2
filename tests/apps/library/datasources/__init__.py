"""The library's services: their records and endpoints."""
