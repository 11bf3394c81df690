"""Models and texts of the Hugging Face Hub: what there is of them, what they need, and how they come to this machine.

Importing this asks nothing of the network and loads neither torch nor huggingface_hub.
"""

from interference.hub.ids import HubId, fetched, hub_id, local_folder

__all__ = ["HubId", "fetched", "hub_id", "local_folder"]
