"""The composition root: makes an ASGI application of an `App` and its settings. The only place that wires."""

from bff.gateway.cors import with_cors as with_cors
from bff.gateway.create import create as create
from bff.gateway.mode import Mode as Mode
