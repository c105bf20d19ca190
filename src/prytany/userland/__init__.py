"""libc for agent authors: `Process`, `@agent`. It sees `abi` only, and runs inside a worker."""
