"""YAML that says a thing once: PyYAML takes the last of two equal keys without a word."""

from typing import Any

import yaml


class _Strict(yaml.SafeLoader):
    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.composer.ComposerError(
                    None,
                    None,
                    f"the key '{key.value}' stands twice in one mapping; take one of the two out",
                    key.start_mark,
                )
            seen.add(key.value)
        return node


def load_yaml(text: str) -> Any:
    """What a document says. Raises yaml.YAMLError, also for a key that stands twice in one mapping."""
    return yaml.load(text, Loader=_Strict)
