"""Routes: plain HTTP that is handed through to a service, under the same gate and the same policies as the graph.

Bodies are streamed both ways and never kept. An error is a problem document (RFC 9457), never a GraphQL response.
"""
