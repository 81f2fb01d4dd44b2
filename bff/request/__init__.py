"""A request to a variant, from its head to its response.

`pipeline.py` lists the steps, `gate_steps.py` and `operation_steps.py` have them, and `driver.py` runs them.
`exchange.py` is the HTTP request, `requested_operation.py` one operation in it, `response.py` the response. `http.py`
reads the request, `encoding.py` writes the response.
"""
