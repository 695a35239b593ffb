"""Everything on one machine: start, watch and stop Redis, OCR worker, engine and gateway, and explain in a terminal.

supervisor.py  start in order, wait until ready, restart what dies, stop in reverse order; knows no service
services.py    what the four services are: command line, environment, readiness
engine/        a model's manifest turned into an engine's command line
run_folder.py  logs and state of one run, and the lock that keeps two runs apart
terminal.py    what a person sees: progress, log tails, answers as they stream
cli.py         the `llava-graph` command: a table of subcommands, each loaded when it is called
commands.py    `llava-graph up`, `demo`, `engine`
"""
