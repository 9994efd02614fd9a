"""Judging untrusted bytes in a child process that can do nothing else.

`ForkServer` runs one fresh, confined child per `Job` and answers with an `Outcome`; `self_test` proves on this very
machine that escape fails and says what the machine lacks. Nothing here knows of queues, databases or HTTP.
"""

from jiebang.sandbox.forkserver import ForkServer, SandboxUnavailable
from jiebang.sandbox.outcome import Job, Outcome, OutcomeStatus, read_output
from jiebang.sandbox.selftest import self_test

__all__ = ["ForkServer", "Job", "Outcome", "OutcomeStatus", "SandboxUnavailable", "read_output", "self_test"]
