"""What the tests drive the server with: a protocol client, a browser, a fleet of processes.

Nothing here imports the server: it is only ever seen through its command line, HTTP and WebSocket.
"""
