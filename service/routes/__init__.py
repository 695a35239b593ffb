"""The gateway's HTTP interface, a file per group of calls. Each makes a router from what is handed to it."""
