"""What can go wrong around a job.

Exception
└── JobError
    ├── UnknownJob        no such row
    ├── WrongState        the state machine does not allow this
    ├── BadArguments      the arguments do not fit the function, or are no JSON
    ├── DuplicateKind     two functions under one name
    ├── UnregisteredKind  declared, but no engine would run it
    ├── EngineRunning     another engine holds this database
    ├── BrokerUnavailable no message can be sent at the moment
    └── DoNotRetry        raised by a job: trying again is pointless
BaseException
└── JobStopped            ends a run from outside; a base exception, so that `except Exception` in a job lets it pass
    ├── JobCancelled      somebody asked for it
    ├── JobInterrupted    the engine shuts down; the job goes back and loses no attempt
    ├── TimeLimitExceeded
    ├── LeaseLost         the row now belongs to another run
    └── Snoozed           the job asked to run again later
"""


class JobError(Exception):
    """A job could not be handled."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.__doc__)


class UnknownJob(JobError):
    """There is no such job."""


class WrongState(JobError):
    """The job's state does not allow this."""


class BadArguments(JobError):
    """The arguments do not fit the job's function."""


class DuplicateKind(JobError):
    """Two functions are registered as the same kind of job."""


class UnregisteredKind(JobError):
    """A kind of job is declared, but no engine would run it."""


class EngineRunning(JobError):
    """Another engine runs the jobs of this database."""


class BrokerUnavailable(JobError):
    """The message broker does not answer."""


class DoNotRetry(JobError):
    """Raise it inside a job, with the reason, when another attempt could not succeed."""


class JobStopped(BaseException):
    """The run ends before the job's function returned."""


class JobCancelled(JobStopped):
    """The job was cancelled."""


class JobInterrupted(JobStopped):
    """The engine is shutting down."""


class TimeLimitExceeded(JobStopped):
    """The job ran for longer than its kind allows."""


class LeaseLost(JobStopped):
    """This run no longer owns the job: it was taken for dead, and another run has begun."""


class Snoozed(JobStopped):
    """The job wants to run again in `delay_s` seconds."""

    def __init__(self, delay_s: float) -> None:
        super().__init__(f"Snoozed for {delay_s:g} s.")
        self.delay_s = delay_s
