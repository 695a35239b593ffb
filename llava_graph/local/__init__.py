"""Everything on one machine: start, watch and stop Redis, OCR worker, engine and gateway, and explain in a terminal.

leash.py       what each child runs first, so that none outlives us
supervisor.py  start in order, wait until ready, restart what dies, stop in reverse order; knows no service
services.py    what the four services are: command line, environment, readiness
engine/        a model's manifest turned into an engine's command line
run_folder.py  logs and state of one run, and the lock that keeps two runs apart
terminal.py    what a person sees: progress, log tails, answers as they stream
commands.py    `llava-graph up`, `demo`, `engine`, `explain`
"""
