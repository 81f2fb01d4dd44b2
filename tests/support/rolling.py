"""Clients that send requests through a proxy while the gateways behind it are replaced one by one."""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_READ = json.dumps({"query": "{ product(id: 1) { name } }"})
_READ_ANSWER = {"data": {"product": {"name": "Product 1"}}}
_WRITE = 'mutation { placeOrder(input: {items: [{productId: "%d", quantity: 1}]}) { order { id } userErrors { code } } }'


@dataclass(slots=True)
class Traffic:
    """The clients' requests and responses. `orders` has the id of each order that was placed according to a response."""

    url: str
    headers: dict[str, str]
    every_nth_writes: int = 4
    asked: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    orders: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, clients: int, while_it_runs: Callable[[], None]) -> None:
        """Run this many clients while `while_it_runs` runs."""
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        try:
            while_it_runs()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _client(self, number: int) -> None:
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
        headers = {"content-type": "application/json", **self.headers}
        turn = number
        while not self._stop.is_set():
            turn += 1
            writes = turn % self.every_nth_writes == 0
            body = json.dumps({"query": _WRITE % (turn % 500 + 1)}) if writes else _READ
            began = time.monotonic()
            order, fault = None, ""
            try:
                connection.request("POST", "/web/graphql", body, headers)
                response = connection.getresponse()
                text = response.read()
                if response.status != 200:
                    fault = f"status {response.status}"
                elif writes:
                    placed = json.loads(text)["data"]["placeOrder"]
                    order, fault = placed["order"]["id"], "" if not placed["userErrors"] else "userErrors"
                elif json.loads(text) != _READ_ANSWER:
                    fault = text.decode()[:200]
            except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError) as error:
                fault = type(error).__name__
                connection.close()
            with self._lock:
                self.asked += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                if order is not None:
                    self.orders.append(order)
                if fault:
                    self.failures[f"{'write' if writes else 'read'}: {fault}"] += 1
        connection.close()
