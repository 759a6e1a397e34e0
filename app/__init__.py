"""Services, the Litestar application, the command line, and the wiring."""
