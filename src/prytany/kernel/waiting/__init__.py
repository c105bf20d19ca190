"""What a process waits for, down to the last cause: an edge a file, and the walk along them."""
