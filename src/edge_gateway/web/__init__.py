"""Web parts that the gateway and the hub share: server, event stream, languages, templates, static files."""
