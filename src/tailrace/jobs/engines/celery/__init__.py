"""The Celery engine: runs jobs on any number of machines. The job row is the truth, Celery only carries its id.

    application ──▶ database ◀── leader ──▶ broker ──▶ supervisor ──socket──▶ worker process × N
                       ▲         (one)                 (one a machine or more)
                       └───────── claim, heartbeat, end ──┘

The leader publishes available jobs, after their commit. A delivery lies on the `desk` until the supervisor has claimed
its job, if nobody has, and the job has ended; then it is acknowledged. Whatever the broker loses, repeats or withholds
changes nothing about the rows, and what is available is published again.
"""
