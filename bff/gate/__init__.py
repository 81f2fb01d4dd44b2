"""May it come in: who asks, and how much one may ask at once. Every refusal comes before any call to a service."""
