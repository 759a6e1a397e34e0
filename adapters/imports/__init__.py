"""What credentials can be imported from, a file each."""
