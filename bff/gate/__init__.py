"""Who may use the gateway, how much, and with which documents. A request is refused before any call to a service."""
