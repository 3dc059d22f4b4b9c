"""The tests: real parts over real sockets; a package only so that campaigns run as `python -m tests.faults.NAME`."""
