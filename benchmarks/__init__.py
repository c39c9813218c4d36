"""The benchmarks of `make bench`: this worker under limits, faults and load, compared with common alternatives.

`pace` measures rate limits and the peers, `latency` a server without limits, `cost` CPU and memory, `start` the start
of the process, `fairness` two jobs in one worker. Each returns rows with their limits; `results` writes and `plot`
draws them. Servers and clients run in separate processes (`processes`, `clients`). Leaves out the real services: every
server is the tests' loopback server, so the benchmarks cost nothing and need no network.
"""
