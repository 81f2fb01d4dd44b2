"""The benchmark: what a request costs the gateway, beside stacks that give the same answers."""
