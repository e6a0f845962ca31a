"""Every error a user can meet, each class with its exit code.

A message says what went wrong, in which file or job, and what to do next.
The codes follow sysexits.h where it has a word for the class; 33 is the
Common Workflow Language's "unsupported requirement".
"""

# Of what is no BeeError (EX_SOFTWARE).
EXIT_BUG = 70


class BeeError(Exception):
    """Root of all expected errors."""

    exit_code = 1


class UsageError(BeeError):
    """The command line makes no sense."""

    exit_code = 2


class ComparisonError(BeeError):
    """Two runs cannot be compared: one is not there, cannot be read, or is not over (diff(1): 2 is trouble)."""

    exit_code = 2


class NotFoundError(BeeError):
    """No workflow, archive or file answers to that name, or several do."""

    exit_code = 3


class TransitionError(BeeError):
    """The workflow is not in a state that allows this."""

    exit_code = 4


class UnsupportedError(BeeError):
    """A CWL document asks for something this engine does not do."""

    exit_code = 33


class DocumentError(BeeError):
    """A CWL document is invalid (EX_DATAERR)."""

    exit_code = 65


class InputError(BeeError):
    """The input object does not fit the document, or names a file that is not there (EX_NOINPUT)."""

    exit_code = 66


class SlurmError(BeeError):
    """Slurm is missing, down, or did not answer (EX_UNAVAILABLE)."""

    exit_code = 69


class SubmissionError(SlurmError):
    """Slurm refused a job for good: partition, account, size, limit."""

    exit_code = 77


class SystemFileError(BeeError):
    """The file system said no: permission, quota, full disk (EX_IOERR)."""

    exit_code = 74


class ArchiveError(BeeError):
    """An archive is damaged, unsafe, or already there."""

    exit_code = 75


class IncompleteArchiveError(ArchiveError):
    """An archive lacks what its manifest or its description names, or ends too early."""

    exit_code = 79


class ArchiveVersionError(ArchiveError):
    """An archive is of a format that this beeflow does not know, or is none of beeflow's."""

    exit_code = 80


class TrustError(ArchiveError):
    """An archive would run or read what only its owner may have meant: it takes --trust."""

    exit_code = 81


class RemoteError(BeeError):
    """The other host of a copy did not do its part (EX_PROTOCOL)."""

    exit_code = 76


class ConfigError(BeeError):
    """bee.conf is wrong (EX_CONFIG)."""

    exit_code = 78


class TaskError(BeeError):
    """A task of a workflow could not be run, or did not make what it declared."""

    exit_code = 1


class PendingValueError(BeeError):
    """A value was asked for that a task has not made yet."""

    exit_code = 70


class BrokenError(BeeError):
    """A task takes from one that failed: it never runs, and a pass says so."""
