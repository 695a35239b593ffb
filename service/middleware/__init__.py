"""The ASGI middleware around every request, listed in order, outermost first.

None uses BaseHTTPMiddleware, which hides from the application that the client has disconnected, and buffers streams.
Each is a file of this folder and knows no route:

    tracing         a span per request, where traces are on
    request_log     request id, record (request_context), one log line, metrics
    hang_up         cancels the work when the client disconnects
    drain           refuses new work while the process is being stopped, ends what takes too long
    origin          names of the gateway, and no changes by other sites' pages
    body_bound      bytes of a body, by path
    authentication  API keys; attaches the caller (callers)
    sending         large responses in pieces, and the bound on their bytes
    rate_limits     requests, bytes and concurrent answers per caller
    uploads         time, rate and memory of bodies being received
    admission       slots for requests that ask for an answer, once their bodies are there
    plain_content_type  no parameter of a Content-Type but a form's boundary
"""
