"""What is shared can't be had. By itself, so that whoever goes on without need not load the client of what is shared."""


class Away(Exception):
    """What several gateways share can't be asked for just now."""
