"""From sockets to requests: host, HTTP/1.1 connections, supervisor, listening sockets, static files."""
