"""What the gateway says of itself: metrics, access log. Listeners: never in the way of a request."""
