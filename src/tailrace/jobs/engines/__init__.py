"""What runs jobs: an engine is only transport and processes, the job row is the truth.

`contract` says what every engine promises. `local` runs jobs on this machine, beside the application; `celery` runs
them on any number of machines. Both feed the same supervisor, so that a job behaves alike under either.
"""
