"""What the commands about models do, one file a command; `cli.models` has them as they are typed."""
