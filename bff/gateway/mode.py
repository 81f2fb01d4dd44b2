"""How the gateway is run."""

from typing import Literal

Mode = Literal["serve", "dev"]
"""`dev` turns on introspection, GraphiQL and the OpenAPI page where the settings don't say otherwise."""
