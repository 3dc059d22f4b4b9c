"""What people and programs on this machine see and ask: the local page, and the control socket."""
