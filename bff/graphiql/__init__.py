"""The GraphiQL page, served whole by ourselves: no CDN, no font, no script from anywhere else.

`page.py` renders the page of a variant once at start-up, `examples.py` reads the operations it offers. Nothing here sees a
token: that stays between the browser and the graph.
"""
