"""The device driver: one converter and its battery on serial lines, behind a Web API, with a dead-man of its own."""
