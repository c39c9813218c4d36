"""What `make bench` runs: this worker under limits, faults and load, beside what people would otherwise use.

`pace` holds the rate limits and the peers, `latency` a server without limits, `cost` CPU and memory, `start` the start
of the process, `fairness` two jobs in one worker; each returns rows with their bars, which `results` writes and `plot`
draws. Servers and clients run in processes of their own (`processes`, `clients`). Leaves out the real services: every
server is the tests' loopback server, so nothing here costs money or needs a network.
"""
