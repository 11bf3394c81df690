"""One checkpoint on disk: what its files say, without loading its weights, and then its weights.

transformers takes seconds to import, and is not needed for a checkpoint whose facts are known: functions import it.
"""

from interference.checkpoint.checkpoint import Checkpoint
from interference.checkpoint.mapped import MappedTensors
from interference.checkpoint.models import build, import_models, reads_ahead

__all__ = ["Checkpoint", "MappedTensors", "build", "import_models", "reads_ahead"]
