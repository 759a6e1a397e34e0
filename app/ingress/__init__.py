"""What is asked of every request before anyone looks who sends it: its source, its form, the page it comes from."""
